"""A small pipeline on the host, for data that is read file by file: what the dataset makers of `utils` return."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeAlias

import numpy as np

from lamina._data.stream import fetched, in_advance
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.converters import checked, fixed_seed, integer, optional, positive
from lamina.errors import CallError, DataError
from lamina.random import next_seed

Key: TypeAlias = tuple[int, ...]
"""A seed, and which pass over the data it is: what the order of a shuffled pass is a function of."""
Element: TypeAlias = Any
"""An array, text or number; or a tuple, such as (x, y), or a dict of these."""

AUTOTUNE = -1
"""What programs give in place of a number of threads or of elements, to leave it to the pipeline."""
AHEAD = 2
"""How many elements are read in advance where the program leaves it open."""
DRAWN = 4096
"""How many random numbers a shuffle draws at a time."""


class Dataset:
    """Elements in a row, read anew in each pass; each method returns a new dataset, and nothing is read before a pass.

    >>> rows = slices((np.arange(5), np.arange(5) * 10))
    >>> [y.tolist() for x, y in rows.map(lambda x, y: (x, y + 1)).batch(2)]
    [[1, 11], [21, 31], [41]]

    `fit` tells a shuffled dataset which pass it is, so that a run that is resumed sees the same order.

    Args:
        read: begins a pass: from a key to the elements.
        length: how many elements a pass has; None where that is unknown, infinity where it does not end.
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
        """How many datasets this one is made of: two shuffles in a line have different orders."""
        self._lamina_batched: int | None = None
        """The size of its batches, if it was made by `batch`."""
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
            raise CallError(f"the length of this dataset {what}. Count in a loop over it, after take(n) if need be.")
        return int(self._lamina_length)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        known = {None: "unknown", math.inf: "infinite"}
        return f"<Dataset, length: {known.get(self._lamina_length, self._lamina_length)}>"

    def _lamina_pass(self, key: Key) -> Iterator[Element]:
        """The elements of the pass that `key` says."""
        return iter(self._lamina_read(key))

    def _lamina_then(self, change: Callable[[Iterator[Element], Key], Iterable[Element]], length: float | None) -> Self:
        """The dataset of the elements that `change` makes of a pass over these."""
        made = type(self)(lambda key: change(self._lamina_pass(key), key), length, getattr(self, "class_names", None))
        made._lamina_nodes = self._lamina_nodes + 1
        return made

    def cardinality(self) -> int:
        """How many elements a pass has; -1 where it does not end, -2 where that is unknown, as in TensorFlow."""
        if self._lamina_length is None:
            return -2
        return -1 if math.isinf(self._lamina_length) else int(self._lamina_length)

    def as_numpy_iterator(self) -> Iterator[Element]:
        """A pass over the elements, with arrays of NumPy."""
        return (_as_numpy(element) for element in self)

    @user_facing
    def map(
        self, map_func: Callable[..., Element], num_parallel_calls: int | None = None,
        deterministic: bool | None = None, name: str | None = None,
    ) -> Self:  # fmt: skip
        """The results of a function, which gets the parts of an element that is a tuple one by one.

        Args:
            map_func: the function.
            num_parallel_calls: in how many threads it runs; -1 takes as many as there are cores.
            deterministic: has no effect: the order of the elements stays.
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
        """Each `batch_size` elements as one, their arrays stacked: (...) becomes (batch, ...).

        Args:
            batch_size: how many elements a batch has.
            drop_remainder: whether a last batch that is shorter is left out.
            num_parallel_calls: has no effect.
            deterministic: has no effect.
        """
        return self._lamina_batches(checked("batch", "batch_size", positive, batch_size), drop_remainder, stacked)

    @user_facing
    def padded_batch(
        self, batch_size: int, padded_shapes: Any = None, padding_values: Any = None, drop_remainder: bool = False,
        name: str | None = None,
    ) -> Self:  # fmt: skip
        """As `batch`, with zeros behind the shorter arrays of a batch.

        >>> words = slices(([[1, 2, 3], [4]], [0, 1]))
        >>> [x.tolist() for x, y in words.padded_batch(2, padded_shapes=([4], []), padding_values=(9, 0))]
        [[[1, 2, 3, 9], [4, 9, 9, 9]]]

        Args:
            batch_size: how many elements a batch has.
            padded_shapes: the shape that the arrays are brought to, or a tuple or dict of shapes for elements of parts;
                an axis that is None or -1 is as long as in the longest array of the batch, as all are unless given.
            padding_values: what stands behind the shorter arrays, or a tuple or dict; 0, or "" in text, unless given.
            drop_remainder: whether a last batch that is shorter is left out.
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
        """The rows of each element as elements of their own."""
        return self._lamina_then(lambda elements, key: itertools.chain.from_iterable(map(rows_of, elements)), None)

    @user_facing
    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True, name: str | None = None
    ) -> Self:
        """The elements in random order, another one in each pass.

        Args:
            buffer_size: among how many elements the next one is drawn; with all of them each order is as likely.
            seed: what the orders are a function of; if None, they are others in each run, unless
                `keras.utils.set_random_seed` was called.
            reshuffle_each_iteration: False keeps one order for all passes.
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
        """The elements `count` times over, in a new order each time where they are shuffled; None goes on without end.

        Args:
            count: how many times.
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
        """The first `count` elements; -1 takes all.

        Args:
            count: how many.
        """
        most = checked("take", "count", integer, count)
        if most < 0:
            return self._lamina_then(lambda elements, key: elements, self._lamina_length)
        length = None if self._lamina_length is None else min(self._lamina_length, most)
        return self._lamina_then(lambda elements, key: itertools.islice(elements, most), length)

    @user_facing
    def skip(self, count: int, name: str | None = None) -> Self:
        """The elements after the first `count`; -1 skips all.

        Args:
            count: how many.
        """
        first = checked("skip", "count", integer, count)
        if first < 0:
            return self._lamina_then(lambda elements, key: iter(()), 0)
        length = None if self._lamina_length is None else max(self._lamina_length - first, 0)
        return self._lamina_then(lambda elements, key: itertools.islice(elements, first, None), length)

    def cache(self, filename: str = "", name: str | None = None) -> Self:
        """The elements of the first whole pass, kept in memory for the later ones.

        What was shuffled before keeps one order: shuffle behind it, to have another one in each pass.

        Args:
            filename: has no effect but a warning: no file is written.
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
            for element in self._lamina_pass(order):  # the same, whichever pass comes first
                seen.append(element)
                yield element
            kept[:] = [seen]

        return type(self)(cached, self._lamina_length, getattr(self, "class_names", None))

    @user_facing
    def prefetch(self, buffer_size: int | None = None, name: str | None = None) -> Self:
        """The same elements; a thread reads up to `buffer_size` of them in advance.

        Args:
            buffer_size: how many; -1 leaves it to the pipeline.
        """
        ahead = checked("prefetch", "buffer_size", _automatic(AHEAD), buffer_size) or AHEAD
        return self._lamina_then(lambda elements, key: fetched(elements, ahead), self._lamina_length)


KIND: dict[str, type[Dataset]] = {"new": Dataset}
"""The class of the datasets that `utils` makes: programs for TensorFlow get one that has more of its methods."""


def slices(parts: Element) -> Dataset:
    """The rows of arrays, and of tuples and dicts of arrays, as elements."""
    lengths = {len(leaf) for leaf in leaves_of(parts)}
    if len(lengths) != 1:
        raise DataError(f"expected arrays with the same number of rows, got {', '.join(map(str, sorted(lengths)))}.")
    return KIND["new"](lambda key: rows_of(parts), lengths.pop())


def stacked(rows: list[Element]) -> Element:
    """The elements of a batch as one, their arrays stacked."""
    first = rows[0]
    if isinstance(first, tuple):
        return tuple(stacked(list(parts)) for parts in zip(*rows, strict=True))
    if isinstance(first, Mapping):
        return {name: stacked([row[name] for row in rows]) for name in first}
    if isinstance(first, (str, bytes)):
        return np.array(rows, object)
    arrays = [np.asarray(row) for row in rows]
    if len(shapes := {array.shape for array in arrays}) > 1:
        raise DataError(
            f"the elements of a batch have different shapes: {', '.join(map(str, sorted(shapes)[:4]))}. "
            "Bring them to one shape in map, before batch; or use padded_batch."
        )
    return np.stack(arrays)


def padded_stack(rows: list[Element], shapes: Any, fill: Any) -> Element:
    """The same, where arrays that differ in size are filled up, to `shapes` where these say it."""
    first = rows[0]
    if isinstance(first, (tuple, Mapping)):
        places = list(first) if isinstance(first, Mapping) else range(len(first))
        for what, told in (("padded_shapes", shapes), ("padding_values", fill)):
            if isinstance(told, (list, tuple, Mapping)) and len(told) != len(first):
                raise DataError(f"{what} has {len(told)} parts, and an element of the data has {len(first)}.")
        parts = {
            place: padded_stack(
                [row[place] for row in rows],
                None if shapes is None else shapes[place],
                fill[place] if isinstance(fill, (list, tuple, Mapping)) else fill,
            )
            for place in places
        }
        return parts if isinstance(first, Mapping) else tuple(parts.values())
    arrays = [np.asarray(row, object if isinstance(row, (str, bytes)) else None) for row in rows]
    kind = np.dtype(object) if arrays[0].dtype.kind in "SU" else arrays[0].dtype
    nothing = "" if kind.kind == "O" else 0
    size = _padded_size({array.shape for array in arrays}, shapes)
    padded = np.full((len(arrays), *size), nothing if fill is None else fill, kind)
    for place, array in enumerate(arrays):
        where: tuple[Any, ...] = (place, *map(slice, array.shape))
        padded[where] = array
    return padded


def _padded_size(found: set[Any], shape: Any) -> tuple[int, ...]:
    """The shape that holds all of the `found` ones, with the sizes that `shape` says."""
    told = ", ".join(map(str, sorted(found)[:4]))
    if len({len(each) for each in found}) > 1:
        raise DataError(f"padded_batch takes arrays with the same number of axes, and there are {told}.")
    most = tuple(map(max, zip(*found, strict=True)))
    size = most if shape is None else tuple(n if n not in (None, -1) else m for n, m in zip(shape, most, strict=False))
    if len(size if shape is None else shape) != len(most) or any(n < m for n, m in zip(size, most, strict=True)):
        raise DataError(f"padded_batch(padded_shapes={shape}): it has no room for the arrays of a batch, {told}.")
    return size


def leaves_of(parts: Element) -> Iterator[Any]:
    if isinstance(parts, (tuple, Mapping)):
        for part in parts.values() if isinstance(parts, Mapping) else parts:
            yield from leaves_of(part)
    else:
        yield parts


def rows_of(parts: Element) -> Iterator[Element]:
    """The rows of the arrays in an element, one after the other."""
    if isinstance(parts, tuple):
        return zip(*map(rows_of, parts), strict=True)
    if isinstance(parts, Mapping):
        return (dict(zip(parts, row, strict=True)) for row in zip(*map(rows_of, parts.values()), strict=True))
    return iter(parts if isinstance(parts, (list, np.ndarray)) else np.asarray(parts))


def _as_numpy(element: Element) -> Element:
    if isinstance(element, tuple):
        return tuple(map(_as_numpy, element))
    if isinstance(element, Mapping):
        return {name: _as_numpy(part) for name, part in element.items()}
    return element if isinstance(element, (str, bytes)) else np.asarray(element)


def _automatic(chosen: int | None) -> Callable[[object], int | None]:
    """None as it is, -1 as what is `chosen`, or a whole number of at least 1."""
    return lambda value: None if value is None else chosen if integer(value) == AUTOTUNE else positive(value)


def _shuffled(elements: Iterator[Element], size: int, chance: np.random.Generator) -> Iterator[Element]:
    """The elements, each drawn from `size` that wait; the first come into an order of their own."""
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
