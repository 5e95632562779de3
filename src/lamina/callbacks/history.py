"""The record of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamina import _display as display
from lamina._display.frames import pandas_for
from lamina._messages.missing_names import missing_member
from lamina._messages.tracebacks import user_facing
from lamina.callbacks.callback import Callback, Logs
from lamina.errors import UnknownAttributeError

if TYPE_CHECKING:
    import pandas


class History(Callback):
    """The result of `fit`: `history["loss"]`, `history["val_accuracy"]`, ... with one number for each epoch.

    >>> record = History()
    >>> record.on_epoch_end(0, {"loss": 0.7})
    >>> record.on_epoch_end(1, {"loss": 0.5, "val_loss": 0.6})
    >>> record.history, record.epoch
    ({'loss': [0.7, 0.5], 'val_loss': [0.6]}, [0, 1])
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        """The epochs that were trained, counted from 0."""
        self.epochs_of: dict[str, list[int]] = {}
        """For each name, the epochs that have it, because validation may run only in some."""

    @user_facing
    def __getattr__(self, name: str) -> Any:
        if name in vars(self).get("history", {}):
            raise UnknownAttributeError(f"History has no attribute {name!r}. Write history.history[{name!r}].")
        raise missing_member(self, name)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        model.history = self

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self.epochs_of.setdefault(name, []).append(epoch)

    @user_facing
    def to_frame(self) -> pandas.DataFrame:
        """The history as a frame of pandas: one row for each epoch, one column for each quantity.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        library = pandas_for("to_frame", "history")
        columns = {name: library.Series(values, self.epochs_of[name]) for name, values in self.history.items()}
        made: pandas.DataFrame = library.DataFrame(columns, library.Index(self.epoch, name="epoch"))
        return made

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items() if values)
        return f"<History, {len(self.epoch)} epochs{': ' * bool(last)}{last}>"

    def _repr_html_(self) -> str:
        """The view in a notebook: the curve of each quantity, and its last, lowest and highest value."""
        return display.html.history(self, len(self.epoch))
