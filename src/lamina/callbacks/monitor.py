"""The base of callbacks that watch one number of the logs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array
from lamina._messages.spelling import nearest
from lamina._messages.tracebacks import warn
from lamina._settings.origin import of_library
from lamina.callbacks.callback import Callback, Logs
from lamina.callbacks.callback_list import CallbackList, overrides
from lamina.errors import ArgumentError

Mode: TypeAlias = Literal["auto", "min", "max"]


class MonitorCallback(Callback):
    """Base of callbacks that compare a number of the logs with its best value so far.

    Args:
        monitor: the name of the number in the logs.
        min_delta: a change that is not larger than this does not count as an improvement.
        mode: whether "min" or "max" is better; "auto" decides by the metric.
        patience: the number of epochs without an improvement that are accepted.
        verbose: 1 prints a line for each action.
    """

    monitor: str
    mode: Mode
    min_delta: float
    _lamina_found: bool = False

    def _lamina_current(self, logs: Logs) -> float | None:
        """The value in this epoch; None if it is a validation value and this epoch was not validated.

        A name that no epoch had is an error, because the callback would silently do nothing.
        """
        logs = logs or {}
        if self.monitor in logs:
            self._lamina_found = True
            found = np.asarray(logs[self.monitor])
            if found.size != 1:
                raise ArgumentError(
                    f"{type(self).__name__} watches one number, and {self.monitor!r} is {found.size} of them: take "
                    "their mean, as with F1Score(average='macro')."
                )
            return float(found.item())
        if self._lamina_found:
            return None
        unvalidated = not any(name.startswith("val_") for name in logs)
        if unvalidated and self.monitor.startswith("val_") and self.monitor.removeprefix("val_") in logs:
            self._lamina_found = True
            warn(
                f"{type(self).__name__} watches {self.monitor!r}, and does nothing in epochs without validation, "
                "as this one. Give fit a validation_split or validation_data, or set "
                f"monitor={self.monitor.removeprefix('val_')!r}."
            )
            return None
        raise self._lamina_unknown([*logs])

    def _lamina_unknown(self, names: list[str]) -> ArgumentError:
        """The error for a name that the logs, which have `names`, will never have."""
        found = nearest(self.monitor, [*names, *(f"val_{name}" for name in names)])
        advice = f"Did you mean {found[0]!r}?" if found else "Metrics are given to compile: metrics=[...]."
        return ArgumentError(
            f"{type(self).__name__}(monitor={self.monitor!r}): the logs have no such number. {advice}\n"
            f"They have: {', '.join(names) or 'nothing'}."
        )

    def _lamina_require(self, names: list[str], validates: bool) -> None:
        """Raise an error if no epoch will log the monitored name. The model logs `names`."""
        validated = [f"val_{name}" for name in names]
        if self.monitor not in ["", *names, *validated, "learning_rate"]:
            raise self._lamina_unknown([*names, *validated] if validates else names)

    def _lamina_rises(self) -> bool:
        """Whether higher is better: by `mode`, else by the model's metric of this name."""
        name = self.monitor.removeprefix("val_")
        if self.mode != "auto" or name == "loss":
            return self.mode == "max"
        for metric in getattr(self.model, "metrics", None) or ():
            direction = getattr(metric, "_direction", None)
            if metric.name == name and direction:
                return bool(direction == "up")
        raise ArgumentError(
            f"{type(self).__name__} cannot tell whether a better {self.monitor!r} is higher or lower. "
            'Add mode="max" or mode="min".'
        )

    @property
    def monitor_op(self) -> Callable[..., Array] | None:
        """The function for "is better", `jnp.greater` or `jnp.less`; None before the callback has a model."""
        return None if self.model is None else jnp.greater if self._lamina_rises() else jnp.less

    def _lamina_improves(self, value: float, reference: float | None) -> bool:
        """Whether `value` is better than `reference` by more than `min_delta`. NaN never is."""
        if math.isnan(value) or reference is None:
            return not math.isnan(value)
        margin = abs(self.min_delta)
        return value - margin > reference if self._lamina_rises() else value + margin < reference


def require_known(callbacks: CallbackList, model: Any, validates: bool) -> None:
    """Raise an error before the first step if a callback monitors a name that no epoch will log.

    User code, such as a callback or a metric with several results, may log more names. Then the first epoch decides.
    """
    loggers = [model, *model.metrics, *(each for each in callbacks if overrides(each, "on_epoch_end"))]
    if any("on_epoch_end" in vars(each) or not of_library(type(each), "lamina") for each in loggers):
        return
    for each in callbacks:
        if isinstance(each, MonitorCallback):
            each._lamina_require(model.metrics_names, validates)


def log_name(value: object) -> str:
    """The name of a number in the logs."""
    if not isinstance(value, str):
        raise ArgumentError(f'expected the name of a loss or metric, such as "val_loss", got {value!r}.')
    return value
