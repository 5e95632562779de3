"""Converts `class_weight` to one weight per row, and splits the rows by `validation_split`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.source import Table
from lamina._messages.tracebacks import warn
from lamina._settings.strictness import strictness
from lamina.errors import ArgumentError, DataError, LabelError

ClassWeight: TypeAlias = Mapping[int, float] | Literal["balanced"] | None

MANY = 100
"""The labels of the two parts of a split are compared only up to this number of classes."""


def class_weights(class_weight: object, y: HostArray | None, sample_weight: HostArray | None = None) -> HostArray:
    """Return the weight of each row's class as a (rows,) float32 array.

    >>> class_weights({0: 1.0, 1: 5.0}, np.array([0, 1, 1]))
    array([1., 5., 5.], dtype=float32)

    Args:
        class_weight: a dict from class to weight, or "balanced": then the weight of class c is
            rows / (number of classes * rows of class c).
        y: whole numbers of shape (rows,) or (rows, 1), or one-hot rows.
    """
    if sample_weight is not None:
        raise ArgumentError(
            "class_weight and sample_weight cannot be given together. Multiply sample_weight by the class weights."
        )
    if y is None:
        raise LabelError("class_weight needs targets to find each row's class in: y is None.")
    found, place, counts = np.unique(_classes(y), return_inverse=True, return_counts=True)
    if isinstance(class_weight, str) and class_weight == "balanced":
        return (len(y) / (len(found) * counts)).astype(np.float32)[place]
    weights = _checked(class_weight)
    missing = [int(c) for c in found if c not in weights]
    if missing and strictness["missing_class"] == "raise":
        raise LabelError(
            f"class_weight has no weight for {_listed(missing)} of y; it has weights for {_listed(sorted(weights))}.\n"
            f"Add it: class_weight={{..., {missing[0]}: 1.0}}."
        )
    if missing:
        warn(f"class_weight has weights only for {_listed(sorted(weights))}; other classes in y get the weight 1.")
    return np.array([weights.get(int(c), 1.0) for c in found], np.float32)[place]


def class_weighted(table: Table, class_weight: object) -> Table:
    """Set the sample weights of the table to the weight of each row's class; without `class_weight`, change nothing."""
    if class_weight is None:
        return table
    return table._replace(sample_weight=class_weights(class_weight, table.y, table.sample_weight))


def _checked(class_weight: object) -> dict[int, float]:
    expected = 'class_weight: expected a dict such as {0: 1.0, 1: 5.0} or "balanced", got'
    if not isinstance(class_weight, Mapping):
        advice = " Write dict(enumerate(class_weight))." if isinstance(class_weight, (list, tuple, np.ndarray)) else ""
        raise ArgumentError(f"{expected} {class_weight!r}.{advice}")
    for key, weight in class_weight.items():
        if isinstance(key, (str, bytes)) or not hasattr(key, "__float__") or int(key) != key:
            raise ArgumentError(f"{expected} the class {key!r}. Classes are the whole numbers in y.")
        if isinstance(weight, str) or not hasattr(weight, "__float__") or not 0 <= float(weight) < math.inf:
            raise ArgumentError(f"{expected} the weight {weight!r} for class {key!r}.")
    return {int(key): float(weight) for key, weight in class_weight.items()}


def _classes(y: HostArray) -> HostArray:
    """Return the class of each row, (rows,): the number itself, or the position of the maximum in a one-hot row."""
    if y.ndim == 1 or y.shape[1:] == (1,):
        classes: HostArray = np.rint(y.reshape(len(y))).astype(np.int64)
        odd = np.flatnonzero(y.reshape(len(y)) != classes)
        if len(odd):
            raise LabelError(
                f"class_weight needs whole numbers in y: y[{odd[0]}] is {y.flat[odd[0]]}. "
                "For a regression use sample_weight."
            )
        return classes
    if y.ndim == 2 and not _odd_rows(y).any():
        return np.asarray(y.argmax(axis=1))
    raise LabelError(
        f"class_weight needs one class a row; y has shape {y.shape} and is not one-hot. Use sample_weight."
    )


def _odd_rows(y: HostArray) -> HostArray:
    """Which rows are not probabilities of classes: some value is negative, or the sum is not 1."""
    odd: HostArray = (np.abs(y.sum(axis=1) - 1) > 1e-3) | (y.min(axis=1) < 0)
    return odd


def _listed(classes: list[int]) -> str:
    shown = ", ".join(map(str, classes[:10])) + (", ..." if len(classes) > 10 else "")
    return f"class{'es' * (len(classes) > 1)} {shown}"


def split(table: Table, validation_split: float) -> tuple[Table, Table]:
    """Split the rows: those before `first_of` are for training, the others for validation.

    Warns if the labels of the two parts differ more than chance explains, as in sorted data.
    """
    at = first_of(table.rows, validation_split)
    if table.y is not None:
        _compare(table.y, at)
    return _part(table, slice(at)), _part(table, slice(at, None))


def first_of(rows: int, validation_split: float) -> int:
    """The number of rows for training: floor(rows * (1 - validation_split))."""
    if isinstance(validation_split, bool) or not 0 < validation_split < 1:
        raise ArgumentError(f"validation_split: expected a fraction between 0 and 1, got {validation_split!r}.")
    at = math.floor(rows * (1.0 - validation_split))
    if at in (0, rows):
        raise DataError(
            f"validation_split={validation_split} of {rows} row{'s' * (rows > 1)} leaves nothing to "
            f"{'train' if at == 0 else 'validate'} on. Give more rows, or another fraction."
        )
    return at


def _part(table: Table, rows: slice) -> Table:
    y, weight = (None if array is None else array[rows] for array in table[1:3])
    return Table(table.x[rows], y, weight, table.columns)


def _compare(y: HostArray, at: int) -> None:
    """Warn if the labels from row `at` on are very unlikely to be a random sample of all labels."""
    finding = None
    if y.ndim == 2 and 1 < y.shape[1] <= MANY and not _odd_rows(y).any():
        finding = _unlike(y.argmax(axis=1), at)
    elif y.size == len(y):
        y = y.reshape(-1)
        lowest, highest = float(y.min()), float(y.max())
        if highest - lowest < MANY and np.all(y == np.rint(y)):
            finding = _unlike(y.astype(np.int64) - int(lowest), at, int(lowest))
        if not finding and lowest < highest and len(y) > 20 and (np.all(y[1:] >= y[:-1]) or np.all(y[1:] <= y[:-1])):
            finding = "y is sorted"
    if finding:
        warn(
            f"validation_split takes the last rows without shuffling, and {finding}.\n"
            "Shuffle before fit, unless the rows are a time series: "
            "i = numpy.random.permutation(len(x)); x, y = x[i], y[i]."
        )


def _unlike(classes: HostArray, at: int, lowest: int = 0) -> str | None:
    """Describe the class that differs most between the two parts, if the parts differ more than chance explains.

    The test is Pearson's chi-squared of the counts, converted to a normal deviate (Wilson and Hilferty, 1931).
    """
    counts = np.bincount(classes)
    tail = np.bincount(classes[at:], minlength=len(counts))
    held = counts > 0
    counts, tail, share = counts[held], tail[held], 1 - at / len(classes)
    freedom = len(counts) - 1
    if not freedom:
        return None
    terms = (tail - counts * share) ** 2 / (counts * share * (1 - share))
    spread = 2 / (9 * freedom)
    if ((float(terms.sum()) / freedom) ** (1 / 3) - 1 + spread) / math.sqrt(spread) < 4.5:
        return None
    worst = int(terms.argmax())
    before, after = (counts - tail)[worst] / at, tail[worst] / (len(classes) - at)
    name = int(np.flatnonzero(held)[worst]) + lowest
    return f"class {name} makes up {before:.0%} of the rows before and {after:.0%} of the last rows"
