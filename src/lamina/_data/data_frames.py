"""Converts frames and series of pandas, polars, pyarrow and others to NumPy arrays, through narwhals."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.arrays import numbers
from lamina._messages.spelling import listed
from lamina.errors import DataError

LIBRARIES = ("pandas", "polars", "pyarrow", "narwhals", "modin", "cudf")
REFUSED = {
    "String": "text", "Categorical": "category", "Enum": "category", "Datetime": "date", "Date": "date",
    "Time": "time", "Duration": "duration", "List": "list", "Array": "list", "Struct": "record", "Binary": "bytes",
}  # fmt: skip


def is_frame(value: object) -> bool:
    """Whether `value` is a frame or a series. The check reads the names of its classes and imports no library."""
    return any(cls.__module__.partition(".")[0] in LIBRARIES for cls in type(value).__mro__)


def opened(value: Any, name: str) -> Any:
    """Convert `value` to a narwhals frame or series; return `value` itself if narwhals does not support its type."""
    import narwhals  # imported here because it takes 30 ms and scripts without frames do not need it

    if hasattr(value, "collect_schema") and hasattr(value, "collect"):
        raise DataError(f"{name} is a {type(value).__name__}, which has no rows yet. Read it: {name}.collect().")
    if type(value).__name__ == "RecordBatch":
        return narwhals.from_arrow(value, backend="pyarrow")
    labels = getattr(value, "columns", ())
    if hasattr(value, "set_axis") and len({label for label in labels if isinstance(label, str)}) < len(labels):
        # pandas allows labels of any type, and several columns with the same label
        value = value.set_axis(_distinct([str(label) for label in labels]), axis=1)
    return narwhals.from_native(value, eager_only=True, allow_series=True, pass_through=True)


class Columns(tuple[str, ...]):
    """The names of a frame's columns."""

    drop: str
    """The code that leaves columns out."""

    def __new__(cls, frame: Any) -> Columns:
        columns = super().__new__(cls, frame.columns)
        columns.drop = "x = x.drop({})" if frame.implementation.is_polars() else "x = x.drop(columns={})"
        return columns


Names = tuple[str, ...]


def named(columns: Names | None) -> Names | None:
    """Return the columns if they have names; None if they only have numbers, as in `pandas.DataFrame(array)`."""
    return None if columns is None or columns == tuple(map(str, range(len(columns)))) else tuple(columns)


def by_name(frame: Any, trained: Names | None, name: str) -> Any:
    """Select the columns of the training by their names, if both have names. Other columns are left out.

    Raises:
        DataError: a column of the training is missing.
    """
    columns = tuple(frame.columns)
    if trained is None or named(columns) in (None, trained):
        return frame
    missing = [column for column in trained if column not in columns]
    others = [column for column in columns if column not in trained]
    if missing:
        has = f", and has {listed(others)}" if others else ""
        both = f"{{{others[0]!r}: {missing[0]!r}}}" if others else "..."
        raise DataError(
            f"{name} lacks the columns {listed(missing)} that the model was trained on{has}.\n"
            f"If a column has another name now: {name.split()[-1]}.rename(columns={both}). To go by position: "
            f"{name.split()[-1]}.to_numpy()."
        )
    return frame.select(*trained)


def from_frame(frame: Any, name: str, floatx: str) -> tuple[HostArray, Columns]:
    """Convert a frame to one array of shape (rows, columns), and return it with the names of the columns."""
    refused = {column: kind for column, dtype in frame.schema.items() if (kind := REFUSED.get(type(dtype).__name__))}
    if refused:
        raise _not_numbers(name, refused, frame)
    kinds = set(frame.schema.values())
    if len(kinds) == 1 and all(kind.is_float() or kind.is_integer() for kind in kinds):  # often needs no copy
        return numbers(frame.to_numpy(), name, floatx), Columns(frame)
    columns = [numbers(frame[column].to_numpy(), f"{name}[{column!r}]", floatx) for column in frame.columns]
    if nested := {label: "list" for label, column in zip(frame.columns, columns, strict=True) if column.ndim > 1}:
        raise _not_numbers(name, nested, frame)
    dtypes = {column.dtype for column in columns}
    if not columns:
        return np.empty((len(frame), 0), floatx), Columns(frame)
    dtype = np.dtype(floatx) if np.dtype(floatx) in dtypes else np.result_type(*dtypes)
    array = np.empty((len(frame), len(columns)), dtype)
    for i, column in enumerate(columns):
        array[:, i] = column
    return numbers(array, name, floatx), Columns(frame)


def _distinct(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        names[i] = f"{name}.{seen[name]}" if seen[name] else name
        seen[name] += 1
    return names


def _not_numbers(name: str, refused: dict[str, str], frame: Any) -> DataError:
    told = [f"{column!r} ({kind})" for column, kind in refused.items()]
    more = f" and {len(told) - 8} more" if len(told) > 8 else ""
    lines = [f"{name} has columns that are not numbers: {', '.join(told[:8])}{more}."]
    lists = [column for column, kind in refused.items() if kind == "list"]
    if lists:
        stacked = f"numpy.stack({name}[{lists[0]!r}])"
        lines.append(f"Convert the lists of a column to one array: {stacked}.")
        if len(frame.columns) > 1:
            rest = f"{name}.drop({'' if frame.implementation.is_polars() else 'columns='}{lists!r})"
            lines.append(f"To keep the other columns: {name} = numpy.column_stack([{rest}, {stacked}]).")
    elif name == "y":
        column = next(iter(refused))
        lines.append(f"Give each value a number: classes, y = numpy.unique(y[{column!r}], return_inverse=True).")
    else:
        numbers = {
            column: "float_normalized" for column, kind in refused.items() if _holds_numbers(frame[column], kind)
        }
        kinds = f", {numbers}" if numbers else ""
        lines.append(f"Let the first layer encode them: keras.utils.FeatureSpace.from_frame({name}{kinds}).")
    return DataError("\n".join(lines))


def _holds_numbers(series: Any, kind: str) -> bool:
    """Whether the first 100 texts of a column can all be converted to numbers."""
    first = series.drop_nulls().head(100).to_list() if kind == "text" else []
    try:
        return bool(first) and all(isinstance(float(each), float) for each in first)
    except ValueError:
        return False
