"""The base of all callbacks: methods that `fit`, `evaluate` and `predict` call while they run."""

from __future__ import annotations

from typing import Any

from lamina._settings.arguments import overridable
from lamina._settings.pickling import ByName
from lamina.callbacks.hooks import tell

Logs = dict[str, Any] | None


class Callback(ByName):
    """Base of all callbacks: override the methods for the moments that you need.

    `logs` holds the numbers so far, by name, as Python floats. Values that a callback adds to the `logs` of
    `on_epoch_end` go into the history and the progress line too.

    >>> class PrintLoss(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, logs["loss"])
    >>> PrintLoss().on_epoch_end(0, {"loss": 0.5})
    0 0.5
    """

    params: dict[str, Any] | None = None
    """Arguments of the call: `verbose`, `epochs`, `steps`."""

    every_batch: bool = True
    """Whether an overridden batch method must be called for each single batch. If False, it is called for
    the last batch of each chunk that is trained in one compiled call, which is many times faster."""

    handles_nan: bool = False
    """Whether the callback handles a loss that is NaN or infinite. Then `fit` accepts such data too, raises no error,
    but ends with that step, as with `config.set_non_finite("stop")`, unless the callback sets
    `model.stop_training = False`."""

    _lamina_left: int | None = None
    """The number of batches after which it must be called with current weights in the layers; None for no limit."""

    _model: Any = None

    @property
    def model(self) -> Any:
        """The model that is being trained; set `model.stop_training = True` to end the training."""
        return self._model

    @model.setter
    def model(self, model: Any) -> None:  # as in Keras 2; the model that is trained takes its place
        self._model = model

    @overridable
    def set_params(self, params: dict[str, Any] | None) -> None:
        """Set `self.params`. Called once, before all other methods."""
        self.params = params

    @overridable
    def set_model(self, model: Any) -> None:
        """Set `self.model`. Called once, before all other methods."""
        self._model = model

    @overridable
    def on_train_begin(self, logs: Logs = None) -> None:
        """Before the first epoch of `fit`."""

    @overridable
    def on_train_end(self, logs: Logs = None) -> None:
        """After the last epoch of `fit`, with that epoch's numbers."""

    @overridable
    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Before each epoch; `epoch` counts from 0."""

    @overridable
    @overridable
    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """After each epoch and its validation, whose numbers are called `val_...`."""

    @overridable
    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before each training step; `batch` counts from 0 in each epoch."""
        tell(self, "on_batch_begin", batch, logs=logs)

    @overridable
    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After each training step, with the means over the epoch so far."""
        tell(self, "on_batch_end", batch, logs=logs)

    @overridable
    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Another name of `on_train_batch_begin`."""

    @overridable
    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Another name of `on_train_batch_end`."""

    @overridable
    def on_test_begin(self, logs: Logs = None) -> None:
        """Before `evaluate`, and before each validation in `fit`."""

    @overridable
    def on_test_end(self, logs: Logs = None) -> None:
        """After `evaluate` and after each validation, with its numbers."""

    @overridable
    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before each batch of `evaluate` or of a validation."""

    @overridable
    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After each batch of `evaluate` or of a validation, with the means so far."""

    @overridable
    def on_predict_begin(self, logs: Logs = None) -> None:
        """Before `predict`."""

    @overridable
    def on_predict_end(self, logs: Logs = None) -> None:
        """After `predict`."""

    @overridable
    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Before each batch of `predict`."""

    @overridable
    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """After each batch of `predict`, with its outputs as `logs["outputs"]`."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
"""The names of all hooks."""
