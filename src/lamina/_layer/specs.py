"""The shape and dtype of an input or output before there is data, and the shapes that a layer expects."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

from lamina._arrays.shapes import Shape
from lamina._settings.settings import Configured
from lamina.errors import ShapeError


class TensorSpec(NamedTuple):
    """The shape and dtype of an input or output before there is data."""

    shape: Shape
    """With the batch axis."""
    dtype: str
    name: str

    @property
    def ndim(self) -> int:
        """The number of axes, with the batch axis."""
        return len(self.shape)


class OfLayer(TensorSpec):
    """The input or output of a layer in its stack, or of a stack."""

    layer: Any
    after: bool
    """Whether this is the output of the layer, and not its input."""

    @classmethod
    def of(cls, layer: Any, after: bool, shape: Shape, dtype: str, name: str) -> Self:
        tensor = cls(shape, dtype, name)
        tensor.layer, tensor.after = layer, after
        return tensor


class InputSpec(Configured):
    """The expected input of a layer: a rank, a range of ranks, or the sizes of some axes, all with the batch axis.

    Args:
        dtype: the dtype of the input; it is not checked.
        shape: all sizes; None for an axis of any size.
        ndim: the number of axes.
        max_ndim, min_ndim: the largest and the smallest number of axes.
        axes: the sizes of some axes, by the axis.
        allow_last_axis_squeeze: accepted as in Keras; it has no effect.
        name: a name for the input.
        optional: accepted as in Keras; it has no effect.
    """

    dtype: str | None = None
    shape: Shape | None = None
    ndim: int | None = None
    max_ndim: int | None = None
    min_ndim: int | None = None
    axes: dict[int, int | None] | None = None
    allow_last_axis_squeeze: bool = False
    name: str | None = None
    optional: bool = False

    def check(self, shape: Shape) -> None:
        """Raise a `ShapeError` that names the expected sizes unless `shape` (with the batch axis) fits."""
        rank = len(shape)
        wanted = len(self.shape) if self.shape is not None else self.ndim
        if wanted is not None and rank != wanted:
            raise ShapeError(f"expects {wanted} dimensions (batch axis included), got {rank}")
        if self.min_ndim is not None and rank < self.min_ndim:
            raise ShapeError(f"expects at least {self.min_ndim} dimensions (batch axis included), got {rank}")
        if self.max_ndim is not None and rank > self.max_ndim:
            raise ShapeError(f"expects at most {self.max_ndim} dimensions (batch axis included), got {rank}")
        sizes = dict(enumerate(self.shape)) if self.shape is not None else self.axes or {}
        for axis, size in sizes.items():
            if size is not None and shape[axis] not in (size, None):
                raise ShapeError(f"expects size {size} on axis {axis}, got {shape[axis]}")
