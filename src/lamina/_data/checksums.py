"""A checksum over the batches of a stream. A resumed run compares it, to make sure that it reads the same batches."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from lamina._data.arrays import has_axes


def checksum(batch: Any, before: int = 0) -> int:
    """Extend a checksum by one more batch; `before` is the checksum of the batches before it.

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
