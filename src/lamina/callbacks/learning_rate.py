"""Change the learning rate between epochs. It is an array of the training state: nothing is compiled again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from lamina._settings.converters import count, not_negative, number, one_of
from lamina._settings.settings import Configured, setting
from lamina.callbacks.callback import Callback, Logs
from lamina.callbacks.monitor import Mode, MonitorCallback, log_name
from lamina.errors import ArgumentError


def _function(value: object) -> Callable[..., Any]:
    if not callable(value) or isinstance(value, type):
        raise ArgumentError(f"expected a function (epoch, learning_rate) -> learning_rate, got {value!r}.")
    return value


def _factor(value: object) -> float:
    if not 0 <= number(value) < 1:
        raise ArgumentError(f"expected a number from 0 to below 1, which the rate is multiplied by, got {value!r}.")
    return number(value)


class LearningRateScheduler(Callback, Configured):
    """Before each epoch, sets the learning rate to `schedule(epoch, learning_rate)`, with epochs from 0.

    >>> halving = LearningRateScheduler(lambda epoch, rate: rate / 2)

    Args:
        schedule: a function of (epoch, learning_rate), or of the epoch alone.
        verbose: 1 prints each new rate.
    """

    schedule: Callable[..., Any] = setting(_function)
    verbose: int = setting(count, default=0)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        given: tuple[float, ...] = (epoch, float(self.model.optimizer.learning_rate))
        try:
            inspect.signature(self.schedule).bind(*given)
        except TypeError:
            given = (epoch,)
        try:
            rate = float(not_negative(self.schedule(*given)))
        except ArgumentError as error:
            message = f"LearningRateScheduler: the schedule must return the rate of epoch {epoch}: {error}"
            raise ArgumentError(message) from None
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ReduceLROnPlateau(MonitorCallback, Configured):
    """Multiplies the learning rate by `factor` if `monitor` has not improved for `patience` epochs.

    >>> ReduceLROnPlateau(factor=0.5, patience=2)
    ReduceLROnPlateau(factor=0.5, patience=2)

    Args:
        factor: the factor of the learning rate.
        cooldown: the number of epochs after a reduction that do not count.
        min_lr: the learning rate never gets lower than this.
    """

    monitor: str = setting(log_name, default="val_loss")
    factor: float = setting(_factor, default=0.1)
    patience: int = setting(count, default=10)
    verbose: int = setting(count, default=0)
    mode: Mode = setting(one_of("auto", "min", "max"), default="auto")
    min_delta: float = setting(number, default=1e-4)
    cooldown: int = setting(count, default=0)
    min_lr: float = setting(number, default=0.0)

    def __post_init__(self) -> None:
        self._lamina_reset()

    def _lamina_reset(self) -> None:
        self.wait = self.cooldown_counter = 0
        self.best: float | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._lamina_reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = self._lamina_current(logs)
        if current is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._lamina_improves(current, self.best):
            self.best, self.wait = current, 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience:
                self._lamina_reduce(epoch)

    def _lamina_reduce(self, epoch: int) -> None:
        old = float(self.model.optimizer.learning_rate)
        if old <= self.min_lr:
            return
        new = max(old * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {new:g}, as {self.monitor} got no better")
