"""A column of a table as the type of its feature: numbers, whole numbers or text, where nothing is lost by that."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.raw_table import Column
from lamina.errors import DataError

WORDS = {"true": 1.0, "false": 0.0}
"""How files write booleans."""


def read(column: Column, name: str, dtype: str) -> Column:
    """The column as floats (dtype "float32"), whole numbers ("int32", "int64") or text ("string").

    Raises:
        DataError: a value cannot be read so; the message has the first one and its row.
    """
    values, gaps = column
    if dtype == "datetime":
        return Column(as_dates(values, name, gaps), gaps)
    if values.dtype.kind == "O" and gaps is not None:
        values = values.copy()
        values[gaps] = "" if dtype == "string" else "0"
    if dtype == "string":
        return Column(as_text(values), gaps)
    numbers = as_floats(values, name) if values.dtype.kind not in "biu" else values
    if dtype == "float32":
        numbers = numbers.astype(np.float64)
        bad = np.isinf(numbers) if gaps is None else np.isinf(numbers) & ~gaps
        if bad.any():
            raise _refused(name, values, bad, "an infinity", f"Take the row out, or make it a gap: {name} = None.")
        return Column(numbers, gaps)
    if numbers.dtype.kind == "f":
        numbers = numbers if gaps is None else np.where(gaps, 0, numbers)
        if (bad := ~(np.floor(numbers) == numbers)).any():
            raise _refused(name, values, bad, "no whole number", "Its kind takes whole numbers; take 'float'.")
    return Column(numbers.astype(np.int64), gaps)


def require_values(name: str, column: Column) -> None:
    """Refuse a column that is all empty."""
    if column.gaps is not None and column.gaps.all():
        raise DataError(f"column {name!r} is empty in all {len(column.values):,} rows. Leave it out.")


def as_text(values: HostArray) -> HostArray:
    """The values as an array of `str`; whole numbers without a fraction: 3.0 is "3"."""
    if values.dtype.kind == "O":
        kinds = set(map(type, values.tolist()))
        if kinds <= {str}:
            return values
        return _objects([_word(item) for item in values.tolist()])
    if values.dtype.kind == "U":
        return values.astype(object)
    if values.dtype.kind == "S":
        return _objects([item.decode("utf-8", "replace") for item in values.tolist()])
    items, places = np.unique(values, return_inverse=True)
    return _objects([_word(item) for item in items.tolist()])[places]


def _objects(items: list[str]) -> HostArray:
    array = np.empty(len(items), object)
    array[:] = items
    return array


def _word(item: Any) -> str:
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    if isinstance(item, (float, np.floating)) and item == item and float(item).is_integer():
        return str(int(item))
    return str(item)


def as_dates(values: HostArray, name: str, gaps: HostArray | None) -> HostArray:
    """Dates, also those of Python and those in text of the form 2026-01-31 or 2026-01-31 12:00:00."""
    if values.dtype.kind == "M":
        return values.astype("datetime64[s]")
    items = values.tolist()
    dates = np.empty(len(items), "datetime64[s]")
    for row, item in enumerate(items):
        try:
            if gaps is None or not gaps[row]:
                dates[row] = np.datetime64(item.replace(tzinfo=None) if hasattr(item, "tzinfo") else item, "s")
        except (TypeError, ValueError, OSError):
            raise DataError(
                f"column {name!r} holds dates, and row {row} has {item!r}. Write dates as '2026-01-31' or "
                f"'2026-01-31 12:00:00'; of another form: pandas.to_datetime(x[{name!r}], format=...)."
            ) from None
    return dates


def as_floats(values: HostArray, name: str) -> HostArray:
    """Numbers, also those in quotes and of other types, and "true" and "false" as 1 and 0."""
    if values.dtype.kind == "f":
        return values
    if values.dtype.kind in "MmV" or values.ndim != 1:
        raise DataError(f"column {name!r} holds {values.dtype}, and its kind takes numbers.")
    try:
        return np.array(values.tolist(), np.float64)
    except (TypeError, ValueError):
        return np.array([_number(item, row, name) for row, item in enumerate(values.tolist())])


def _number(item: Any, row: int, name: str) -> float:
    text = _word(item).strip().lower() if isinstance(item, (str, bytes)) else item
    try:
        return WORDS[text] if text in WORDS else float(text)
    except (TypeError, ValueError):
        raise DataError(
            f"column {name!r} holds numbers, and row {row} has {item!r}. Mend or empty that value, or take the column "
            f"as text: features={{{name!r}: 'string_categorical'}}."
        ) from None


def _refused(name: str, values: HostArray, bad: HostArray, what: str, advice: str) -> DataError:
    row = int(bad.argmax())
    value = values.tolist()[row]
    return DataError(f"column {name!r} has {value!r} in row {row}, {what}. {advice}")
