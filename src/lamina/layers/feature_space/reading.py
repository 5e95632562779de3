"""Converts a column of a table to the dtype of its feature. A conversion that would lose information is an error."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.raw_table import Column
from lamina.errors import DataError

WORDS = {"true": 1.0, "false": 0.0}
"""The texts for booleans in files."""
IN_GAPS = {"string": "", "datetime": "1970-01-01"}
"""The values in place of gaps while a column of objects is converted, by the dtype; "0" for numbers."""


def read(column: Column, dtype: str) -> Column:
    """Convert a column to floats ("float32"), integers ("int32", "int64"), text ("string") or dates ("datetime").

    Raises:
        DataError: a value cannot be converted; the message has the first one and its row.
    """
    if column.values.dtype.kind == "O" and column.gaps is not None:
        column = column._replace(values=np.where(column.gaps, IN_GAPS.get(dtype, "0"), column.values))
    if dtype == "string":
        return column._replace(values=as_text(column.values))
    if dtype == "datetime":
        return column._replace(values=as_dates(column))
    numbers = as_floats(column) if column.gaps is None else np.where(column.gaps, 0, as_floats(column))
    _require(column, np.isfinite(numbers), "finite numbers", "Take the row out, or put None in its place.")
    if dtype == "float32":
        return column._replace(values=numbers.astype(np.float64))
    _require(column, np.floor(numbers) == numbers, "whole numbers", f"Take {{{column.name!r}: 'float_normalized'}}.")
    return column._replace(values=numbers.astype(np.int64))


def require_values(column: Column) -> None:
    """Raise an error for a column without any value."""
    if column.gaps is not None and column.gaps.all():
        raise DataError(f"column {column.name!r} is empty in all {len(column.values):,} rows. Leave it out.")


def as_text(values: HostArray) -> HostArray:
    """The values as an array of `str`. A float without a fraction becomes an integer: 3.0 is "3"."""
    if values.dtype.kind == "O" and set(map(type, values.tolist())) <= {str}:
        return values
    if values.dtype.kind == "U":
        return values.astype(object)
    if values.dtype.kind not in "OS":  # each distinct number is converted once
        items, places = np.unique(values, return_inverse=True)
        return as_text(items.astype(object))[places]
    texts = np.empty(len(values), object)
    texts[:] = list(map(_word, values.tolist()))
    return texts


def _word(item: Any) -> str:
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    if isinstance(item, (float, np.floating)) and float(item).is_integer():
        return str(int(item))
    return str(item)


def as_dates(column: Column) -> HostArray:
    """Dates from NumPy's, Python's, or text such as 2026-01-31 or 2026-01-31 12:00:00."""
    if column.values.dtype.kind == "M":
        return column.values.astype("datetime64[s]")
    dates = np.empty(len(column.values), "datetime64[s]")
    for place, item in enumerate(column.values.tolist()):
        try:
            dates[place] = np.datetime64(item.replace(tzinfo=None) if hasattr(item, "tzinfo") else item, "s")
        except (TypeError, ValueError, OSError):
            advice = f"Write dates as '2026-01-31', or read them: pandas.to_datetime(x[{column.name!r}], format=...)."
            raise _refused(column, place, "dates", advice) from None
    return dates


def as_floats(column: Column) -> HostArray:
    """Floats from numbers of any type, or as text; durations in seconds; "true" and "false" as 1 and 0."""
    values = column.values
    if values.dtype.kind in "biuf":
        return values
    if values.dtype.kind == "m":
        seconds: HostArray = values / np.timedelta64(1, "s")
        return seconds
    if values.dtype.kind in "MV" or values.ndim != 1:
        raise DataError(f"column {column.name!r} holds {values.dtype}, and its kind takes numbers.")
    try:
        return np.array(values.tolist(), np.float64)
    except (TypeError, ValueError):
        return np.array([_number(item, place, column) for place, item in enumerate(values.tolist())])


def _number(item: Any, place: int, column: Column) -> float:
    text = _word(item).strip().lower() if isinstance(item, (str, bytes)) else item
    try:
        return WORDS[text] if text in WORDS else float(text)
    except (TypeError, ValueError):
        advice = "Mend or empty that value, or take the column as text"
        raise _refused(column, place, "numbers", f"{advice}: {{{column.name!r}: 'string_categorical'}}.") from None


def _require(column: Column, good: HostArray, what: str, advice: str) -> None:
    if not good.all():
        raise _refused(column, int(good.argmin()), what, advice)


def _refused(column: Column, place: int, what: str, advice: str) -> DataError:
    row, value = column.rows[place], column.values[place : place + 1].tolist()[0]
    return DataError(f"column {column.name!r} holds {what}, and row {row} has {value!r}. {advice}")
