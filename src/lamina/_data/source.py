"""Converts x, y and sample_weight of `fit`, `evaluate` and `predict` to a table of NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.arrays import from_any, has_axes, is_mapped
from lamina._data.data_frames import Columns, Names, by_name, from_frame, is_frame, opened
from lamina.errors import DataError


class Table(NamedTuple):
    """Rows of data: inputs, and optionally targets and weights of the same length.

    It refers to the user's arrays if no conversion was needed. A table of arrays lives as long as its feed. Each
    batch of a stream is a separate table, which lives until it is on the device.
    """

    x: HostArray
    y: HostArray | None = None
    sample_weight: HostArray | None = None
    columns: Columns | None = None
    """The names of the columns of x, if x was a frame."""

    @property
    def rows(self) -> int:
        return len(self.x)

    @property
    def named(self) -> dict[str, HostArray]:
        """The arrays that are not None, by the names that the training steps use."""
        named = {"x": self.x, "y": self.y, "weight": self.sample_weight}
        return {name: array for name, array in named.items() if array is not None}


def arrays(
    x: object,
    y: object = None,
    sample_weight: object = None,
    *,
    names: Sequence[str] = ("x", "y"),
    floatx: str = "float32",
    mapped: bool = False,
    none: bool = False,
    trained: Names | None = None,
) -> Table:
    """Convert the data to a table of NumPy arrays. An array is copied only if its dtype has to change.

    >>> arrays([[1.0, 2.0], [3.0, 4.0]], [0, 1]).y
    array([0, 1], dtype=int32)

    Args:
        names: the names of x and y in error messages.
        floatx: the dtype to which all floats are converted.
        mapped: whether to leave an x that is mapped from a file unread; `read` converts a part of it later.
        none: whether the data may have no rows.
        trained: the names of the columns of the training, by which those of a frame are selected.
    """
    if is_stream(x):
        raise DataError(
            f"{names[0]} is a {type(x).__name__}, a stream of batches. "
            + ("Its batches have to hold the targets: (x, y)." if y is not None else "An array is expected here.")
        )
    if isinstance(sample_weight, (str, Mapping)):
        raise DataError(f"sample_weight takes one number per row. For one per class: class_weight={sample_weight!r}.")
    if mapped and is_mapped(x):
        inputs, columns = x, None
    else:
        inputs, columns = _converted(x, names[0], floatx, _rows_of(y), none, trained)
    others: list[HostArray | None] = []
    for value, name in ((y, names[1]), (sample_weight, "sample_weight")):
        array = None if value is None else _converted(value, name, floatx, len(inputs))[0]
        if array is not None and len(array) != len(inputs):
            raise _lengths(names[0], inputs, name, array)
        others.append(array)
    return Table(inputs, others[0], others[1], columns)


def _converted(
    value: object, name: str, floatx: str, rows: int | None, none: bool = False, trained: Names | None = None
) -> tuple[HostArray, Columns | None]:
    """Convert x, y or sample_weight to an array with rows; return it with the names of the columns of a frame."""
    columns = None
    if is_frame(value):
        value = opened(value, name)
        if hasattr(value, "columns"):
            value, columns = from_frame(by_name(value, trained, name), name, floatx)
        elif hasattr(value, "dtype") and hasattr(value, "to_numpy"):
            value = value.to_numpy()
    array = from_any(value, name, floatx, rows)
    if array.ndim == 0:
        example = f"numpy.full(len(x), {array})" if name == "sample_weight" else "numpy.array([[...]])"
        raise DataError(f"{name} is the single value {array}; expected rows, as in {example}.")
    if not array.size and not (none and len(array) == 0):
        raise DataError(f"{name} is empty: its shape is {array.shape}.")
    return array, columns


def _rows_of(y: object) -> int | None:
    if shape := getattr(y, "shape", ()):
        return int(shape[0])
    return len(y) if isinstance(y, (list, tuple)) and len(y) and not has_axes(y[0]) else None


def _lengths(first: str, x: HostArray, second: str, array: HostArray) -> DataError:
    advice = "Both need one entry per row."
    for name, one, other in ((first, x, array), (second, array, x)):
        if one.ndim > 1 and one.shape[1] == len(other):
            advice = f"{name} is transposed: {name} = {name}.T."
    return DataError(
        f"{first} has {len(x)} rows and {second} has {len(array)}: shapes {x.shape} and {array.shape}.\n{advice}"
    )


def is_stream(value: object) -> bool:
    """Whether `value` is a source of batches, such as a generator or a DataLoader, and not an array of rows.

    >>> is_stream(x for x in [1]), is_stream([1, 2]), is_stream([(np.ones(2), np.ones(2))])
    (True, False, True)
    """
    if isinstance(value, list):
        first = value[0] if value else None
        return isinstance(first, (tuple, list)) and 1 <= len(first) <= 3 and any(map(has_axes, first))
    if isinstance(value, (np.ndarray, tuple, range, str, bytes, Mapping)) or has_axes(value) or is_frame(value):
        return False
    return (callable(value) or hasattr(value, "__iter__") or hasattr(value, "__getitem__")) and not hasattr(
        value, "__array__"
    )
