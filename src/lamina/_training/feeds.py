"""The input of a training or test loop: arrays on the device, and the rows of the next steps."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from lamina._arrays import devices
from lamina._arrays.arrays import Array, HostArray
from lamina._data.arrays import INT32, read
from lamina._data.source import Table
from lamina._data.threads import fetched
from lamina._settings.converters import positive, short
from lamina._settings.run_limits import limited_steps, say_out_of_data
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError

ALIGNED = 64
"""JAX uses a host array without a copy if its address is a multiple of this; a copy costs five times more."""
BLOCK_BYTES, BLOCK_STEPS = 2**22, 1024
"""The bytes of array rows, and the most batches, that go to the device at a time."""


Key = tuple[int, int]
"""The model's seed and its number of trained steps at the start of an epoch: they decide the order of the rows."""


class Chunk(NamedTuple):
    """`steps` batches of `size` rows each, from batch `start` on: the data of one call of a program.

    A chunk holds the arrays of its block, and lives for that call. A short last batch is the first `size` rows of one.
    """

    data: Mapping[str, Array | HostArray]  # (batches, rows, ...)
    size: int
    start: int
    steps: int


class ChunkLength:
    """The number of steps in one call. A call lasts about `seconds`, so that Ctrl-C and the progress bar stay quick."""

    def __init__(
        self, steps: int | None = None, seconds: float = 0.075, every: int | None = None, total: int = 0
    ) -> None:
        self.fixed, self.seconds = steps is not None, seconds
        self.steps = steps or 4
        self.begun = 0.0
        self.every, self.total, self.latest = every, total, 0
        """A call ends where `total`, the steps so far, is a multiple of `every`. A fixed length ignores it."""
        self.limit: int | None = None
        """The most steps of the next call, which callbacks may set. A fixed length ignores it."""

    @property
    def most(self) -> int:
        """How many steps the next call runs at most, as process 0 of a job says."""
        return int(devices.job().agreed("steps", self._most()))

    def _most(self) -> int:
        if self.fixed:
            return self.steps
        every = self.every - self.total % self.every if self.every else self.steps
        return min(self.steps, every, self.limit or self.steps)

    @property
    def due(self) -> bool:
        """Whether the latest call reached or passed a multiple of `every`."""
        return self.every is not None and self.total // self.every > (self.total - self.latest) // self.every

    def start(self) -> None:
        self.begun = time.perf_counter()

    def done(self, steps: int) -> None:
        self.latest, self.total = steps, self.total + steps
        if not self.fixed:
            each = (time.perf_counter() - self.begun) / steps
            self.steps = int(min(max(self.seconds / each, 1), 8 * self.steps, 2**20))


def aligned(rows: int, like: HostArray) -> HostArray:
    """An empty array with `rows` rows of the shape and dtype of another. Memory never written uses no RAM."""
    size = rows * like[:1].nbytes
    memory = np.empty(size + ALIGNED, np.uint8)
    first = -memory.ctypes.data % ALIGNED
    return memory[first : first + size].view(like.dtype).reshape(rows, *like.shape[1:])


class Block(NamedTuple):
    """The rows of `steps` batches that go to the device together, from the batch `first` of the pass on.

    The first `skip` batches were trained before. A block holds the arrays of these rows until its last chunk is made.
    """

    data: Mapping[str, Array | HostArray]
    first: int
    steps: int
    skip: int = 0
    size: int = 0
    """The rows of a batch of a stream."""
    following: Table | None = None
    """The next batch, if its other shapes ended the block: it is looked at before the block is trained."""

    def table(self, first: int, steps: int) -> Table:
        """The rows of some batches of a stream."""
        rows = slice(first * self.size, (first + steps) * self.size)
        parts = (self.data[name][rows] if name in self.data else None for name in ("x", "y", "weight"))
        return Table(*parts)  # type: ignore[arg-type]


class ArrayFeed:
    """Arrays in memory or in a file, which go to the device some batches at a time.

    The feed holds the table, the order of its rows and the place in that order. It lives for one `fit` or `evaluate`.
    If an epoch has fewer steps than the data, the next epoch continues there, up to the end of the data.
    The sizes of a chunk's arrays do not depend on the number of rows, so data of all sizes shares the programs.

    Args:
        fill: whether a short last batch may be filled with rows that do not count, so that it needs no program of its
            own. Marking the rows that count takes 1 to 2 % of a small step; compiling a program takes a second.
        look: a function that gets each part of an x in a file, and its row numbers; it may raise an error.
    """

    def __init__(
        self, table: Table, batch_size: int, steps: int | None = None, shuffle: bool | str = False, anew: bool = False,
        fill: bool = False, look: Callable[[HostArray, HostArray], None] | None = None,
    ) -> None:  # fmt: skip
        self.table, self.shuffle, self.anew, self.look = table, shuffle, anew, look
        self.size = min(batch_size, table.rows)
        self.placement = devices.current()
        full, self.tail = divmod(table.rows, self.size)
        self.whole = full + (self.tail > 0)
        # If filling makes the epoch more than an eighth longer, a second program is cheaper.
        fills = fill and self.tail > 0 and (self.size - self.tail) * 8 <= table.rows
        self.alone = full if self.tail and not fills else None
        """The number of the short last batch, if it runs by itself."""
        steps = limited_steps(steps, self.whole)
        self.steps = self.whole if steps is None else steps
        self.over = False
        """Whether no further epoch is possible."""
        self.at = 0
        """The number of the next batch in the current pass over the rows; an epoch may end within a pass."""
        self.order: HostArray | None = None
        self.pass_key: tuple[int, ...] = ()
        """The key that decides the order of the rows in the current pass."""
        self.arrays = table.named
        rows = {name: read(array, slice(1), floatx()) for name, array in self.arrays.items()}
        batch = sum(row.nbytes for row in rows.values()) * self.size
        self.stacked = max(min(BLOCK_BYTES // max(batch, 1), BLOCK_STEPS), 1)
        """How many batches go to the device at a time."""
        if fills:
            rows["counted"] = np.ones(1, np.float32)
        count = 2 if self.whole > self.stacked else 1  # the next block is read while this one is computed
        length = self.stacked * self.size
        self.buffers = [{name: aligned(length, row) for name, row in rows.items()} for _ in range(count)]

    def examples(self) -> list[Chunk]:
        """A chunk for each program that an epoch needs."""
        block = Block(devices.batches(in_steps(self.buffers[0], self.size), self.placement), 0, self.whole)
        return [self._chunk(block, at, 1) for at in (0, self.alone) if at is not None]

    def go_to(self, keys: Sequence[Key], position: Any = None) -> None:
        """Go to the end of the epochs of these keys, without reading their rows."""
        for key in keys:
            deque(self._blocks(key, skip=self.steps), 0)

    def position(self, done: int) -> None:
        """Always None: the keys of the epochs are enough to find the place again."""

    def example(self) -> Chunk:
        return self.examples()[0]

    def chunks(self, key: Key, length: ChunkLength, skip: int = 0) -> Iterator[Chunk]:
        """One epoch, in chunks of at most `length.most` steps.

        The `key` of the epoch in which a pass begins decides the order of that pass. The first `skip` batches are left
        out: they were trained before.
        """
        blocks, left = self._blocks(key, skip), self.whole - (0 if self.anew else self.at)
        for block in fetched(blocks, 1) if len(self.buffers) > 1 else blocks:
            block = block._replace(data=devices.batches(in_steps(block.data, self.size), self.placement))
            at, end = block.first + block.skip, block.first + block.steps
            while at < end:
                together = end if self.alone is None else min(end, self.alone)
                count = 1 if at == self.alone else min(length.most, together - at)
                yield self._chunk(block, at, count)
                at += count
        if left < self.steps:
            say_out_of_data("x", left, self.steps)

    def _chunk(self, block: Block, at: int, count: int) -> Chunk:
        return Chunk(block.data, self.tail if at == self.alone else self.size, at - block.first, count)

    def _blocks(self, key: Key, skip: int) -> Iterator[Block]:
        left = self.steps
        self.at = 0 if self.anew else self.at
        while left:
            if self.at == 0:
                self.order, self.pass_key = None, (*key, left)
            first, steps = self.at, min(self.stacked, self.whole - self.at, left)
            if skip < steps:
                if self.order is None:
                    self.order = self._order(self.pass_key)
                self.buffers.reverse()
                self._read(first * self.size, min((first + steps) * self.size, self.table.rows), steps)
                yield Block(self.buffers[0], first, steps, skip)
            skip = max(skip - steps, 0)
            self.at = (first + steps) % self.whole
            left = left - steps if self.at else 0  # an epoch ends with the data, as in Keras

    def _read(self, begin: int, end: int, steps: int) -> None:
        """Write the next rows into the buffer."""
        rows = slice(begin, end) if self.order is None else self.order[begin:end]
        count = end - begin
        for name, array in self.arrays.items():
            into = self.buffers[0][name][: steps * self.size]
            take(array, rows, into[:count])
            into[count:] = into[count - 1]  # a real row fills a short batch, since the model accepts its values
        if (counted := self.buffers[0].get("counted")) is not None:
            counted[:count], counted[count:] = 1, 0
        if self.look is not None:
            self.look(self.buffers[0]["x"][:count], np.arange(begin, end) if isinstance(rows, slice) else rows)

    def _order(self, key: tuple[int, ...]) -> HostArray | None:
        """The order of the rows in the next pass; None if they are not shuffled."""
        rows, random = self.table.rows, np.random.default_rng(key)
        if self.shuffle == "batch":
            starts = range(0, rows, self.size)
            return np.concatenate([s + random.permutation(min(self.size, rows - s)) for s in starts])
        return random.permutation(rows) if self.shuffle else None


def in_steps(data: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The rows of batches as arrays with an axis of batches.  (batches * size, ...) -> (batches, size, ...)"""
    return {name: array.reshape(-1, size, *array.shape[1:]) for name, array in data.items()}


def take(array: HostArray, rows: HostArray | slice, into: HostArray) -> None:
    """Copy some rows of an array, which may be in a file, into another array."""
    if not isinstance(rows, slice) and array.dtype == into.dtype and array.flags.c_contiguous and array.flags.aligned:
        np.asarray(array).take(rows, 0, into, "clip")  # half the time of indexing
        return
    part = read(array, rows, floatx())
    if part.dtype != into.dtype:
        raise DataError(f"x holds whole numbers beyond {INT32.max}, and smaller ones before; use x.astype('float32').")
    into[...] = part


def batch_size_for(rows: int, batch_size: int | None, steps: int | None) -> int:
    """The batch size by Keras's rule: 32 if none is given, or the size for which `steps` batches hold all rows."""
    if batch_size is None:
        return -(-rows // steps) if steps else 32
    return given_batch_size(batch_size)


def given_batch_size(batch_size: object) -> int:
    """The `batch_size` of a call, checked."""
    try:
        return positive(batch_size)
    except ArgumentError as error:
        raise ArgumentError(f"batch_size={short(batch_size)}: {error}") from None
