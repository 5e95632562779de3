"""Indices outside what a layer has room for, which would come out as NaN or as nothing: found on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.errors import DataError


def within_tables(model: Any, x: Any) -> None:
    """Refuse data that is not made of indices of the layer that takes it as such first, if there is one."""
    layer = _reader(model)
    if layer is not None:
        check(x, layer)


def _reader(layer: Any) -> Any:
    """The first layer that reads its input as indices, where none before it changes a value."""
    if hasattr(layer, "_lamina_indices_below"):
        return layer
    for part in getattr(layer, "_lamina_body", None) or [each for each in [getattr(layer, "layer", None)] if each]:
        if not getattr(part, "_lamina_keeps_values", False):
            return _reader(part)
    return None


def check(x: Any, layer: Any) -> None:
    """Refuse the first row of `x` that holds something else than whole numbers that the layer has room for."""
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
    raise DataError(
        f"row {row} of x holds {value}, and {layer.name} ({kind}({size}, ...)) takes whole numbers from 0 to "
        f"{size - 1}.\n"
        + (f"Make it larger, {kind}({int(value) + 1}, ...)" if value >= size else "Number the words from 0")
        + ", or look how the data was turned into numbers."
    )
