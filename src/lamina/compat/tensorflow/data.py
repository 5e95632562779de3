"""`tf.data.Dataset` on the host. Each method returns a new dataset, and nothing is read before a pass."""

from __future__ import annotations

import glob
import itertools
import math
import random as chance
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import jax
import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data import dataset
from lamina._data.dataset import AUTOTUNE as AUTOTUNE
from lamina._data.elements import rows_of
from lamina._messages.tracebacks import user_facing
from lamina.compat.tensorflow.session import Options as Options
from lamina.compat.tensorflow.stand_in import StandIn, namespace
from lamina.compat.tensorflow.texts import HostTensor, Text, eager, of_pipeline
from lamina.compat.tensorflow.variables import TensorSpec
from lamina.errors import CallError, DataError

__all__ = ["AUTOTUNE", "Dataset", "Options", "experimental"]

INFINITE, UNKNOWN = -1, -2


def _parts(given: object) -> Any:
    """Convert lists to arrays, also inside of tuples and dicts."""
    if isinstance(given, tuple):
        return tuple(map(_parts, given))
    if isinstance(given, dict):
        return {name: _parts(part) for name, part in given.items()}
    return np.asarray(given)


def _called(function: Callable[..., Any], element: object) -> Any:
    parts = jax.tree.map(of_pipeline, element if isinstance(element, tuple) else (element,))
    return function(*parts)


class Dataset(dataset.Dataset, metaclass=StandIn):
    """A sequence of elements, which each pass reads from the start.

    >>> rows = Dataset.from_tensor_slices(([1, 2, 3], [10, 20, 30]))
    >>> [int(y) for x, y in rows.filter(lambda x, y: x > 1)]
    [20, 30]
    """

    def __iter__(self) -> Iterator[Any]:
        return (jax.tree.map(eager, element) for element in super().__iter__())

    def as_numpy_iterator(self) -> Iterator[Any]:
        """A pass over the elements, with arrays of NumPy, and bytes in place of texts."""
        texts = (Text, HostTensor)
        return (jax.tree.map(lambda each: each.numpy() if isinstance(each, texts) else np.asarray(each), element)
                for element in self)  # fmt: skip

    @property
    def element_spec(self) -> Any:
        """The shapes and dtypes of the first element, with None for the size of a batch."""
        first = next(iter(self._lamina_pass((0, 0))))
        return jax.tree.map(lambda part: _spec(np.asarray(part), self._lamina_batched is not None), first)

    @staticmethod
    def from_tensor_slices(tensors: object, name: str | None = None) -> Dataset:
        """The rows of arrays, and of tuples and dicts of arrays."""
        parts = _parts(tensors)
        lengths = {len(leaf) for leaf in jax.tree.leaves(parts)}
        if len(lengths) != 1:
            raise DataError(
                f"expected arrays with the same number of rows, got {', '.join(map(str, sorted(lengths)))}."
            )
        return Dataset(lambda key: rows_of(parts), lengths.pop())

    @staticmethod
    def from_tensors(tensors: object, name: str | None = None) -> Dataset:
        """One element."""
        parts = _parts(tensors)
        return Dataset(lambda key: iter([parts]), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Any], output_types: object = None, output_shapes: object = None, args: Any = (),
        output_signature: object = None, name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """The elements that a generator function yields. It is called at the start of each pass."""

        def read(key: tuple[int, ...]) -> Iterator[Any]:
            for given in generator(*args):
                element = jax.tree.map(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, given)
                yield tuple(element) if isinstance(element, list) and isinstance(output_types, tuple) else element

        return Dataset(read, None)

    @staticmethod
    def range(*args: int, **kwargs: Any) -> Dataset:
        """The numbers of Python's `range`."""
        numbers = range(*args)
        return Dataset(lambda key: iter(np.array(numbers, "int64")), len(numbers))

    @staticmethod
    def zip(*datasets: Any, name: str | None = None) -> Dataset:
        """Tuples of one element of each dataset."""
        several = datasets[0] if len(datasets) == 1 else datasets
        lengths = [each._lamina_length for each in several]
        length = None if None in lengths else min(lengths)
        return Dataset(lambda key: zip(*(each._lamina_pass(key) for each in several), strict=False), length)

    @staticmethod
    def sample_from_datasets(
        datasets: Sequence[Any], weights: Sequence[float] | None = None, seed: int | None = None,
        stop_on_empty_dataset: bool = False, rerandomize_each_iteration: bool | None = None,
    ) -> Dataset:  # fmt: skip
        """The elements of several datasets. Each next dataset is drawn with these weights."""

        def read(key: tuple[int, ...]) -> Iterator[Any]:
            draws = np.random.default_rng(key if seed is None or rerandomize_each_iteration else seed)
            passes = [iter(each._lamina_pass((*key, n))) for n, each in enumerate(datasets)]
            shares = [1.0] * len(passes) if weights is None else [float(each) for each in weights]
            while sum(shares) > 0:
                drawn = int(draws.choice(len(passes), p=np.divide(shares, sum(shares))))
                try:
                    yield next(passes[drawn])
                except StopIteration:
                    shares = [0.0] if stop_on_empty_dataset else [*shares[:drawn], 0.0, *shares[drawn + 1 :]]

        return Dataset(read, None)

    @staticmethod
    def choose_from_datasets(
        datasets: Sequence[Any], choice_dataset: Any, stop_on_empty_dataset: bool = True
    ) -> Dataset:
        """The elements of several datasets. Another dataset gives the number of each next dataset."""

        def read(key: tuple[int, ...]) -> Iterator[Any]:
            passes = [iter(each._lamina_pass((*key, n))) for n, each in enumerate(datasets)]
            for number in choice_dataset._lamina_pass((*key, len(passes))):
                try:
                    yield next(passes[int(number)])
                except StopIteration:
                    if stop_on_empty_dataset:
                        return

        return Dataset(read, None)

    @staticmethod
    def list_files(file_pattern: str | Sequence[str], shuffle: bool | None = None, seed: int | None = None) -> Dataset:
        """The names of files, in random order unless told otherwise."""
        patterns = [file_pattern] if isinstance(file_pattern, str) else file_pattern
        names = sorted(name for pattern in patterns for name in glob.glob(str(pattern)))
        if shuffle or shuffle is None:
            chance.Random(seed).shuffle(names)
        return Dataset(lambda key: iter(names), len(names))

    @user_facing
    def map(self, map_func: Callable[..., Any], *args: Any, **kwargs: Any) -> Self:
        """The results of a function. The parts of a tuple are its arguments."""
        return super().map(lambda *parts: map_func(*jax.tree.map(of_pipeline, parts)), *args, **kwargs)

    @user_facing
    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements for which a function is true."""
        return self._lamina_then(
            lambda elements, key: (each for each in elements if bool(_called(predicate, each))), None
        )

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """The elements, followed by the elements of another dataset."""
        lengths = (self._lamina_length, dataset._lamina_length)
        length = None if None in lengths else sum(each for each in lengths if each is not None)
        return self._lamina_then(lambda elements, key: itertools.chain(elements, dataset._lamina_pass(key)), length)

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """Tuples of the number and the element."""
        return self._lamina_then(lambda elements, key: enumerate(elements, start), self._lamina_length)

    @user_facing
    def flat_map(self, map_func: Callable[..., Dataset], name: str | None = None) -> Dataset:
        """The elements of the datasets that a function makes from each element, one dataset after another."""

        def flat(elements: Iterator[Any], key: tuple[int, ...]) -> Iterator[Any]:
            for number, element in enumerate(elements):
                yield from _called(map_func, element)._lamina_pass((*key, number))

        return self._lamina_then(flat, None)

    @user_facing
    def interleave(
        self, map_func: Callable[..., Dataset], cycle_length: int | None = None, block_length: int = 1,
        num_parallel_calls: int | None = None, deterministic: bool | None = None, name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """Like `flat_map`, but with `block_length` elements from each of `cycle_length` datasets in turn."""
        width = cycle_length if cycle_length and cycle_length > 0 else 4

        def turns(elements: Iterator[Any], key: tuple[int, ...]) -> Iterator[Any]:
            waiting = (_called(map_func, each)._lamina_pass((*key, n)) for n, each in enumerate(elements))
            begun: list[Iterator[Any]] = list(itertools.islice(waiting, width))
            while begun:
                then: list[Iterator[Any] | None] = []
                for one in begun:
                    block = list(itertools.islice(one, block_length))
                    yield from block
                    then.append(one if len(block) == block_length else next(waiting, None))
                begun = [one for one in then if one is not None]

        return self._lamina_then(turns, None)

    @user_facing
    def window(
        self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:  # fmt: skip
        """Windows of `size` elements, as datasets, one at each `shift`-th element; for tuples, tuples of datasets."""
        step = size if shift is None else shift

        def windows(elements: Iterator[Any], key: tuple[int, ...]) -> Iterator[Any]:
            held = list(elements)
            for start in itertools.count(0, step):
                inside = held[start : start + (size - 1) * stride + 1 : stride]
                if not inside or (drop_remainder and len(inside) < size):
                    return
                yield _nested(inside)

        length = self._lamina_length
        if length is not None and math.isfinite(length):
            reach = (size - 1) * stride + 1
            length = max(0, (int(length) - reach) // step + 1) if drop_remainder else -(-int(length) // step)
        return self._lamina_then(windows, length)

    @user_facing
    def ragged_batch(self, batch_size: int, drop_remainder: bool = False, **others: object) -> Dataset:
        """Refused: a stack takes arrays of one shape."""
        raise CallError(
            f"ragged_batch({batch_size}): a stack takes arrays of one shape. Write padded_batch({batch_size}), and put "
            "a Masking layer first, or Embedding(mask_zero=True)."
        )

    def reduce(self, initial_state: Any, reduce_func: Callable[[Any, Any], Any], name: str | None = None) -> Any:
        """Call a function with the state and each element. It returns the next state; the last one is the result."""
        state = initial_state
        for element in self:
            state = reduce_func(state, element)
        return state

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """Call a function with the dataset."""
        return transformation_func(self)

    def with_options(self, options: object, name: str | None = None) -> Dataset:
        """The dataset itself: the options of TensorFlow have no effect."""
        return self

    def get_single_element(self, name: str | None = None) -> Any:
        """The only element."""
        return next(iter(self))


def _spec(part: HostArray, batched: bool) -> TensorSpec:
    shape = (None, *part.shape[1:]) if batched and part.ndim else part.shape
    return TensorSpec(shape, "string" if part.dtype.kind in "USO" else jax.dtypes.canonicalize_dtype(part.dtype))


def _nested(elements: list[Any]) -> Any:
    """Make a dataset of these elements; for tuples and dicts, a dataset for each part."""
    if isinstance(elements[0], tuple):
        return tuple(_nested([element[place] for element in elements]) for place in range(len(elements[0])))
    if isinstance(elements[0], dict):
        return {name: _nested([element[name] for element in elements]) for name in elements[0]}
    return Dataset(lambda key: iter(elements), len(elements))


experimental = namespace(
    "experimental", __name__, AUTOTUNE=AUTOTUNE, INFINITE_CARDINALITY=INFINITE, UNKNOWN_CARDINALITY=UNKNOWN,
    AutoShardPolicy=Options(), cardinality=Dataset.cardinality, choose_from_datasets=Dataset.choose_from_datasets,
    get_single_element=Dataset.get_single_element, sample_from_datasets=Dataset.sample_from_datasets,
)  # fmt: skip
