"""Splits data into two datasets."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from lamina._data.arrays import has_axes
from lamina._data.dataset import KIND, Dataset
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, fixed_seed, flag, optional, short
from lamina.errors import ArgumentError, CallError, DataError

Size = int | float | None


@user_facing
def split_dataset(
    dataset: Any,
    left_size: Size = None,
    right_size: Size = None,
    shuffle: bool = False,
    seed: int | None = None,
    preferred_backend: str | None = None,
) -> tuple[Dataset, Dataset]:
    """Splits arrays or a dataset into two datasets, such as one for training and one for testing.

    >>> left, right = split_dataset((np.arange(10), np.arange(10) * 2), left_size=0.8)
    >>> len(left), [(int(x), int(y)) for x, y in right]
    (8, [(8, 16), (9, 18)])

    The elements are single rows; batch them with `left.batch(32)`. If `dataset` has batches, its rows are split,
    and both results have batches of the same size. All rows are kept in memory.

    Args:
        dataset: an array, a list or tuple of arrays with equally many rows, or a dataset of `utils` or of torch.
        left_size: the number of rows of the first dataset, or their fraction below 1; None means all other rows.
        right_size: the same for the second dataset.
        shuffle: whether to shuffle the rows first.
        seed: the seed of their order.
        preferred_backend: has no effect.

    Raises:
        ArgumentError: the sizes do not fit the data.
        DataError: the data has no rows, or the arrays do not have equally many.
    """
    seed = checked("split_dataset", "seed", optional(fixed_seed), seed)
    rows, batch = _rows(dataset)
    left, right = _sizes(left_size, right_size, len(rows))
    order = list(range(len(rows)))
    if checked("split_dataset", "shuffle", flag, shuffle):
        random.Random(random.randint(0, 10**6) if seed is None else seed).shuffle(order)
    return _taken(rows, order[:left], batch), _taken(rows, order[-right:], batch)


def _rows(dataset: Any) -> tuple[list[Any], int | None]:
    """The rows of the data, and the size of its batches; None if it has no batches."""
    batch = None
    if isinstance(dataset, Dataset):
        batch = dataset._lamina_batched
        rows = list(dataset if batch is None else dataset.unbatch())
    elif has_axes(dataset):
        rows = list(np.asarray(dataset))
    elif isinstance(dataset, (list, tuple)):
        if not dataset or not all(map(has_axes, dataset)):
            raise DataError(f"split_dataset takes a {type(dataset).__name__} of arrays, got {short(dataset)}.")
        lengths = [len(array) for array in dataset]
        if len(set(lengths)) > 1:
            raise DataError(f"split_dataset takes arrays with equally many rows, got {', '.join(map(str, lengths))}.")
        rows = list(zip(*map(np.asarray, dataset), strict=True))
    elif hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and not isinstance(dataset, (str, dict)):
        rows = [dataset[place] for place in range(len(dataset))]
    else:
        raise CallError(f"split_dataset takes arrays, or a dataset of keras.utils or torch, got {short(dataset)}.")
    if not rows:
        raise DataError("split_dataset got data without a row.")
    return rows, batch


def _taken(rows: list[Any], order: list[int], batch: int | None) -> Dataset:
    chosen = [rows[place] for place in order]
    made = KIND["new"](lambda key: iter(chosen), len(chosen))
    return made if batch is None else made.batch(batch)


def _sizes(left: Size, right: Size, rows: int) -> tuple[int, int]:
    """The numbers of rows of the first and the second dataset."""
    if left is None and right is None:
        raise ArgumentError("split_dataset needs left_size or right_size, such as left_size=0.8.")
    counts = [_count(name, size, rows) for name, size in (("left_size", left), ("right_size", right))]
    if isinstance(left, float) and isinstance(right, float) and left + right > 1:
        raise ArgumentError(f"split_dataset(left_size={left}, right_size={right}): the shares add up to more than 1.")
    one = rows - (counts[1] or 0) if counts[0] is None else counts[0]
    other = rows - one if counts[1] is None else counts[1]
    if one + other > rows or one <= 0 or other <= 0:
        raise ArgumentError(
            f"split_dataset(left_size={left}, right_size={right}): of {rows} rows, {one} would go to the left and "
            f"{other} to the right. Expected at least 1 each, and no more than there are."
        )
    return one, other


def _count(name: str, size: object, rows: int) -> int | None:
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, (int, float)):
        raise CallError(f"split_dataset({name}={short(size)}): expected a number of rows, or a share between 0 and 1.")
    if not 0 < size < (1 if isinstance(size, float) else rows):
        raise ArgumentError(
            f"split_dataset({name}={size}): expected a number of rows from 1 to {rows - 1}, or a share between 0 and 1."
        )
    return round(size * rows) if isinstance(size, float) else size
