"""Refuses indices outside a layer's table, which would silently give NaN or zeros on the device."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import HostArray
from lamina.errors import DataError


class ReadsIndices(Protocol):
    """A layer that takes integers from 0 to a limit."""

    @property
    def name(self) -> str: ...

    @property
    def _lamina_indices_below(self) -> int: ...


def within_tables(model: object, x: ArrayLike, rows: HostArray | None = None) -> None:
    """If a layer of the model reads the data as indices, refuse values that are not valid indices for it."""
    layer = reader(model)
    if layer is not None:
        check(x, layer, rows)


def reader(layer: Any) -> ReadsIndices | None:
    """Return the first layer that reads its input as indices, if no layer before it changes the values."""
    kind = type(layer)
    if hasattr(kind, "_lamina_indices_below"):
        return layer  # type: ignore[no-any-return]
    inner = vars(layer).get("layer")
    wrapped = [inner] if hasattr(inner, "_lamina") else []
    for part in layer._lamina_body if hasattr(kind, "_lamina_body") else wrapped:
        if not getattr(type(part), "_lamina_keeps_values", False):
            return reader(part)
    return None


def check(x: ArrayLike, layer: ReadsIndices, rows: HostArray | None = None) -> None:
    """Raise a `DataError` for the first row of `x` with a value that is not an index of the layer's table.

    `rows` are the numbers of the rows in the whole data, if x is not its beginning.
    """
    values = np.asarray(x)
    if not values.size:
        return
    size, kind = layer._lamina_indices_below, type(layer).__name__
    fractions = values.dtype.kind == "f" and bool((values != np.floor(values)).any())
    if not fractions and values.min() >= 0 and values.max() < size:
        return
    wrong = (values < 0) | (values >= size)
    if fractions:
        wrong |= values != np.floor(values)
    row = int(np.argwhere(wrong)[0][0]) if values.ndim else 0
    value = values[wrong][0]
    row = row if rows is None else int(rows[row])
    raise DataError(
        f"row {row} of x holds {value}, and {layer.name} ({kind}({size}, ...)) takes whole numbers from 0 to "
        f"{size - 1}.\n"
        + (
            f"Make the table larger, {kind}({int(value) + 1}, ...)"
            if value >= size
            else "Give the words numbers from 0 on"
        )
        + ", or check how the data was converted to numbers."
    )
