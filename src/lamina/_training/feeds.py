"""What a training or test loop is fed with: arrays on the device, and which of their rows come next."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from lamina._base.converters import positive, short
from lamina._base.frames import warn
from lamina._data.source import Table
from lamina._data.stream import Stream
from lamina.errors import ArgumentError

ALIGNED = 64
"""JAX takes an array on the host as it is if it begins at a multiple of so many bytes; a copy costs five times more."""
STACKED = 8
"""How many batches of a stream go to the device at a time."""


class Chunk(NamedTuple):
    """`steps` batches of `size` rows each, from `start` on."""

    data: dict[str, Any]
    order: Any
    size: int
    start: np.int32
    steps: np.int32


class ChunkLength:
    """How many steps one call runs: as many as fill `seconds`, and not more, for Ctrl-C and the progress bar."""

    def __init__(self, steps: int | None = None, seconds: float = 0.075) -> None:
        self.fixed, self.seconds = steps is not None, seconds
        self.steps = steps or 4
        self.begun = 0.0

    def start(self) -> None:
        self.begun = time.perf_counter()

    def done(self, steps: int) -> None:
        if not self.fixed:
            each = (time.perf_counter() - self.begun) / steps
            self.steps = int(min(max(self.seconds / each, 1), 8 * self.steps, 2**20))


def bucket(rows: int) -> int:
    """`rows` rounded up by at most a sixteenth, so that data of nearly equal sizes share a program.

    >>> bucket(7), bucket(1000), bucket(26_048)
    (7, 1024, 26624)
    """
    grain = 1 << max(rows.bit_length() - 5, 0)
    return -(-rows // grain) * grain


def on_device(table: Table, rows: int) -> dict[str, Any]:
    """The table's arrays on the device, with rows of zeros behind them up to `rows`."""
    named = {"x": table.x, "y": table.y, "weight": table.sample_weight}
    return {name: jax.device_put(_padded(array, rows)) for name, array in named.items() if array is not None}


def _padded(array: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    if len(array) == rows and array.ctypes.data % ALIGNED == 0:
        return array
    size = rows * array[:1].nbytes
    memory = np.empty(size + ALIGNED, np.uint8)
    first = -memory.ctypes.data % ALIGNED
    padded: np.ndarray[Any, Any] = memory[first : first + size].view(array.dtype).reshape(rows, *array.shape[1:])
    padded[: len(array)], padded[len(array) :] = array, 0
    return padded


class ArrayFeed:
    """Arrays that lie on the device as long as the loop runs; an epoch is an order of their rows."""

    def __init__(
        self, table: Table, batch_size: int, steps: int | None = None, shuffle: bool | str = False, anew: bool = False
    ) -> None:
        self.table, self.shuffle, self.anew = table, shuffle, anew
        self.full, self.tail = divmod(table.rows, batch_size)
        self.size = batch_size
        self.whole = self.full + (self.tail > 0)
        if anew and steps is not None and steps > self.whole:
            warn(f"the data has {self.whole} batches of {batch_size}, fewer than the {steps} steps asked for.")
            steps = self.whole
        self.steps = self.whole if steps is None else steps
        self.at = 0
        """The batch of the current pass over the rows that comes next; an epoch may end within a pass."""
        self.data = on_device(table, bucket(table.rows))

    def first(self) -> Table:
        return self.table

    def examples(self) -> list[Chunk]:
        """A chunk for each batch size that an epoch has; each needs a program."""
        sizes = ([self.size] if self.full else []) + ([self.tail] if self.tail else [])
        order = self._order((0,), shuffle=False)
        return [Chunk(self.data, order, size, np.int32(0), np.int32(1)) for size in sizes]

    def chunks(self, key: tuple[int, int], length: ChunkLength) -> Iterator[Chunk]:
        """One epoch in chunks as long as `length` says; the order is a pure function of `key`, where a pass begins."""
        left = self.steps
        self.at = 0 if self.anew else self.at
        while left:
            if self.at == 0:
                self.order = self._order((*key, left), self.shuffle)
            short = self.at == self.full
            count = 1 if short else min(length.steps, self.full - self.at, left)
            start = np.int32(self.at * self.size)
            yield Chunk(self.data, self.order, self.tail if short else self.size, start, np.int32(count))
            left -= count
            self.at = (self.at + count) % self.whole

    def _order(self, key: tuple[int, ...], shuffle: bool | str) -> Any:
        rows = self.table.rows
        order = np.zeros(bucket(rows), np.int32)
        random = np.random.default_rng(key)
        if shuffle == "batch":
            starts = range(0, rows, self.size)
            order[:rows] = np.concatenate([s + random.permutation(min(self.size, rows - s)) for s in starts])
        else:
            order[:rows] = random.permutation(rows) if shuffle else np.arange(rows)
        return jax.device_put(order)


class StreamFeed:
    """Batches as they come, a few of them on the device at a time."""

    def __init__(
        self, stream: Stream, steps: int | None = None, shuffle: bool | str = False, anew: bool = False
    ) -> None:
        self.stream, self.asked, self.shuffle, self.anew = stream, steps, bool(shuffle), anew
        self.started: Iterator[Table] | None = None

    @property
    def steps(self) -> int | None:
        return self.asked if self.asked is not None else self.stream.steps

    def first(self) -> Table:
        """The first batch; the next epoch still begins with it."""
        tables = self._epoch()
        table = next(tables)
        self.started = itertools.chain([table], tables)
        return table

    def examples(self) -> list[Chunk]:
        return []

    def chunks(self, key: tuple[int, int], length: ChunkLength) -> Iterator[Chunk]:
        tables, self.started = self.started or self._epoch(), None
        stacked = min(length.steps, STACKED) if length.fixed else STACKED
        for like, group in itertools.groupby(tables, _shapes):
            while batches := list(itertools.islice(group, stacked)):
                size = like[0][0][0]
                joined = Table(*(_joined([table[part] for table in batches]) for part in range(3)))
                order = jax.device_put(np.arange(size * stacked, dtype=np.int32))
                data = on_device(joined, size * stacked)
                yield Chunk(data, order, size, np.int32(0), np.int32(len(batches)))

    def _epoch(self) -> Iterator[Table]:
        return self.stream.epoch(self.asked, shuffle=self.shuffle, anew=self.anew)


def _shapes(table: Table) -> tuple[Any, ...]:
    return tuple(None if array is None else (array.shape, array.dtype) for array in table[:3])


def _joined(arrays: list[Any]) -> Any:
    return None if arrays[0] is None else np.concatenate(arrays)


Feed = ArrayFeed | StreamFeed


def batch_size_for(rows: int, batch_size: int | None, steps: int | None) -> int:
    """Keras's rule: 32 where none is given, or what `steps` batches need."""
    if batch_size is None:
        return -(-rows // steps) if steps else 32
    return given_batch_size(batch_size)


def given_batch_size(batch_size: Any) -> int:
    """The `batch_size` of a call, checked."""
    try:
        return positive(batch_size)
    except ArgumentError as error:
        raise ArgumentError(f"batch_size={short(batch_size)}: {error}") from None
