"""One warning if a callback makes a change during `fit` that takes effect only at the next `fit`."""

from __future__ import annotations

from lamina._layer.structure import Snapshot
from lamina._messages.tracebacks import warn
from lamina._training.model import Model


class Changes:
    """The arguments of `compile` and the trainable layers at the start of `fit`."""

    def __init__(self, model: Model) -> None:
        self.model, self.compiled, self.layers = model, model._lamina.compiled, Snapshot(model)
        self.trained, self.said = self.layers.trained(), False

    def say(self) -> None:
        """Warn if they have changed."""
        compiled = self.model._lamina.compiled is not self.compiled
        if self.said or not (compiled or self.layers.trained() != self.trained):
            return
        self.said = True
        warn(
            f"a callback {'called compile' if compiled else 'set trainable'} during fit. This takes effect at the next "
            "fit.\nTrain in parts: fit(..., epochs=5), then the change, then fit(..., initial_epoch=5, epochs=10)."
        )
