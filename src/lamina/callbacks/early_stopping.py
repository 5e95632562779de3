"""Stop training when a metric no longer improves."""

from __future__ import annotations

from lamina._arrays.arrays import HostArray
from lamina._settings.converters import count, flag, number, one_of, optional
from lamina._settings.settings import Configured, setting
from lamina.callbacks.callback import Logs
from lamina.callbacks.monitor import Mode, MonitorCallback, log_name


class EarlyStopping(MonitorCallback, Configured):
    """Stop training if `monitor` has not improved by more than `min_delta` for `patience` epochs.

    >>> EarlyStopping(patience=3, restore_best_weights=True)
    EarlyStopping(patience=3, restore_best_weights=True)

    Args:
        baseline: improvements count only from this value on.
        restore_best_weights: leave the model with the weights of its best epoch, not of its last one.
        start_from_epoch: epochs before this one do not count.
    """

    monitor: str = setting(log_name, default="val_loss")
    min_delta: float = setting(number, default=0)
    patience: int = setting(count, default=0)
    verbose: int = setting(count, default=0)
    mode: Mode = setting(one_of("auto", "min", "max"), default="auto")
    baseline: float | None = setting(optional(number), default=None)
    restore_best_weights: bool = setting(flag, default=False)
    start_from_epoch: int = setting(count, default=0)

    def __post_init__(self) -> None:
        self._lamina_reset()

    def _lamina_reset(self) -> None:
        self.wait = self.best_epoch = self.stopped_epoch = 0
        self.best: float | None = None
        self.best_weights: list[HostArray] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        self._lamina_reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        current = self._lamina_current(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        better = self._lamina_improves(current, self.best)
        if self.restore_best_weights and (better or self.best_weights is None):
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        if better:
            self.best, self.best_epoch = current, epoch
            if self.baseline is None or self._lamina_improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"The model has the weights of its best epoch, {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)
