"""Logs and histories in which a program also finds values under the names of older releases of Keras."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from lamina._messages.tracebacks import user_facing
from lamina.callbacks import Callback, History
from lamina.compat.told import say

SAME = (
    "accuracy acc", "learning_rate lr", "mean_absolute_error mae MAE", "mean_squared_error mse MSE",
    "mean_absolute_percentage_error mape MAPE", "mean_squared_logarithmic_error msle MSLE",
    "cosine_similarity cosine_proximity cosine", "kl_divergence kullback_leibler_divergence kld KLD",
    "log_cosh logcosh", "binary_crossentropy bce BCE", "root_mean_squared_error rmse",
)  # fmt: skip
"""Names of the same value. Keras 1 named a metric by its function, later releases by the argument of `compile`."""
OTHERS = {name: group.split() for group in SAME for name in group.split()}


def name_now(name: str, known: Iterable[str]) -> str | None:
    """The present name of the value that a program calls `name`; None if there is no such value.

    >>> name_now("val_mean_absolute_error", ["loss", "mae", "val_loss", "val_mae"])
    'val_mae'
    >>> name_now("auc_1", ["loss", "auc"])  # Keras numbers the metrics of a process
    'auc'
    """
    known = list(known)
    before = "val_" if name.startswith("val_") else ""
    alone = re.sub(r"_\d+$", "", name.removeprefix(before))
    names = [f"{before}{each}" for each in (alone, *OTHERS.get(alone, ()))]
    numbered = [each for each in known if re.fullmatch(f"({'|'.join(map(re.escape, names))})_[0-9]+", each)]
    found = [each for each in (name, *names) if each in known] or (numbered if len(numbered) == 1 else [])
    return found[0] if found else None


class Logged(dict[str, Any]):
    """Logs, or a history, whose values can also be read under their names in older releases of Keras."""

    @user_facing
    def __missing__(self, name: str) -> Any:
        new = name_now(name, self) if isinstance(name, str) else None
        if new is None:
            raise KeyError(name)
        say(f"{name!r} in logs and histories is now {new!r}.")
        return self[new]

    def get(self, name: str, default: object = None) -> Any:
        return default if name_now(name, self) is None else self[name]


def plain_logs(plain: Callable[[Any], dict[str, Any]]) -> Callable[[Any], Logged]:
    return lambda logs: Logged(plain(logs))


def history_begins(init: Callable[..., None]) -> Callable[..., None]:
    def __init__(self: History) -> None:
        init(self)
        self.history = Logged()

    return __init__


def set_model(set_model: Callable[..., None]) -> Callable[..., None]:
    """Make a callback accept an older name of a value in `monitor` and in names of files."""

    def named(self: Callback, model: object) -> None:
        set_model(self, model)
        known = ["loss", *getattr(model, "metrics_names", ())]
        known += [f"val_{name}" for name in known]
        monitor, path = getattr(self, "monitor", None), getattr(self, "filepath", "")
        if isinstance(monitor, str) and (new := name_now(monitor, known)) not in (None, monitor):
            self.monitor = new  # type: ignore[attr-defined]
            say(f"monitor={monitor!r} is now monitor={new!r}.")
        for old in re.findall(r"{(\w+)[:}]", path):
            if (new := name_now(old, known)) not in (None, old):
                self.filepath = re.sub(rf"{{{old}([:}}])", rf"{{{new}\1", self.filepath)  # type: ignore[attr-defined]
                say(f"{{{old}}} in the name of a file is now {{{new}}}.")

    return named
