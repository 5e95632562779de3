"""Reads batches from generators, data loaders and other sources; one thread fetches the next batches in advance."""

from __future__ import annotations

import itertools
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent import futures  # whose pool of processes is loaded when it is first used
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.sample_weights import class_weighted
from lamina._data.source import Table, arrays
from lamina._settings.run_limits import say_out_of_data
from lamina.errors import ArgumentError, DataError, LaminaError
from lamina.random import next_seed

T = TypeVar("T")


class Stream:
    """A source of batches `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`, epoch after epoch.

    A list of batches, a DataLoader, a dataset of `utils`, a tf.data dataset, a PyDataset and a function that returns an
    iterator are read again from the start when they end. A generator can be read only once.

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
        check: Callable[[Table], object] | None = None,
    ) -> None:
        for argument, given in (("y", y), ("sample_weight", sample_weight)):
            if given is not None:
                raise DataError(
                    f"{argument} cannot be given where {name} is a {type(source).__name__} of batches. "
                    "Put it into the batches: (x, y) or (x, y, sample_weight)."
                )
        if isinstance(class_weight, str):
            raise ArgumentError(
                f"class_weight={class_weight!r} needs all rows at once, which a stream does not show. "
                "Give the weights: class_weight={0: 1.0, 1: 5.0}."
            )
        kinds = {cls.__name__ for cls in type(source).__mro__ if cls.__module__.startswith("torch.utils.data")}
        if "Dataset" in kinds:
            raise DataError(
                f"{name} is a Dataset of torch, which gives one row after the other. Make batches of it: "
                f"torch.utils.data.DataLoader({name}, batch_size=32); batch_size=None if each item is a batch."
            )
        self.source, self.class_weight, self.name, self.floatx = source, class_weight, name, floatx
        self.host = host
        """Turns the raw x of a batch into numbers, if the model has layers that do this on the host."""
        self.check = check
        """Raises an error for a batch that the model cannot take; called with each batch."""
        self.once = hasattr(source, "__next__") and not _is_indexed(source)
        """Whether the source can be read only once."""
        self.by_key = hasattr(source, "_lamina_pass")
        """Whether a pass over the source, a dataset of `utils`, is a function of its key."""
        self.steps = _length(source)
        """The number of batches; None if it is unknown."""
        self.placed = all(hasattr(source, name) for name in ("state_dict", "load_state_dict"))
        """Whether the source says where it is, and can be set to such a place."""
        self.noting = False
        """Whether to ask a source for its place after each batch."""
        self.places: dict[int, Any] = {}
        """Its place after so many batches of the epoch."""
        self.over = False
        """Whether a source that can be read once has given all of its batches, and fewer than were asked for."""
        self.taken, self.begun, self.from_place, self.fruitful = 0, False, False, False
        self._pass: Iterator[Any] | None = None
        """The items of the source that come next, or, where `read` reads them, their numbers."""
        self._read: Callable[[Any], Any] = lambda item: item

    def expect(self, epochs: int, steps: int | None) -> None:
        """Raise a `DataError` if the source can be read only once and several epochs need all of it."""
        if self.once and epochs > 1 and steps is None:
            raise self._spent(f"epochs={epochs} needs it {epochs} times")

    @property
    def replays(self) -> bool:
        """Whether the source has to be read again to come to a place in it."""
        return not (_is_indexed(self.source) or isinstance(self.source, (list, tuple)))

    def go_to(self, place: Any = None) -> None:
        """Begin again with the first batch, or where a source was that said so itself; its epoch stays begun."""
        self._pass, self.from_place = None, place is not None
        if place is not None:
            self.source.load_state_dict(place)

    def position(self, done: int) -> Any:
        """Where a source that says so is after `done` batches of an epoch; None for any other."""
        return self.places[done] if done in self.places else self.source.state_dict() if self.placed else None

    def epoch(
        self, steps: int | None = None, *, shuffle: bool = False, anew: bool = False, ahead: int = 8,
        key: tuple[int, ...] | None = None, skip: int = 0,
    ) -> Generator[Table]:  # fmt: skip
        """The batches of one epoch.

        Args:
            steps: how many batches; None takes all. With a number, the next epoch continues after the last batch.
                Where the source ends before that, the epoch ends with it, and the next one begins at the start.
            shuffle: take the batches of a PyDataset in random order.
            anew: begin at the first batch if the source can be read again, as validation does.
            ahead: how many batches the thread may fetch in advance.
            key: what the order of a shuffled source is a function of; by chance where there is none.
            skip: leave out so many batches at the start of the epoch.
        """
        if steps is None and _is_endless(self.source):
            raise DataError(
                f"{self.name} is a {type(self.source).__name__} that has no end. Say how many batches an epoch has: "
                "steps_per_epoch=... in fit, steps=... in evaluate and predict."
            )
        if self._pass is None or ((steps is None or anew) and not self.once):
            self._open(shuffle, key, 0)
        if not self.begun:
            _call(self.source, "on_epoch_begin")
        self.begun, self.taken, self.places = True, 0, {}
        for count, table in enumerate(fetched(self._tables(steps, shuffle, key, skip), ahead), skip):
            self._look(table, count)
            self.places.pop(count, None)
            yield table
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

    def _tables(self, steps: int | None, shuffle: bool, key: tuple[int, ...] | None, skip: int) -> Iterator[Table]:
        fruitless = False
        if self.from_place:
            self.taken, self.from_place = skip, False
        while True:
            items = itertools.islice(self._pass, None if steps is None else steps - self.taken)  # type: ignore[arg-type]
            for batch in self._batches(items, skip - self.taken):
                self.taken += 1
                if self.placed and self.noting:
                    self.places[self.taken] = self.source.state_dict()
                if self.taken > skip:
                    yield self._table(batch, self.taken - 1)
            if steps is None or self.taken or self.once or fruitless:
                return
            self._open(shuffle, key, 0)  # the epoch before ended with the source
            fruitless = True

    def _batches(self, items: Iterator[Any], skip: int) -> Iterator[Any]:
        """The batches of some items, by as many workers as the source asks for; the first `skip` are not read."""
        yield from itertools.islice(items, max(skip, 0))
        workers = getattr(self.source, "workers", 1) if _is_indexed(self.source) else 1
        processes = workers > 0 and getattr(self.source, "use_multiprocessing", False)
        if not (processes or workers > 1):
            yield from map(self._read, items)
            return
        pool: Executor = ThreadPoolExecutor(workers, "lamina-worker")
        if processes:
            pool = futures.ProcessPoolExecutor(workers, initializer=_begin_worker, initargs=(self.source,))
        try:
            read = _read_in_worker if processes else self._read
            yield from in_advance(pool, read, items, max(self.source.max_queue_size, workers))
        except BrokenExecutor as error:
            raise DataError(
                f"a worker process of {self.name} ended in the middle of its work: the memory was full, or the process "
                "could not be given the object. Try use_multiprocessing=False."
            ) from error

    def opened(self) -> Iterator[Any]:
        """An iterator over the batches of the source, from the first one."""
        self._open()
        return map(self._read, self._pass or ())

    def _open(self, shuffle: bool = False, key: tuple[int, ...] | None = None, taken: int = 0) -> None:
        """Begin a pass over the source, when so many batches of the epoch were taken."""
        source = self.source
        if callable(source) and not hasattr(source, "__iter__"):
            source = source()
            if not hasattr(source, "__iter__"):
                raise DataError(f"{self.name}() gave a {type(source).__name__}; expected a generator or an iterable.")
        if not _is_indexed(source):
            self._pass = source._lamina_pass((*key, taken)) if self.by_key and key is not None else iter(source)
            return
        steps, self._read = _length(source), source.__getitem__
        if steps is None:
            self._pass = itertools.count()
        elif shuffle:
            self._pass = iter(np.random.default_rng((*(key or (next_seed(),)), taken)).permutation(steps).tolist())
        else:
            self._pass = iter(range(steps))

    def _table(self, batch: object, index: int) -> Table:
        parts = tuple(batch) if isinstance(batch, (tuple, list)) and not _is_text(batch) else (batch,)
        where = self._where(index)
        if not 1 <= len(parts) <= 3:
            raise DataError(
                f"{where} is a {type(batch).__name__} of {len(parts)}; expected x, (x, y) or (x, y, sample_weight)."
            )
        try:
            if self.host is not None:
                parts = (self.host(parts[0]), *parts[1:])
            table = arrays(*parts, floatx=self.floatx)
            if not isinstance(self.source, (list, tuple)):  # it may fill the same arrays again for the next batch
                x, y, weight = (_own(array, parts) for array in table[:3])
                table = Table(x, y, weight, table.columns)
            return class_weighted(table, self.class_weight)
        except DataError as error:
            rows = "\nEach item of a stream is a batch of rows, and this one looks like a single row."
            raise type(error)(f"{where}: {error}{rows * (np.ndim(parts[0]) < 2)}") from None

    def _look(self, table: Table, index: int) -> None:
        try:
            if self.check is not None:
                self.check(table)
        except LaminaError as error:
            raise type(error)(f"{self._where(index)}: {error}") from None

    def _where(self, index: int) -> str:
        return f"batch {index} of {self.name}"

    def _spent(self, why: str) -> DataError:
        return DataError(
            f"{self.name} is a {type(self.source).__name__}, which can be read once, and {why}.\n"
            f"Give the function that makes it (fit(make_batches), not fit(make_batches())), a list of batches or a\n"
            f"DataLoader; or steps_per_epoch=... if it goes on for long enough."
        )


def _own(array: Any, given: tuple[Any, ...]) -> Any:
    """The array, or a copy if its memory may be that of what was given."""
    fresh = array is None or (array.flags.owndata and not any(array is part for part in given))
    return array if fresh else np.array(array)


def _is_text(batch: Any) -> bool:
    """Whether a batch is a list of texts, and not (x, y)."""
    return bool(batch) and isinstance(batch[0], (str, bytes))


def _is_indexed(source: object) -> bool:
    """Whether batch i is `source[i]`, as in Keras's PyDataset."""
    if hasattr(source, "__iter__") and not hasattr(source, "on_epoch_end"):
        return False
    return hasattr(source, "__getitem__") and (hasattr(source, "__len__") or hasattr(source, "num_batches"))


def _is_endless(source: object) -> bool:
    """Whether a source says that it has no end."""
    if hasattr(source, "cardinality"):  # of a dataset of ours, and of TensorFlow
        return int(source.cardinality()) == -1
    return _is_indexed(source) and getattr(source, "num_batches", 0) is None


def _length(source: Any) -> int | None:
    if _is_indexed(source) and hasattr(source, "num_batches"):
        return None if source.num_batches is None else int(source.num_batches)
    try:
        return len(source)
    except TypeError:  # a generator, a function, an infinite data set
        return None


def _call(source: object, hook: str) -> None:
    getattr(source, hook, lambda: None)()


_worker: dict[str, Any] = {}
"""In a worker process: the source of its batches."""


def _begin_worker(source: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains, which ends this one
    _worker["source"] = source


def _read_in_worker(index: int) -> Any:
    return _worker["source"][index]


def in_advance(pool: Executor, function: Callable[[Any], T], items: Iterator[Any], ahead: int) -> Iterator[T]:
    """The results of a function for some items, in their order; the pool begins up to `ahead` calls in advance."""
    begun: deque[Future[T]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def fetched(iterator: Iterator[T], ahead: int) -> Iterator[T]:
    """The items of `iterator`, which a thread reads in advance, at most `ahead` items."""
    items: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    free = threading.Semaphore(max(ahead, 1))
    left = threading.Event()

    def fetch() -> None:
        try:
            while free.acquire() and not left.is_set():
                items.put((next(iterator), None))
        except StopIteration:
            items.put((None, None))
        except BaseException as error:
            items.put((None, error))

    thread = threading.Thread(target=fetch, name="lamina-stream", daemon=True)
    thread.start()
    try:
        while True:
            item, error = items.get()
            if error is not None:
                raise error
            if item is None:
                return
            free.release()
            yield item
    finally:
        left.set()
        free.release()
        thread.join(timeout=5)  # a generator that still runs in the thread cannot be read by another one
