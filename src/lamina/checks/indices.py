"""Indices outside an Embedding's table, which would come out as NaN: found on the host, before the first step."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.errors import DataError


def within_tables(model: Any, x: Any) -> None:
    """Refuse data that is not made of indices of the Embedding that it goes to first, if there is one."""
    layer = model
    while layer is not None and not hasattr(layer, "mask_zero"):  # what an Embedding alone has
        below = getattr(layer, "body", None)
        layer = below[0] if below else getattr(layer, "layer", None)
    if layer is not None:
        check(x, layer)


def check(x: Any, layer: Any) -> None:
    """Refuse the first row of `x` that holds something else than whole numbers from 0 to input_dim - 1."""
    values = np.asarray(x)
    if not values.size:
        return
    size = layer.input_dim
    fractions = values.dtype.kind == "f" and bool((values != np.floor(values)).any())
    if not fractions and values.min() >= 0 and values.max() < size:
        return
    wrong = (values < 0) | (values >= size)
    if fractions:
        wrong |= values != np.floor(values)
    row = int(np.argwhere(wrong)[0][0])
    value = values[wrong][0]
    raise DataError(
        f"row {row} of x holds {value}, and {layer.name} (Embedding({size}, {layer.output_dim})) takes whole numbers "
        f"from 0 to {size - 1}.\n"
        + (f"Make its table larger, Embedding({int(value) + 1}, ...)" if value >= size else "Number the words from 0")
        + ", or look how the data was turned into numbers."
    )
