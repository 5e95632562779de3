"""A small data pipeline on the host: the datasets that functions of `utils` return, such as those of image files."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeAlias

import numpy as np

from lamina._data.elements import Element, as_numpy, leaves_of, padded_stack, rows_of, stacked
from lamina._data.threads import fetched, in_advance
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.converters import checked, fixed_seed, integer, optional, positive
from lamina.errors import CallError, DataError
from lamina.random import next_seed

Key: TypeAlias = tuple[int, ...]
"""A seed and the number of the pass over the data. Together they decide the order of a shuffled pass."""

AUTOTUNE = -1
"""The value that programs pass to let the pipeline choose a number of threads or elements."""
AHEAD = 2
"""The number of elements that are read in advance by default."""
DRAWN = 4096
"""The number of random numbers that a shuffle draws at a time."""


class Dataset:
    """A sequence of elements that is read again in each pass. Each method returns a new dataset and reads nothing.

    >>> rows = slices((np.arange(5), np.arange(5) * 10))
    >>> [y.tolist() for x, y in rows.map(lambda x, y: (x, y + 1)).batch(2)]
    [[1, 11], [21, 31], [41]]

    `fit` passes the number of the epoch to a shuffled dataset, so that a resumed run has the same order.

    Args:
        read: a function that begins a pass: it takes a key and returns the elements.
        length: the number of elements in a pass; None if it is unknown, infinity if the pass does not end.
        class_names: the names of the classes, in the order of their numbers.
        file_paths: the files that the elements come from, in the order in which they were found.
    """

    class_names: list[str] | None
    file_paths: list[str]

    def __init__(
        self,
        read: Callable[[Key], Iterable[Element]],
        length: float | None,
        class_names: list[str] | None = None,
        file_paths: list[str] | None = None,
    ) -> None:
        self._lamina_read, self._lamina_length = read, length
        self._lamina_passes = itertools.count()
        self._lamina_seed: int | None = None
        self._lamina_nodes = 0
        """The number of datasets before this one, which makes the orders of two shuffles in one pipeline differ."""
        self._lamina_encoded: Callable[[Callable[[Any], Any]], Dataset] | None = None
        """For a dataset of tables: returns the dataset whose x is encoded by a given function, many rows at a time."""
        self._lamina_labelled: Callable[[str], Dataset] | None = None
        """For a dataset of tables without targets: returns the dataset whose targets are a given column."""
        self._lamina_batched: int | None = None
        """The size of the batches, if `batch` made this dataset."""
        if class_names is not None:
            self.class_names = class_names
        if file_paths is not None:
            self.file_paths = file_paths

    def __iter__(self) -> Iterator[Element]:
        if self._lamina_seed is None:
            self._lamina_seed = next_seed()
        return self._lamina_pass((self._lamina_seed, next(self._lamina_passes)))

    def __len__(self) -> int:
        if self._lamina_length is None or math.isinf(self._lamina_length):
            what = "is unknown" if self._lamina_length is None else "is infinite"
            raise CallError(
                f"the length of this dataset {what}. Count the elements in a loop; if it is infinite, after take(n)."
            )
        return int(self._lamina_length)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        known = {None: "unknown", math.inf: "infinite"}
        return f"<Dataset, length: {known.get(self._lamina_length, self._lamina_length)}>"

    def _lamina_pass(self, key: Key) -> Iterator[Element]:
        """The elements of one pass; `key` decides the order."""
        return iter(self._lamina_read(key))

    def _lamina_then(self, change: Callable[[Iterator[Element], Key], Iterable[Element]], length: float | None) -> Self:
        """The dataset of the elements that `change` returns for a pass over this dataset."""
        made = type(self)(lambda key: change(self._lamina_pass(key), key), length, getattr(self, "class_names", None))
        made._lamina_nodes = self._lamina_nodes + 1
        return made

    def cardinality(self) -> int:
        """The number of elements in a pass; -1 if the pass does not end, -2 if it is unknown, as in TensorFlow."""
        if self._lamina_length is None:
            return -2
        return -1 if math.isinf(self._lamina_length) else int(self._lamina_length)

    def as_numpy_iterator(self) -> Iterator[Element]:
        """Iterate over the elements once, as NumPy arrays."""
        return (as_numpy(element) for element in self)

    @user_facing
    def map(
        self, map_func: Callable[..., Element], num_parallel_calls: int | None = None,
        deterministic: bool | None = None, name: str | None = None,
    ) -> Self:  # fmt: skip
        """Apply a function to each element. If an element is a tuple, its parts are passed as separate arguments.

        Args:
            map_func: the function.
            num_parallel_calls: the number of threads in which the function runs; -1 takes one for each core.
            deterministic: has no effect: the elements keep their order.
            name: has no effect, here and in the methods below.
        """
        threads = checked("map", "num_parallel_calls", _automatic(os.cpu_count() or 1), num_parallel_calls)

        def call(element: Element) -> Element:
            return map_func(*element) if isinstance(element, tuple) else map_func(element)

        if threads is None:
            return self._lamina_then(lambda elements, key: map(call, elements), self._lamina_length)
        return self._lamina_then(
            lambda elements, key: in_advance(ThreadPoolExecutor(threads, "lamina-map"), call, elements, 2 * threads),
            self._lamina_length,
        )

    @user_facing
    def batch(
        self, batch_size: int, drop_remainder: bool = False, num_parallel_calls: int | None = None,
        deterministic: bool | None = None, name: str | None = None,
    ) -> Self:  # fmt: skip
        """Join each `batch_size` elements to one, with their arrays stacked: (...) becomes (batch, ...).

        Args:
            batch_size: the number of elements in a batch.
            drop_remainder: whether to leave out a last batch that is shorter.
            num_parallel_calls: has no effect.
            deterministic: has no effect.
        """
        return self._lamina_batches(checked("batch", "batch_size", positive, batch_size), drop_remainder, stacked)

    @user_facing
    def padded_batch(
        self, batch_size: int, padded_shapes: Any = None, padding_values: Any = None, drop_remainder: bool = False,
        name: str | None = None,
    ) -> Self:  # fmt: skip
        """Make batches as `batch` does, and fill the shorter arrays of a batch with zeros at their ends.

        >>> words = slices(([[1, 2, 3], [4]], [0, 1]))
        >>> [x.tolist() for x, y in words.padded_batch(2, padded_shapes=([4], []), padding_values=(9, 0))]
        [[[1, 2, 3, 9], [4, 9, 9, 9]]]

        Args:
            batch_size: the number of elements in a batch.
            padded_shapes: the shape to which the arrays are filled, or a tuple or dict with one shape for each part of
                an element. An axis that is None or -1 gets the size of the largest array in the batch, which is also
                the default for all axes.
            padding_values: the value that fills the arrays, or a tuple or dict with one value for each part. The
                default is 0, or "" for text.
            drop_remainder: whether to leave out a last batch that is shorter.
        """
        size = checked("padded_batch", "batch_size", positive, batch_size)
        return self._lamina_batches(
            size, drop_remainder, lambda rows: padded_stack(rows, padded_shapes, padding_values)
        )

    def _lamina_batches(self, size: int, whole: bool, join: Callable[[list[Element]], Element]) -> Self:
        def batches(elements: Iterator[Element], key: Key) -> Iterator[Element]:
            while len(rows := list(itertools.islice(elements, size))) >= (size if whole else 1):
                yield join(rows)

        count = self._lamina_length
        if count is not None and math.isfinite(count):
            count = count // size if whole else -(-count // size)
        made = self._lamina_then(batches, count)
        made._lamina_batched = size
        return made

    def unbatch(self, name: str | None = None) -> Self:
        """Make each row of an element a separate element."""
        return self._lamina_then(lambda elements, key: itertools.chain.from_iterable(map(rows_of, elements)), None)

    @user_facing
    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True, name: str | None = None
    ) -> Self:
        """Put the elements in a random order, which differs in each pass.

        Args:
            buffer_size: the number of waiting elements from which the next one is drawn. If it is the number of all
                elements, each order is equally likely.
            seed: decides the orders. If it is None, the orders differ in each run, unless
                `keras.utils.set_random_seed` was called.
            reshuffle_each_iteration: False keeps the same order in all passes.
        """
        size = checked("shuffle", "buffer_size", positive, buffer_size)
        given = checked("shuffle", "seed", optional(fixed_seed), seed)
        fixed = None if reshuffle_each_iteration else next_seed() if given is None else given
        place = self._lamina_nodes

        def shuffled(elements: Iterator[Element], key: Key) -> Iterator[Element]:
            first = key[0] if given is None else given
            chance = np.random.default_rng((place, first, *key[1:]) if fixed is None else (place, fixed))
            return _shuffled(elements, size, chance)

        return self._lamina_then(shuffled, self._lamina_length)

    @user_facing
    def repeat(self, count: int | None = None, name: str | None = None) -> Self:
        """Repeat the elements `count` times, or without end if it is None. Shuffled elements get a new order each time.

        Args:
            count: the number of times.
        """
        times = checked("repeat", "count", _automatic(None), count)

        def repeated(key: Key) -> Iterator[Element]:
            for turn in itertools.count() if times is None else range(times):
                elements = self._lamina_pass((*key, turn) if turn else key)
                first = next(elements, None)
                if first is None:
                    return
                yield first
                yield from elements

        length = self._lamina_length
        made = type(self)(repeated, length and length * (math.inf if times is None else times))
        made._lamina_nodes = self._lamina_nodes + 1
        return made

    @user_facing
    def take(self, count: int, name: str | None = None) -> Self:
        """Keep only the first `count` elements; -1 keeps all.

        Args:
            count: the number of elements.
        """
        most = checked("take", "count", integer, count)
        if most < 0:
            return self._lamina_then(lambda elements, key: elements, self._lamina_length)
        length = None if self._lamina_length is None else min(self._lamina_length, most)
        return self._lamina_then(lambda elements, key: itertools.islice(elements, most), length)

    @user_facing
    def skip(self, count: int, name: str | None = None) -> Self:
        """Leave out the first `count` elements; -1 leaves out all.

        Args:
            count: the number of elements.
        """
        first = checked("skip", "count", integer, count)
        if first < 0:
            return self._lamina_then(lambda elements, key: iter(()), 0)
        length = None if self._lamina_length is None else max(self._lamina_length - first, 0)
        return self._lamina_then(lambda elements, key: itertools.islice(elements, first, None), length)

    def cache(self, filename: str = "", name: str | None = None) -> Self:
        """Keep the elements of the first complete pass in memory for the later passes.

        A `shuffle` before `cache` has the same order in all passes; a `shuffle` after it has a new order in each.

        Args:
            filename: has no effect except a warning: no file is written.
        """
        if filename:
            warn(f"cache(filename={filename!r}): the elements are kept in memory, not in a file.")
        kept: list[list[Element]] = []
        order = (next_seed(),)

        def cached(key: Key) -> Iterator[Element]:
            if kept:
                yield from kept[0]
                return
            seen = []
            for element in self._lamina_pass(order):  # the order is the same whether training or validation reads first
                seen.append(element)
                yield element
            kept[:] = [seen]

        return type(self)(cached, self._lamina_length, getattr(self, "class_names", None))

    @user_facing
    def prefetch(self, buffer_size: int | None = None, name: str | None = None) -> Self:
        """Read up to `buffer_size` elements in advance, in a thread.

        Args:
            buffer_size: the number of elements; -1 lets the pipeline choose it.
        """
        ahead = checked("prefetch", "buffer_size", _automatic(AHEAD), buffer_size) or AHEAD
        return self._lamina_then(lambda elements, key: fetched(elements, ahead), self._lamina_length)


KIND: dict[str, type[Dataset]] = {"new": Dataset}
"""The class of the datasets that `utils` makes. Under `import tensorflow` it is a class with more of its methods."""


def slices(parts: Element) -> Dataset:
    """A dataset with one element for each row of an array, or of a tuple or dict of arrays."""
    lengths = {len(leaf) for leaf in leaves_of(parts)}
    if len(lengths) != 1:
        raise DataError(f"expected arrays with the same number of rows, got {', '.join(map(str, sorted(lengths)))}.")
    return KIND["new"](lambda key: rows_of(parts), lengths.pop())


def _automatic(chosen: int | None) -> Callable[[object], int | None]:
    """A check that keeps None, replaces -1 with `chosen`, and takes whole numbers of at least 1."""
    return lambda value: None if value is None else chosen if integer(value) == AUTOTUNE else positive(value)


def _shuffled(elements: Iterator[Element], size: int, chance: np.random.Generator) -> Iterator[Element]:
    """Draw each element from `size` waiting ones; the next element takes its place."""
    waiting = list(itertools.islice(elements, size))
    draws: Iterator[int] = iter(())
    for element in elements:
        place = next(draws, None)
        if place is None:
            draws = iter(chance.integers(size, size=DRAWN).tolist())
            place = next(draws)
        drawn, waiting[place] = waiting[place], element
        yield drawn
    for place in chance.permutation(len(waiting)).tolist():
        yield waiting[place]
