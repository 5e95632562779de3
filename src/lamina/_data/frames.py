"""Converts frames and series of pandas, polars, pyarrow and others to NumPy arrays, through narwhals."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from lamina._data.arrays import HostArray, numbers
from lamina.errors import DataError

LIBRARIES = ("pandas", "polars", "pyarrow", "narwhals", "modin", "cudf")
REFUSED = {
    "String": "text", "Categorical": "category", "Enum": "category", "Datetime": "date", "Date": "date",
    "Time": "time", "Duration": "duration", "List": "list", "Array": "list", "Struct": "record", "Binary": "bytes",
}  # fmt: skip


def is_frame(value: object) -> bool:
    """Whether `value` is a frame or a series; none of the libraries is imported to find that out."""
    return any(cls.__module__.partition(".")[0] in LIBRARIES for cls in type(value).__mro__)


def opened(value: Any, name: str) -> Any:
    """`value` as a narwhals frame or series, or `value` itself if narwhals does not know its type."""
    import narwhals  # here, because the import takes 30 ms, which a script without frames saves

    if hasattr(value, "collect_schema") and hasattr(value, "collect"):
        raise DataError(f"{name} is a {type(value).__name__}, which has no rows yet. Read it: {name}.collect().")
    labels = getattr(value, "columns", ())
    if hasattr(value, "set_axis") and len({label for label in labels if isinstance(label, str)}) < len(labels):
        # pandas allows labels of any type, and equal ones
        value = value.set_axis(_distinct([str(label) for label in labels]), axis=1)
    return narwhals.from_native(value, eager_only=True, allow_series=True, pass_through=True)


def from_frame(frame: Any, name: str, floatx: str) -> tuple[HostArray, tuple[str, ...]]:
    """The columns as one array of shape (rows, columns), and their names."""
    refused = {column: kind for column, dtype in frame.schema.items() if (kind := REFUSED.get(type(dtype).__name__))}
    if refused:
        raise _not_numbers(name, refused, frame.implementation.is_polars())
    kinds = set(frame.schema.values())
    if len(kinds) == 1 and all(kind.is_float() or kind.is_integer() for kind in kinds):  # often one block of memory
        return numbers(frame.to_numpy(), name, floatx), tuple(frame.columns)
    columns = [numbers(frame[column].to_numpy(), f"{name}[{column!r}]", floatx) for column in frame.columns]
    dtypes = {column.dtype for column in columns}
    if not columns:
        return np.empty((len(frame), 0), floatx), ()
    dtype = np.dtype(floatx) if np.dtype(floatx) in dtypes else np.result_type(*dtypes)
    array = np.empty((len(frame), len(columns)), dtype)
    for i, column in enumerate(columns):
        array[:, i] = column
    return numbers(array, name, floatx), tuple(frame.columns)


def _distinct(names: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        names[i] = f"{name}.{seen[name]}" if seen[name] else name
        seen[name] += 1
    return names


def _not_numbers(name: str, refused: dict[str, str], polars: bool) -> DataError:
    listed = [f"{column!r} ({kind})" for column, kind in refused.items()]
    more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
    lines = [f"{name} has columns that are not numbers: {', '.join(listed[:8])}{more}."]
    words = [column for column, kind in refused.items() if kind in ("text", "category")]
    if words:
        chosen = repr(words) if len(words) <= 8 else "[...]"
        call = f"{name}.to_dummies({chosen})" if polars else f"pandas.get_dummies({name}, columns={chosen})"
        lines.append(f"Make columns of 0 and 1 of them: {name} = {call}.")
    if len(words) == 1 == len(refused):
        lines.append(f"Or number them: classes, numbers = numpy.unique({name}[{words[0]!r}], return_inverse=True).")
    dates = [column for column, kind in refused.items() if kind in ("date", "time", "duration")]
    if dates:
        lines.append(f"Take numbers out of dates and times, as in {name}[{dates[0]!r}].dt.hour, or leave them out.")
    return DataError("\n".join(lines))
