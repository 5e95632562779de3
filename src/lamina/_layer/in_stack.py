"""The attributes of a layer in a stack: the shapes of its input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamina._layer.specs import OfLayer
from lamina._messages.tracebacks import user_facing
from lamina.errors import NotBuiltError

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


class ShapeInStack:
    """Reads a shape of the layer in its stack. Keras has no such attribute, so a subclass may use the name."""

    def __init__(self, which: int) -> None:
        self.which = which

    @user_facing
    def __get__(self, layer: Layer | None, owner: object = None) -> Any:
        if layer is None:
            return self
        if layer._lamina.shapes is None:
            what = "output" if self.which else "input"
            raise NotBuiltError(
                f"{layer.name!r} has no {what} shape yet: put Input(shape) first, or call the model on data."
            )
        return layer._lamina.shapes[self.which]


class TensorInStack(ShapeInStack):
    """Returns the shape and dtype of the input or output of a layer or stack; a subclass may use the name."""

    @user_facing
    def __get__(self, layer: Layer | None, owner: object = None) -> Any:
        if layer is None:
            return self
        whole = ("inputs", "outputs")[self.which]
        if hasattr(type(layer), whole):  # a stack
            told = getattr(layer, whole)
        else:
            shape = super().__get__(layer, owner)
            shapes = shape if isinstance(shape, list) else [shape]
            told = [OfLayer.of(layer, bool(self.which), each, layer.compute_dtype, layer.name) for each in shapes]
        return told[0] if len(told) == 1 else told
