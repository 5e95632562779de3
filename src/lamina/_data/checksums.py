"""A running checksum of the batches of a stream, by which a resumed run knows that it reads the same ones again."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina._data.arrays import has_axes


def checksum(batch: Any, before: int = 0) -> int:
    """Return the checksum of the batches before, which is `before`, and of this one.

    >>> checksum((np.ones(2), [1, 2])) == checksum((np.ones(2), [1, 2])) != checksum((np.ones(2), [1, 3]))
    True
    """
    if isinstance(batch, Mapping):
        batch = tuple(batch.values())
    nested = isinstance(batch, (tuple, list))
    if nested and any(isinstance(part, (tuple, list, Mapping)) or has_axes(part) for part in batch):
        for part in batch:
            before = checksum(part, before)
        return before
    if hasattr(batch, "detach"):  # torch; NumPy has no bfloat16 of its own
        batch = batch.detach().cpu()
        batch = batch.float() if "bfloat16" in str(batch.dtype) else batch
    array = np.asarray(batch)
    if array.dtype.kind not in "biufcSU":
        return zlib.crc32(repr(array.tolist()).encode(), before)
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8), before)
