"""Evaluate and predict with the averages of the weights."""

from __future__ import annotations

from typing import Any

from lamina._arrays.arrays import Array
from lamina._settings.converters import flag
from lamina._settings.settings import Configured, setting
from lamina._weights.weight import Weight
from lamina.callbacks.callback import Callback, Logs
from lamina.errors import ArgumentError
from lamina.optimizers.state import Stateful


class SwapEMAWeights(Callback, Configured):
    """Replaces the weights by the averages of an optimizer with `use_ema=True` during `evaluate`, `predict` and the
    validations of `fit`, and restores the weights afterwards.

    Keras 3.15 leaves the averages in the model after `predict`. With `swap_on_epoch`, it returns the last weights
    instead of their averages if a callback ends the training early. Here the weights are restored, and the model has
    the averages after the training.

    Args:
        swap_on_epoch: whether the model also has the averages between two epochs, for callbacks after this one in the
            list, such as `ModelCheckpoint`.

    Raises:
        ArgumentError: the optimizer keeps no averages.
    """

    swap_on_epoch: bool = setting(flag, default=False)

    def __post_init__(self) -> None:
        self._lamina_weights: list[Array] | None = None
        """The weights, while the model has their averages."""

    def on_train_begin(self, logs: Logs = None) -> None:
        _optimizer(self.model)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self._lamina_put_back()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        if self.swap_on_epoch:
            self._lamina_put_averages()

    def on_train_end(self, logs: Logs = None) -> None:
        self._lamina_weights = None  # the training has ended with the averages

    def on_test_begin(self, logs: Logs = None) -> None:
        self._lamina_put_averages()

    def on_test_end(self, logs: Logs = None) -> None:
        self._lamina_put_back()

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._lamina_put_averages()

    def on_predict_end(self, logs: Logs = None) -> None:
        self._lamina_put_back()

    def _lamina_put_averages(self) -> None:
        optimizer = _optimizer(self.model)
        if self._lamina_weights is None and int(optimizer.iterations):  # before the first step there are none
            weights = _averaged(optimizer)
            self._lamina_weights = [weight.value for weight, _ in weights]
            for weight, average in weights:
                weight.assign(average)

    def _lamina_put_back(self) -> None:
        if self._lamina_weights is not None:
            for (weight, _), array in zip(_averaged(_optimizer(self.model)), self._lamina_weights, strict=True):
                weight.assign(array)
            self._lamina_weights = None


def _optimizer(model: Any) -> Any:
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not getattr(optimizer, "use_ema", False):
        kind = "None" if optimizer is None else type(optimizer).__name__
        raise ArgumentError(
            "SwapEMAWeights needs an optimizer that keeps averages: compile(optimizers.Adam(use_ema=True), ...). "
            f"Got {kind}."
        )
    return optimizer


def _averaged(optimizer: Stateful) -> list[tuple[Weight, Weight]]:
    """Each weight that is trained, and its average."""
    return [(weight, optimizer._lamina_variables["average"][weight.path]) for weight in optimizer._lamina.weights]
