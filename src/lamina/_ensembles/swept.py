"""The result of a sweep: the settings from the best to the worst, with their models and histories."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lamina import _display as display
from lamina._display.frames import pandas_for
from lamina._ensembles.halving import Course, Rung
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import short
from lamina.callbacks import Callback, EarlyStopping, History
from lamina.errors import NonFiniteError
from lamina.models.sequential import Sequential

if TYPE_CHECKING:
    import pandas
    from rich.table import Table

Settings = dict[str, Any]
ENDS = "trained", "dropped", "interrupted"
"""The ways in which a fit with a finite loss ends."""


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """The result of `sweep`, with the best setting first. Settings that were dropped come after the others.

    Attributes:
        settings: the arguments of make_model.
        rows: for each setting, its values, the number of trained epochs, how it ended ("trained", "dropped",
            "interrupted", or the reason of a failure), and the logs of the epoch whose weights its model has.
        models: the model of each setting.
        monitor: the name in the logs that ranked them.
        seed: the seed of each model.
    """

    settings: list[Settings]
    rows: list[dict[str, Any]] = field(repr=False)
    models: list[Sequential] = field(repr=False)
    monitor: str
    seed: int

    @property
    def histories(self) -> list[History]:
        """The history of each training."""
        return [model.history or History() for model in self.models]

    @property
    @user_facing
    def best_model(self) -> Sequential:
        """The model of the best setting."""
        self._require_one()
        return self.models[0]

    @property
    @user_facing
    def best_settings(self) -> Settings:
        """The best setting, for `make_model(**found.best_settings)`."""
        self._require_one()
        return self.settings[0]

    def _require_one(self) -> None:
        if self.rows[0]["ended"] not in ENDS:
            raise NonFiniteError(
                f"there is no best setting: {self.monitor} became NaN or infinite with each. "
                "Try smaller learning rates, or standardized inputs."
            )

    def table(self) -> Table:
        """The rows as a table of rich, in colours for a terminal."""
        from rich.table import Table

        table, names = Table(), self._names()
        for name in names:
            table.add_column(name, style="bold" if name == self.monitor else "")
        for row in self.rows:
            table.add_row(*(display.html.shown(row.get(name, "")) for name in names))
        return table

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    @user_facing
    def frame(self) -> pandas.DataFrame:
        """The rows as a frame of pandas.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        made: pandas.DataFrame = pandas_for("frame", "rows").DataFrame(self.rows)
        return made

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        from rich.console import Console

        written = io.StringIO()
        Console(file=written, width=160).print(self.table())
        return written.getvalue().rstrip()

    def __repr__(self) -> str:
        best = ", ".join(f"{name}={short(value)}" for name, value in self.settings[0].items())
        return f"<Sweep of {len(self)} settings by {self.monitor}, best: {best}>"

    def _repr_html_(self) -> str:
        """The view in a notebook: the curves of the best setting and of the others, and the rows."""
        names, html = self._names(), display.html
        rows = [[html.shown(row.get(name, "")) for name in names] for row in self.rows]
        title = f"Sweep of {len(self)} settings by {self.monitor}, the best first"
        return html.learning_curves(self.histories) + html.table(title, names, rows, texts=0)


def ranked(
    settings: list[Settings], models: list[Sequential], told: list[list[Callback]], course: Course, rungs: list[Rung]
) -> tuple[list[int], list[dict[str, Any]]]:
    """Rank the models. Returns their numbers from the best to the worst, and the row of each in this order."""
    rows, ranks = [], []
    for number, setting in enumerate(settings):
        history = models[number].history or History()
        logs = _logs(history, told[number])
        how, value = course.how.get(number, "interrupted"), logs.get(rungs[number].monitor, math.nan)
        if not math.isfinite(value) and how in ENDS and history.epoch:
            how = f"{rungs[number].monitor} became {value}"
        rows.append({**setting, "epochs": len(history.epoch), "ended": how, **logs})
        lost = how not in ENDS or not math.isfinite(value)
        ranks.append((lost, -course.dropped.get(number, math.inf), 0.0 if lost else course.sign * value, number))
    order = sorted(range(len(rows)), key=ranks.__getitem__)
    return order, [rows[number] for number in order]


def _logs(history: History, told: list[Callback]) -> dict[str, Any]:
    """The logs of the epoch whose weights the model has: the last one, unless the weights of another were restored."""
    restored = [each.best_epoch for each in told if isinstance(each, EarlyStopping) and each.best_weights is not None]
    logs = {}
    for name, values in history.history.items():
        epochs = history.epochs_of[name]
        until = [place for place, epoch in enumerate(epochs) if not restored or epoch <= restored[-1]]
        if until:
            logs[name] = values[until[-1]]
    return logs
