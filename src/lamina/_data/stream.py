"""Reads batches from generators, data loaders and other sources; one thread fetches the next batches in advance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.checksums import checksum
from lamina._data.data_frames import Names
from lamina._data.indexed import batches, is_endless, is_indexed, length_of
from lamina._data.row_sources import Rows, apart, as_batches, begun, joined, say_forked, unboxed
from lamina._data.sample_weights import class_weighted
from lamina._data.source import Table, arrays
from lamina._data.threads import fetched
from lamina._data.windows import EVERYTHING, Window, Windows
from lamina._settings.run_limits import say_out_of_data
from lamina.errors import ArgumentError, DataError, LaminaError
from lamina.random import next_seed

Gather = Callable[[Iterator[Window], int], Iterator[Any]]


class Stream:
    """Reads batches `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` from a source, one epoch after the other.

    At its end, a source is read again from the start: a list of batches, a DataLoader, a dataset of `utils` or tf.data,
    a PyDataset, or a function that returns an iterator. A generator can be read only once.

    >>> stream = Stream([(np.ones((4, 2)), np.zeros(4)), (np.ones((3, 2)), np.zeros(3))])
    >>> [batch.rows for batch in stream.epoch()], stream.steps
    ([4, 3], 2)
    """

    def __init__(
        self,
        source: Any,
        y: object = None,
        sample_weight: object = None,
        *,
        class_weight: object = None,
        name: str = "x",
        floatx: str = "float32",
        host: Callable[[Any], HostArray] | None = None,
        target: Callable[[Any], Any] | None = None,
        check: Callable[[Table], object] | None = None,
    ) -> None:
        self.label = y if isinstance(y, str) else None
        """The column of each batch that holds the targets."""
        _require_within_batches(source, name, None if self.label else y, sample_weight, class_weight)
        source = as_batches(source, None)
        say_forked(source, name)
        if host is not None and getattr(source, "_lamina_encoded", None) is not None:
            source, host = source._lamina_encoded(host), None
        self.source, self.class_weight, self.name, self.floatx = source, class_weight, name, floatx
        self.host = host
        """Converts the raw x of a batch to numbers, if the model has layers that do this on the host."""
        self.is_plain = not (self.label or host or class_weight)
        """Whether a batch of arrays needs no conversion."""
        self.columns: Names | None = None
        """The names of the columns of the training data. They select the columns of batches that are frames."""
        self.target = target
        """Converts names of classes in the y of a batch to numbers."""
        self.check = check
        """A function that is called with each batch, and raises an error if the model cannot take it."""
        self.once = hasattr(source, "__next__") and not is_indexed(source)
        """Whether the source can be read only once."""
        self.by_key = hasattr(source, "_lamina_pass")
        """Whether the source is a dataset of `utils`, where a key decides the order of a pass."""
        self.steps = length_of(source)
        """The number of batches; None if it is unknown."""
        self.placed = all(hasattr(source, name) for name in ("state_dict", "load_state_dict"))
        """Whether the source can save and load its position."""
        self.noting = False
        """Whether to save the source's position after each batch."""
        self.places: dict[int, Any] = {}
        """The source's saved positions, by the number of batches read in the epoch."""
        self.checksum, self.whole = 0, True
        """The checksum of all batches, and whether an epoch is a pass."""
        self.restored: Any = None
        """A position for the next pass over a source of Grain."""
        self.over = False
        """Whether a source that can be read only once ended before the epoch had all of its steps."""
        self.taken, self.begun, self.from_place, self.fruitful = 0, False, False, False
        self._pass: Iterator[Any] | None = None
        """The next items of the source, or, if the source is indexed, their numbers."""
        self._read: Callable[[Any], Any] = lambda item: item

    def expect(self, epochs: int, steps: int | None) -> None:
        """Raise a `DataError` if the source can be read only once and several epochs need all of it."""
        if self.once and epochs > 1 and steps is None:
            raise self._spent(f"epochs={epochs} needs it {epochs} times")

    @property
    def replays(self) -> bool:
        """Whether the source has to be read from the start to reach a position in it."""
        return not (is_indexed(self.source) or isinstance(self.source, (list, tuple)))

    def go_to(self, place: Any = None) -> None:
        """Go back to the first batch, or to a position that the source saved. A begun epoch continues."""
        self._pass, self.from_place = None, place is not None
        if place is not None and self.placed:
            self.source.load_state_dict(place)
        elif place is not None:
            self.restored = place

    def position(self, done: int) -> Any:
        """The source's position after `done` batches of an epoch; None if the source cannot save its position."""
        return self.places[done] if done in self.places else self._place(at_start=done == 0)

    def _place(self, at_start: bool = False) -> Any:
        """The position of the source now, or the checksum of all batches that it gave; None if neither is needed."""
        if self.placed:
            return self.source.state_dict()
        now: Any = self._pass
        if hasattr(now, "get_state"):  # an iterator of Grain
            anew = at_start and self.whole  # the next epoch begins a pass of its own
            state = (iter(self.source) if anew else now).get_state()
            return np.frombuffer(state, np.uint8) if isinstance(state, bytes) else state
        return ("checksum", self.checksum) if self.replays and not self.by_key and self.noting else None

    def forget(self, done: int) -> None:
        """Forget the places before `done` batches of the epoch."""
        for old in [old for old in list(self.places) if old < done]:
            self.places.pop(old)

    def epoch(
        self, steps: int | None = None, *, shuffle: bool = False, anew: bool = False, ahead: int = 8,
        key: tuple[int, ...] | None = None, skip: int = 0, gather: Gather | None = None,
    ) -> Generator[Any]:  # fmt: skip
        """Iterate over the batches of one epoch, as tables.

        Args:
            steps: the number of batches; None takes all. With a number, the next epoch continues after the last batch.
                If the source ends before, the epoch ends too, and the next epoch begins at the start of the source.
            shuffle: whether to take the batches of a PyDataset in random order.
            anew: whether to begin at the first batch if the source can be read again, as in validation.
            ahead: the number of batches that the thread may fetch in advance.
            key: decides the order of a shuffled source; without it the order is random.
            skip: the number of batches to leave out at the start of the epoch.
            gather: makes other items of windows of tables, which are given out in their place. The thread calls it with
                the number of the first batch; the arrays of a table may change when it takes the next window.
        """
        if steps is None and is_endless(self.source):
            raise DataError(
                f"{self.name} is a {type(self.source).__name__} without an end. Set the number of batches in an epoch: "
                "steps_per_epoch=... in fit, steps=... in evaluate and predict."
            )
        self.whole = steps is None
        if self._pass is None or ((steps is None or anew) and not self.once):
            self._open(shuffle, key, 0)
        if not self.begun:
            _call(self.source, "on_epoch_begin")
        self.begun, self.taken, self.places = True, 0, {}
        windows = self._tables(steps, shuffle, key, skip, own=gather is None)
        if gather is not None:
            yield from fetched(gather(windows, skip), 1)
        else:
            for count, window in enumerate(fetched(windows, ahead), skip):
                self.look(window.parts, count)
                yield window.parts
        self.over = self.once and self.taken < (steps or 1)
        if self.taken == 0 and not (self.over and self.fruitful):
            raise self._spent("it has no more batches") if self.once else DataError(f"{self.name} gave no batch.")
        self.fruitful = True
        if self.taken < (steps or 1):
            say_out_of_data(self.name, self.taken, steps, last=self.once)
        elif steps is None:
            self.steps = None if self.once else self.taken
        self.begun = False
        self.end_epoch()

    def end_epoch(self) -> None:
        """Call the source's own hook for the end of an epoch."""
        _call(self.source, "on_epoch_end")

    def _tables(
        self, steps: int | None, shuffle: bool, key: tuple[int, ...] | None, skip: int, own: bool
    ) -> Iterator[Window]:
        fruitless = False
        if self.from_place:
            self.taken, self.from_place = skip, False
        most = EVERYTHING if steps is None else steps
        while True:
            if isinstance(self._pass, Windows) and not own:
                yield from self._several(self._pass, most, skip)
            else:
                items: Iterator[Any] = itertools.islice(self._pass, most - self.taken)  # type: ignore[arg-type]
                yield from self._single(items, skip, own)
            if steps is None or self.taken or self.once or fruitless:
                return
            self._open(shuffle, key, 0)  # the source ended exactly with the previous epoch
            fruitless = True

    def _single(self, items: Iterator[Any], skip: int, own: bool) -> Iterator[Window]:
        """Windows of one batch for each item; the first `skip` batches of the epoch are left out."""
        skipped = itertools.islice(items, max(skip - self.taken, 0))
        for batch in itertools.chain(skipped, batches(self.source, self._read, items, self.name)):
            self.taken += 1
            if self.noting:
                if self.replays and not (self.placed or self.by_key):
                    self.checksum = checksum(batch, self.checksum)
                self.places[self.taken] = self._place()
            if self.taken > skip:
                table = self._table(batch, self.taken - 1, own)
                yield Window(table, table.rows, 0, table.rows)

    def _several(self, windows: Windows, most: int, skip: int) -> Iterator[Window]:
        """Windows up to `most` batches of the epoch; the first `skip` are left out."""
        while self.taken < most and (window := windows.take(most - self.taken, self._converted)) is not None:
            first, self.taken = self.taken, self.taken + window.steps
            if (left := window.after(max(skip - first, 0))).steps:
                yield left

    def opened(self) -> Iterator[Any]:
        """Return an iterator over the batches of the source that begins at the first one."""
        self._open()
        return map(self._read, self._pass or ())

    def _open(self, shuffle: bool = False, key: tuple[int, ...] | None = None, taken: int = 0) -> None:
        """Begin a pass over the source; `taken` is the number of batches of the epoch before it."""
        source = self.source
        if callable(source) and not hasattr(source, "__iter__"):
            source = source()
            if not hasattr(source, "__iter__"):
                raise DataError(f"{self.name}() gave a {type(source).__name__}; expected a generator or an iterable.")
        if not is_indexed(source):
            self._pass = source._lamina_pass((*key, taken)) if self.by_key and key is not None else begun(source)
            if self.restored is not None:
                state, self.restored = self.restored, None
                iterator: Any = self._pass
                iterator.set_state(state.tobytes() if isinstance(state, np.ndarray) else state)
            return
        steps, self._read = length_of(source), source.__getitem__
        random = np.random.default_rng((*(key or (next_seed(),)), taken)) if shuffle else None
        if isinstance(source, Rows):
            self._pass = source.places(random)
        elif steps is None:
            self._pass = itertools.count()
        elif random is not None:
            self._pass = iter(random.permutation(steps).tolist())
        else:
            self._pass = iter(range(steps))

    def _converted(self, window: Window) -> Window:
        """A window of a table of numbers."""
        return window._replace(parts=self._table(window.parts, self.taken, own=False))

    def _table(self, batch: object, index: int, own: bool) -> Table:
        """Convert a batch to a table. With `own`, arrays that the source may reuse for its next batch are copied."""
        given: Any = batch
        plain = self.is_plain and not own and type(batch) in (tuple, list) and len(given) in (1, 2, 3)
        given = batch = list(map(unboxed, given)) if plain else batch
        if plain and all(_is_ready(part, self.floatx) for part in given) and len(set(map(len, given))) == 1:
            return Table(*given)
        parts = tuple(batch) if isinstance(batch, (tuple, list)) and not _is_text(batch) else (batch,)
        where = self._where(index)
        if self.label and len(parts) == 1:
            parts = apart(batch, self.label, where)
        if not 1 <= len(parts) <= 3:
            raise DataError(
                f"{where} is a {type(batch).__name__} of {len(parts)}; expected x, (x, y) or (x, y, sample_weight)."
            )
        try:
            if self.host is not None:
                parts = (self.host(parts[0]), *parts[1:])
            elif isinstance(parts[0], Mapping) and (self.label or isinstance(self.source, Rows)):
                parts = (joined(parts[0], where), *parts[1:])
            if self.target is not None and len(parts) > 1:
                parts = (parts[0], self.target(parts[1]), *parts[2:])
            table = arrays(*parts, floatx=self.floatx, trained=self.columns)
            if own and not isinstance(self.source, (list, tuple)):  # the source may reuse the arrays for the next batch
                x, y, weight = (_own(array, parts) for array in table[:3])
                table = Table(x, y, weight, table.columns)
            return class_weighted(table, self.class_weight)
        except DataError as error:
            rows = (
                "\nEach item of a stream is a batch of rows, and this one looks like a single row. Join the rows: "
                f"x, y = map(numpy.stack, zip(*{self.name}))."
            )
            raise type(error)(f"{where}: {error}{rows * (np.ndim(parts[0]) < 2)}") from None

    def look(self, table: Table, index: int, steps: int = 1) -> None:
        """Call `check` for a table of `steps` batches. Its error names the first batch that is refused."""
        size = table.rows // steps
        try:
            if self.check is not None:
                self.check(table)
        except LaminaError as error:
            for step in range(steps if steps > 1 else 0):
                rows = slice(step * size, (step + 1) * size)
                x, y, weight = (None if array is None else array[rows] for array in table[:3])
                assert x is not None
                self.look(Table(x, y, weight, table.columns), index + step)
            raise type(error)(f"{self._where(index)}: {error}") from None

    def _where(self, index: int) -> str:
        return f"batch {index} of {self.name}"

    def _spent(self, why: str) -> DataError:
        return DataError(
            f"{self.name} is a {type(self.source).__name__}, which can be read once, and {why}.\n"
            f"Pass the function that makes it (fit(make_batches), not fit(make_batches())), a list of batches or a\n"
            f"DataLoader; or, if it has enough batches, steps_per_epoch=..."
        )


def _require_within_batches(source: Any, name: str, y: object, sample_weight: object, class_weight: object) -> None:
    """Raise an error for targets or weights that are given beside a stream, or that need all rows."""
    for argument, given in (("y", y), ("sample_weight", sample_weight)):
        if given is not None:
            raise DataError(
                f"{argument} cannot be given where {name} is a {type(source).__name__} of batches. "
                "Put it into the batches: (x, y) or (x, y, sample_weight)."
            )
    if isinstance(class_weight, str):
        raise ArgumentError(
            f"class_weight={class_weight!r} needs all rows at once, but a stream gives them batch by batch. "
            "Give the weights: class_weight={0: 1.0, 1: 5.0}."
        )


def _is_ready(part: object, floatx: str) -> bool:
    """Whether `arrays` would return this part of a batch unchanged."""
    if type(part) is not np.ndarray or not part.size or not part.ndim:
        return False
    kind = part.dtype
    return kind == floatx or (kind.kind in "iu" and kind.itemsize < 8 and kind.isnative)


def _own(array: Any, given: tuple[Any, ...]) -> Any:
    """Return the array, or a copy if it may share memory with the given batch."""
    fresh = array is None or (array.flags.owndata and not any(array is part for part in given))
    return array if fresh else np.array(array)


def _is_text(batch: Any) -> bool:
    """Whether a batch is a list of texts and not a pair (x, y)."""
    return bool(batch) and isinstance(batch[0], (str, bytes))


def _call(source: object, hook: str) -> None:
    getattr(source, hook, lambda: None)()
