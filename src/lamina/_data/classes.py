"""Converts labels that are text, categories or booleans to the numbers of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.data_frames import is_frame, opened
from lamina._messages.spelling import listed
from lamina.errors import LabelError

NAMED = "String", "Categorical", "Enum", "Boolean"
"""The types of a series of narwhals whose values name classes."""
Classes = tuple[Any, ...]
"""The names of the classes, in the order of their numbers."""


class Labels(NamedTuple):
    """The label of each row, and the order of the classes if the data define one."""

    values: list[Any]
    order: Classes | None
    """The categories of an ordered category in their order; None for other data, whose classes are sorted."""


def labels_of(y: object) -> Labels | None:
    """The labels of y if they are text, categories or booleans, one for each row; None for any other y.

    >>> labels_of(["no", "yes", "no"]).values
    ['no', 'yes', 'no']
    >>> labels_of([0, 1])
    """
    if is_frame(y):
        return _of_frame(opened(y, "y"))
    if isinstance(y, (list, tuple)):
        first = y[0] if y else None
        if not isinstance(first, (str, bool, np.bool_, np.str_)):
            return None
        return Labels([each.item() if isinstance(each, np.generic) else each for each in y], None)
    if isinstance(y, np.ndarray) and y.dtype.kind in "bOUST" and y.size == len(y):
        values = y.reshape(-1).tolist()
        return Labels(values, None) if any(isinstance(each, (str, bool)) for each in values) else None
    return None


def _of_frame(series: Any) -> Labels | None:
    if hasattr(series, "schema"):
        if len(series.columns) != 1:
            return None
        series = series[series.columns[0]]
    kind = type(getattr(series, "dtype", None)).__name__
    values = series.to_list() if kind in NAMED or kind in ("Object", "Unknown") else []
    if not any(isinstance(each, (str, bool)) for each in values):
        return None
    return Labels(values, tuple(series.dtype.categories) if kind == "Enum" else None)


def classes_of(labels: Labels, name: str = "y") -> Classes:
    """The classes in the order of their numbers: the order of an ordered category, else the sorted order."""
    kinds = _kinds(labels, name)
    return labels.order or ((False, True) if bool in kinds else tuple(sorted(set(labels.values))))


def numbered(labels: Labels, classes: Classes, name: str = "y") -> HostArray:
    """The number of the class of each row.  (rows,)"""
    _kinds(labels, name)
    places = {value: number for number, value in enumerate(classes)}
    numbers = np.fromiter((places.get(value, -1) for value in labels.values), np.int32, len(labels.values))
    if (numbers < 0).any():
        row = int(numbers.argmin())
        raise LabelError(f"{name}[{row}] is {labels.values[row]!r}, which is none of the classes {listed(classes)}.")
    return numbers


def _kinds(labels: Labels, name: str) -> set[type]:
    """The types of the labels, text or booleans. A row without a label or a mixture of both is an error."""
    kinds = set(map(type, labels.values))
    if kinds - {str, bool}:
        row = next(row for row, value in enumerate(labels.values) if type(value) not in (str, bool))
        raise LabelError(
            f"{name} has no label in row {row}: {labels.values[row]!r}. Leave out the rows without a label, for pandas "
            f"rows = {name}.notna(); x, {name} = x[rows], {name}[rows]."
        )
    if len(kinds) > 1:
        raise LabelError(f"{name} holds text and booleans. Make all of it text: [str(label) for label in {name}].")
    return kinds


def one_hot(numbers: HostArray, classes: Classes) -> HostArray:
    """One column for each class.  (rows, classes)"""
    return np.eye(len(classes), dtype=np.float32)[numbers]


def weights_by_number(class_weight: object, classes: Classes | None) -> object:
    """Replace the names of classes in `class_weight` by their numbers."""
    if not isinstance(class_weight, Mapping) or classes is None or not set(map(type, class_weight)) & {str, bool}:
        return class_weight
    if unknown := [name for name in class_weight if name not in classes]:
        raise LabelError(f"class_weight has {unknown[0]!r}, which is none of the classes {listed(classes)}.")
    return {classes.index(name): weight for name, weight in class_weight.items()}
