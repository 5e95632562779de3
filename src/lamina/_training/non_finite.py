"""The response to a loss that is NaN or infinite."""

from __future__ import annotations

from lamina._arrays.arrays import on_host
from lamina._messages.tracebacks import warn
from lamina._settings.strictness import strictness
from lamina._training.held_arrays import HeldArrays
from lamina._training.model import Model
from lamina._training.spec import TrainState
from lamina.errors import NonFiniteError


class NonFinite:
    """The response in one call: the setting of the process when the call begins.

    If a callback handles such a loss (`handles_nan`), it is "stop", without a warning.

    Args:
        held: the arrays of a `fit`, which can copy them where an epoch begins.
    """

    def __init__(self, handled: bool = False, held: HeldArrays | None = None) -> None:
        self.does = "stop" if handled else strictness["non_finite"]
        self.said = handled
        self.copies = self.does == "raise" and held is not None and held.small
        """Whether the state at the start of an epoch is copied, to restore it."""
        self.undoes = self.does == "stop" or (self.does == "raise" and not self.copies)
        """Whether a step with such a loss is undone, which takes a twelfth of a small step."""

    def backup(self, state: TrainState) -> TrainState | None:
        """A copy of the state at the start of an epoch, in NumPy's arrays; None if none is needed."""
        return on_host(state) if self.copies else None

    def error(self, where: str, loss: float, before: str) -> NonFiniteError:
        return NonFiniteError(
            f"the loss became {loss} {where}.\n"
            f"The weights are those from before {before}. Usual causes: a learning rate that is too high,\n"
            "inputs that are not scaled, a log or a division in a loss or a layer of your own.\n"
            "Try a smaller learning_rate, clipnorm=1.0 in the optimizer, or standardized inputs.\n"
            "With callbacks=[TerminateOnNaN()] training just stops there. "
            'With config.set_non_finite("warn") it goes on, as in Keras.'
        )

    def say(self, model: Model, where: str, loss: float) -> None:
        """Continue, or stop the training by `model.stop_training`. The first time gives a warning."""
        stops = self.does == "stop"
        model.stop_training = model.stop_training or stops
        if not self.said:
            self.said = True
            warn(f"the loss became {loss} {where}; training {'stops (model.stop_training)' if stops else 'goes on'}.")
