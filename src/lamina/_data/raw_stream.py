"""Reads the first rows of a stream of tables, for a layer that is adapted to them before training."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from lamina._data.raw_table import RawTable, joined, raw_table
from lamina._data.stream import Stream
from lamina.errors import DataError

MOST_ROWS = 100_000
"""Batches are read until there are at least this many rows."""


def first_rows(x: Any, most: float = MOST_ROWS, name: str = "x") -> tuple[RawTable, Any]:
    """Read the first rows of a stream. Returns them as one table, and the stream, which still begins with them."""
    taken, tables, rows = [], [], 0
    as_tables = getattr(x, "_lamina_encoded", None)  # without this, columns of numbers alone are one array
    batches = Stream(as_tables(lambda table: table) if as_tables else x, name=name).opened()
    for batch in batches:
        taken.append(batch)
        with_y = isinstance(batch, (tuple, list)) and not all(isinstance(row, Mapping) for row in batch)
        tables.append(raw_table(batch[0] if with_y else batch, f"a batch of {name}"))
        rows += len(tables[-1])
        if rows >= most:
            break
    if not tables:
        raise DataError(f"{name} gave no batch to adapt to.")
    return joined(tables), itertools.chain(taken, batches) if hasattr(x, "__next__") else x
