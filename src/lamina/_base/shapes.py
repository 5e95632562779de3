"""Shapes: tuples with None where a size is not known before the data is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from lamina._base.converters import positive
from lamina._base.settings import Configured
from lamina.errors import ArgumentError, ShapeError

Shape = tuple[int | None, ...]


class TensorSpec(NamedTuple):
    """What is known of an input or output before there is data."""

    shape: Shape
    """With the batch axis."""
    dtype: str
    name: str

    @property
    def ndim(self) -> int:
        """How many axes there are, with the batch axis."""
        return len(self.shape)


class OfLayer(TensorSpec):
    """The input or output of a layer in its stack, or of a stack."""

    layer: Any
    after: bool
    """Whether it is the output."""

    @classmethod
    def of(cls, layer: Any, after: bool, shape: Shape, dtype: str, name: str) -> Self:
        tensor = cls(shape, dtype, name)
        tensor.layer, tensor.after = layer, after
        return tensor


def shape_of(x: Any) -> Shape:
    """An array's shape, symbolic sizes as None."""
    return tuple(size if isinstance(size, int) else None for size in x.shape)


def agree(a: Shape, b: Shape) -> bool:
    """Whether one array can have both shapes, of which None is any size."""
    return len(a) == len(b) and all(None in (m, n) or m == n for m, n in zip(a, b, strict=True))


class InputSpec(Configured):
    """What a layer wants of its input: a rank, a range of ranks, or sizes of some axes; all with the batch axis.

    Args:
        dtype: the dtype of the input; it is not checked.
        shape: all sizes, with None for one that may be any.
        ndim: the number of axes.
        max_ndim, min_ndim: the largest and the smallest number of axes.
        axes: the sizes of some axes, by the axis.
        allow_last_axis_squeeze: accepted as in Keras, without an effect.
        name: a name for the input.
        optional: accepted as in Keras, without an effect.
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
        """Raise a `ShapeError` that says what was wanted, unless `shape` (with the batch axis) fits."""
        rank = len(shape)
        wanted = len(self.shape) if self.shape is not None else self.ndim
        if wanted is not None and rank != wanted:
            raise ShapeError(f"wants {wanted} dimensions (batch axis included), got {rank}")
        if self.min_ndim is not None and rank < self.min_ndim:
            raise ShapeError(f"wants at least {self.min_ndim} dimensions (batch axis included), got {rank}")
        if self.max_ndim is not None and rank > self.max_ndim:
            raise ShapeError(f"wants at most {self.max_ndim} dimensions (batch axis included), got {rank}")
        sizes = dict(enumerate(self.shape)) if self.shape is not None else self.axes or {}
        for axis, size in sizes.items():
            if size is not None and shape[axis] not in (size, None):
                raise ShapeError(f"wants size {size} on axis {axis}, got {shape[axis]}")


def full_shape(shape: Any, what: str = "shape") -> Shape:
    """A shape without its batch axis as a tuple: `(28, 28)`, `[28, 28]`; sizes are whole numbers or None."""
    try:
        sizes = tuple(shape)
    except TypeError:
        raise ArgumentError(f"{what} is a tuple without the batch axis: write {what}=({shape},)") from None
    for size in sizes:
        if size is not None and (isinstance(size, bool) or not hasattr(size, "__index__") or size < 1):
            raise ArgumentError(f"{what}={shape!r}: every size is a whole number of at least 1, or None.")
    return tuple(None if size is None else int(size) for size in sizes)


def per_axis(
    rank: int, convert: Callable[[Any], Any] = positive, wanted: str = "one value, or one for each of {rank} axes"
) -> Callable[[object], tuple[Any, ...]]:
    """A setting's converter: one value for all of `rank` axes, or a sequence with one for each."""

    def converted(value: object) -> tuple[Any, ...]:
        if not isinstance(value, (tuple, list)):
            return (convert(value),) * rank
        if len(value) != rank:
            raise ArgumentError(f"expected {wanted.format(rank=rank)}, got {value!r}.")
        return tuple(convert(each) for each in value)

    return converted


def spatial_axes(ndim: int, data_format: str | None) -> tuple[int, ...]:
    """The axes of an array that are neither the batch's nor the channels'."""
    return tuple(range(2, ndim)) if data_format == "channels_first" else tuple(range(1, ndim - 1))
