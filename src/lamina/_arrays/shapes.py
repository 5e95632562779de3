"""Shapes: tuples in which None is an unknown size."""

from __future__ import annotations

from typing import Any

from lamina.errors import ArgumentError

Shape = tuple[int | None, ...]


def shape_of(x: Any) -> Shape:
    """An array's shape, symbolic sizes as None."""
    return tuple(size if isinstance(size, int) else None for size in x.shape)


def agree(a: Shape, b: Shape) -> bool:
    """Whether one array can have both shapes. None matches any size."""
    return len(a) == len(b) and all(None in (m, n) or m == n for m, n in zip(a, b, strict=True))


def full_shape(shape: Any, what: str = "shape") -> Shape:
    """Convert a shape without the batch axis, such as `[28, 28]`, to a tuple. Sizes are whole numbers or None."""
    try:
        sizes = tuple(shape)
    except TypeError:
        raise ArgumentError(f"{what} is a tuple without the batch axis: write {what}=({shape},)") from None
    for size in sizes:
        if size is not None and (isinstance(size, bool) or not hasattr(size, "__index__") or size < 1):
            raise ArgumentError(f"{what}={shape!r}: every size is a whole number of at least 1, or None.")
    return tuple(None if size is None else int(size) for size in sizes)


def spatial_axes(ndim: int, data_format: str | None) -> tuple[int, ...]:
    """The axes of an array that are neither the batch's nor the channels'."""
    return tuple(range(2, ndim)) if data_format == "channels_first" else tuple(range(1, ndim - 1))
