"""The elements of a dataset: arrays, or tuples and dicts of arrays, which are stacked to batches and cut into rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from lamina.errors import DataError

Element: TypeAlias = Any
"""An array, text or number; or a tuple, such as (x, y), or a dict of these."""


def stacked(rows: list[Element]) -> Element:
    """Join the elements of a batch to one element, with their arrays stacked."""
    first = rows[0]
    if isinstance(first, tuple):
        return tuple(stacked(list(parts)) for parts in zip(*rows, strict=True))
    if isinstance(first, Mapping):
        return {name: stacked([row[name] for row in rows]) for name in first}
    if isinstance(first, (str, bytes)):
        return np.array(rows, object)
    arrays = [np.asarray(row) for row in rows]
    if len(shapes := {array.shape for array in arrays}) > 1:
        raise DataError(
            f"the elements of a batch have different shapes: {', '.join(map(str, sorted(shapes)[:4]))}. "
            "Give them one shape in map, before batch; or use padded_batch."
        )
    return np.stack(arrays)


def padded_stack(rows: list[Element], shapes: Any, fill: Any) -> Element:
    """Stack the elements of a batch; smaller arrays are filled up to `shapes`, or to the largest array."""
    first = rows[0]
    if isinstance(first, (tuple, Mapping)):
        places = list(first) if isinstance(first, Mapping) else range(len(first))
        for what, told in (("padded_shapes", shapes), ("padding_values", fill)):
            if isinstance(told, (list, tuple, Mapping)) and len(told) != len(first):
                raise DataError(f"{what} has {len(told)} parts, and an element of the data has {len(first)}.")
        parts = {
            place: padded_stack(
                [row[place] for row in rows],
                None if shapes is None else shapes[place],
                fill[place] if isinstance(fill, (list, tuple, Mapping)) else fill,
            )
            for place in places
        }
        return parts if isinstance(first, Mapping) else tuple(parts.values())
    arrays = [np.asarray(row, object if isinstance(row, (str, bytes)) else None) for row in rows]
    kind = np.dtype(object) if arrays[0].dtype.kind in "SU" else arrays[0].dtype
    nothing = "" if kind.kind == "O" else 0
    size = _padded_size({array.shape for array in arrays}, shapes)
    padded = np.full((len(arrays), *size), nothing if fill is None else fill, kind)
    for place, array in enumerate(arrays):
        where: tuple[Any, ...] = (place, *map(slice, array.shape))
        padded[where] = array
    return padded


def _padded_size(found: set[Any], shape: Any) -> tuple[int, ...]:
    """The smallest shape that holds all `found` shapes, with the sizes of `shape` where they are given."""
    told = ", ".join(map(str, sorted(found)[:4]))
    if len({len(each) for each in found}) > 1:
        raise DataError(f"padded_batch takes arrays with the same number of axes, got the shapes {told}.")
    most = tuple(map(max, zip(*found, strict=True)))
    size = most if shape is None else tuple(n if n not in (None, -1) else m for n, m in zip(shape, most, strict=False))
    if len(size if shape is None else shape) != len(most) or any(n < m for n, m in zip(size, most, strict=True)):
        raise DataError(
            f"padded_batch(padded_shapes={shape}): the shape is too small for the arrays of a batch, {told}."
        )
    return size


def leaves_of(parts: Element) -> Iterator[Any]:
    """Iterate over the arrays of an element."""
    if isinstance(parts, (tuple, Mapping)):
        for part in parts.values() if isinstance(parts, Mapping) else parts:
            yield from leaves_of(part)
    else:
        yield parts


def rows_of(parts: Element) -> Iterator[Element]:
    """Iterate over the rows of the arrays in an element."""
    if isinstance(parts, tuple):
        return zip(*map(rows_of, parts), strict=True)
    if isinstance(parts, Mapping):
        return (dict(zip(parts, row, strict=True)) for row in zip(*map(rows_of, parts.values()), strict=True))
    return iter(parts if isinstance(parts, (list, np.ndarray)) else np.asarray(parts))


def as_numpy(element: Element) -> Element:
    """Copy an element with NumPy arrays in it."""
    if isinstance(element, tuple):
        return tuple(map(as_numpy, element))
    if isinstance(element, Mapping):
        return {name: as_numpy(part) for name, part in element.items()}
    return element if isinstance(element, (str, bytes)) else np.asarray(element)
