"""The batches of a stream as the input of a training or test loop: blocks of memory that a thread fills."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from lamina._arrays import devices
from lamina._arrays.arrays import HostArray
from lamina._arrays.packing import NotPlainError, pack
from lamina._data.data_frames import Columns
from lamina._data.source import Table
from lamina._data.stream import Stream
from lamina._data.windows import EVERYTHING, Window
from lamina._messages.tracebacks import warn
from lamina._settings.run_limits import limited_steps
from lamina._training.feeds import (
    BLOCK_BYTES,
    BLOCK_STEPS,
    ArrayFeed,
    Block,
    Chunk,
    ChunkLength,
    Key,
    aligned,
    in_steps,
    take,
)
from lamina.errors import DataError, LaminaError

STACKED = 4, 64
"""The fewest and the most batches of a stream that may go to the device at a time, if BLOCK_BYTES leaves it open."""
FIRST, PATIENCE = 8, 0.05
"""The most batches in the first block of an epoch, twice as many in each later one; and the seconds after which a block
goes to the device with the batches that have come, if there are four, so that a slow source does not hold up training.
"""


class StreamFeed:
    """Batches of a stream, a few of them on the device at a time.

    The feed holds the stream, the place in it and the batches that were read ahead. It lives for one `fit` or
    `evaluate`.
    """

    def __init__(
        self, stream: Stream, steps: int | None = None, shuffle: bool | str = False, anew: bool = False
    ) -> None:
        self.placement = devices.current()
        self.stream, self.shuffle, self.anew = stream, bool(shuffle), anew
        self.asked = limited_steps(steps, stream.steps)
        self.due = True
        """Whether `on_epoch_end` of the data is called before the next epoch. Keras does so at the
        start of `fit` and of each evaluation."""
        self.columns: Columns | None = None
        self.expected: Any = None
        """The checksum of the batches that were read before the run was interrupted, until it is compared."""
        self.goes_on = False
        """Whether a resumed run may go on with other batches."""
        self.sample: Table | None = None
        """The first batch."""
        self.started: tuple[Block, Generator[Block]] | None = None
        """The first block, if it was read before its epoch, and the generator of the others."""
        self.stacked = 0
        """The most batches of a block, by the bytes of the first one."""
        self.buffers: dict[object, list[dict[str, HostArray]]] = {}
        """Two blocks of memory for each shape of batches: one is filled while the other is computed with."""

    @property
    def steps(self) -> int | None:
        return self.asked if self.asked is not None else self.stream.steps

    @property
    def over(self) -> bool:
        """Whether the source has no further epoch."""
        return self.stream.over

    def first(self, key: Key) -> Table:
        """The first batch; the next epoch still begins with it."""
        blocks = self._epoch(key, 0)
        block = next(blocks)
        self.started, self.sample = (block, blocks), block.table(0, 1)._replace(columns=self.columns)
        return self.sample

    def go_to(self, keys: Sequence[Key], position: Any = None) -> None:
        """Go to the end of the epochs of these keys, or to a `position`. A stream without positions is read again.

        The batches of the current epoch that `chunks` skips are read again too.
        """
        if self.replays(position):
            for key in keys:
                deque(self._blocks(key, EVERYTHING), 0)
            self.expected = position
            if keys:
                self._verify(0)
            return
        if self.started is not None:
            self.started[1].close()
            self.started = None
        self.stream.go_to(position)
        if position is None and not self._by_key:
            for key in keys:
                deque(self._epoch(key, EVERYTHING), 0)

    def replays(self, position: object) -> bool:
        """Whether the source must be read again to reach a place in it."""
        known = position is not None and not _is_checksum(position)
        return not known and self.stream.replays and not self._by_key

    def _verify(self, done: int) -> None:
        """Compare the first `done` batches of the epoch with those that the interrupted run was trained on."""
        if self.expected is None or self.expected[2] != done:
            return
        (_, wanted, _), self.expected = self.expected, None
        if self.stream.position(done)[1] == wanted:
            return
        told = (
            f"the batches of {self.stream.name} differ from those that the run was trained on before it was interrupted"
        )
        if self.goes_on:
            warn(f"{told}. It goes on with them.")
            return
        raise DataError(
            f"{told}, so it cannot end as it would have.\nSeed what decides their order, and start the program twice "
            "with it:\n  DataLoader(..., generator=torch.Generator().manual_seed(0)), torch.manual_seed(0), or\n"
            "  numpy.random.default_rng(0) made within the function that gives the batches.\n"
            "To go on with other batches: fit(..., checkpoint=callbacks.Checkpoint(folder, other_batches=True))."
        )

    @property
    def _by_key(self) -> bool:
        """Whether the key of an epoch alone decides its batches."""
        return self.stream.by_key and self.asked is None

    def position(self, done: int) -> Any:
        """The position of the source after `done` batches of an epoch, if it has positions that can be saved."""
        place = self.stream.position(done)
        try:
            pack(place)
        except NotPlainError:
            return None
        return (*place, done) if _is_checksum(place) else place

    def examples(self) -> list[Chunk]:
        return []

    def example(self) -> Chunk:
        """The first batch, before its epoch begins."""
        assert self.started is not None
        block = self.started[0]
        return Chunk(devices.batches(in_steps(block.data, block.size), self.placement), block.size, 0, 1)

    def chunks(self, key: Key, length: ChunkLength, skip: int = 0) -> Iterator[Chunk]:
        resumed, job = skip > 0, devices.job()
        seen = int(self.started is not None)  # the batch that `first` gave out
        for block in self._blocks(key, skip):
            if resumed and block.first + block.steps >= skip:
                self._verify(skip)
                resumed = False
            at, seen = max(skip - block.first, seen, 0), 0
            if at < block.steps:
                self.stream.look(block.table(at, block.steps - at), block.first + at, block.steps - at)
            if block.following is not None:
                self.stream.look(block.following, block.first + block.steps)
            data = devices.batches(in_steps(block.data, block.size), self.placement)
            at = max(skip - block.first, 0)
            while at < block.steps:
                self.stream.forget(block.first + at)
                count = job.least("x", min(length.most, block.steps - at))
                job.same("the batches", {"rows of a batch": block.size})
                yield Chunk(data, block.size, at, count)
                at += count
        job.least("x", 0)
        if resumed:  # all of the epoch was done before
            self._verify(skip)

    def _blocks(self, key: Key, skip: int) -> Iterator[Block]:
        """The blocks of an epoch. If `first` has read the first block, they begin with it, whatever `skip` is."""
        if self.started is None:
            return self._epoch(key, skip)
        (block, blocks), self.started = self.started, None
        return itertools.chain([block], blocks)

    def _gathered(self, windows: Iterator[Window], first: int) -> Iterator[Block]:
        """Copy the batches one after another into blocks, from the batch `first` of the epoch on.

        If the user's source raises an error, the batches before it are trained first. If a batch is refused, the other
        batches of its block are not trained.
        """
        shapes, into, size, steps, most, begun = None, dict[str, HostArray](), 0, 0, FIRST, time.perf_counter()
        try:
            for window in windows:
                named, at = window.parts.named, 0
                if (
                    new := (window.size, *[(a.shape[1:], a.dtype) for a in named.values()], *named)
                ) != shapes and steps:
                    yield Block(into, first, steps, 0, size, Table(*window.batches(0, 1)))
                    first, steps = first + steps, 0
                most = EVERYTHING if window.steps > 1 else most  # the rows are at hand
                while at < window.steps:
                    if not steps:
                        shapes, size = new, window.size
                        into = self._memory(window, shapes)
                    count = min(window.steps - at, min(most, self.stacked) - steps)
                    rows = window.rows(at, count)
                    for name, array in named.items():
                        take(array, rows, into[name][steps * size : (steps + count) * size])
                    at, steps, self.columns = at + count, steps + count, window.parts.columns
                    late = steps >= STACKED[0] and time.perf_counter() - begun > PATIENCE
                    if late or steps >= min(most, self.stacked):
                        yield Block(into, first, steps, 0, size)
                        first, steps, most, begun = first + steps, 0, min(2 * most, EVERYTHING), time.perf_counter()
        except LaminaError:
            raise
        except Exception:
            if steps:
                yield Block(into, first, steps, 0, size)
            raise
        if steps:
            yield Block(into, first, steps, 0, size)

    def _memory(self, window: Window, shapes: object) -> dict[str, HostArray]:
        """The memory for the next block of batches like those of a window."""
        if not self.stacked:
            batch = window.size * sum(array[:1].nbytes for array in window.parts.named.values())
            most = BLOCK_STEPS if window.steps > 1 else STACKED[1]
            self.stacked = min(max(BLOCK_BYTES // max(batch, 1), STACKED[0]), most)
        if shapes not in self.buffers:
            rows, named = window.size * self.stacked, window.parts.named
            self.buffers[shapes] = [{name: aligned(rows, array) for name, array in named.items()} for _ in range(2)]
        self.buffers[shapes].reverse()
        return self.buffers[shapes][0]

    def _epoch(self, key: Key, skip: int) -> Generator[Block]:
        if self.due:
            self.stream.end_epoch()
        self.due = self.anew
        return self.stream.epoch(
            self.asked, shuffle=self.shuffle, anew=self.anew, key=key, skip=skip, gather=self._gathered
        )


def _is_checksum(position: Any) -> bool:
    return isinstance(position, tuple) and position[:1] == ("checksum",)


Feed = ArrayFeed | StreamFeed
