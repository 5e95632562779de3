"""Tables as users have them, with text, dates and gaps: frames, dicts of columns, records and structured arrays."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.data_frames import is_frame, opened
from lamina.errors import DataError

FEW = 16
"""A frame of at most this many rows is read as one array of objects, because reading each column takes longer."""

READING = {"to_table": "to_table", "read_row_group": "read", "read_all": "read_all", "to_pandas": "to_pandas"}
"""The methods by which other objects with tables are known, and those that read them."""
Rows = range | HostArray


class Column(NamedTuple):
    """The values of a column, and which of them are missing. The values at missing places have no meaning."""

    values: HostArray  # (rows,)
    gaps: HostArray | None  # (rows,)
    """True for missing values; None if no value is missing."""
    name: str = ""
    rows: Rows = range(0)
    """The number of each row in the user's data."""

    @property
    def there(self) -> HostArray:
        """The values that are not missing."""
        return self.values if self.gaps is None else self.values[~self.gaps]


@dataclass(frozen=True)
class RawTable:
    """A table with columns by name, before it is encoded. It refers to the user's data without a copy."""

    columns: dict[str, Any]
    """The columns by name: series of narwhals, or arrays."""
    rows: Rows
    """The number of each row in the user's data, for error messages."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), len(self.columns)

    def __getitem__(self, rows: slice | HostArray) -> RawTable:
        """The table of some rows: the rows of a slice, or the rows with the given numbers."""
        numbers = self.rows[rows] if isinstance(rows, slice) else np.asarray(self.rows)[rows]
        return RawTable({name: column[rows] for name, column in self.columns.items()}, numbers)

    def column(self, name: str) -> Column:
        """The values of one column."""
        column = self.columns[name]
        read = _of_series(column) if hasattr(column, "is_null") else _of_array(column)
        return read._replace(name=name, rows=self.rows)

    def encoded(self, encode: Callable[[], HostArray], key: Callable[[], str]) -> HostArray:
        """The array that `encode` makes of all rows. `key` identifies the settings of the encoding."""
        return encode()


@dataclass(frozen=True)
class SharedTable(RawTable):
    """A table on which several models are trained. Models that encode it in the same way share the encoded rows."""

    made: dict[str, HostArray] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def encoded(self, encode: Callable[[], HostArray], key: Callable[[], str]) -> HostArray:
        with self.lock:
            if (name := key()) not in self.made:
                self.made[name] = encode()
            return self.made[name]


def shared(x: Any, name: str = "x") -> SharedTable:
    """Make a table that several models share."""
    table = raw_table(x, name)
    return SharedTable(table.columns, table.rows)


def is_record(x: object) -> bool:
    """Whether x is a dict with one value for each column."""
    first = next(iter(x.values()), ()) if isinstance(x, Mapping) else ()
    return isinstance(first, (str, bytes)) or not (hasattr(first, "__len__") or np.ndim(first))


def raw_table(x: Any, name: str = "x") -> RawTable:
    """Open a table of any library that is known.

    >>> raw_table({"age": [30, None], "city": ["Rome", "Oslo"]}).column("age").gaps
    array([False,  True])

    Args:
        x: a frame of pandas, polars, pyarrow or another library that narwhals knows, a dict of columns, a list of
            dicts with one for each row, or a structured array.
        name: the name of x in error messages.

    Raises:
        DataError: x is not a table, two columns have the same name, or columns have different lengths.
    """
    if isinstance(x, RawTable):
        return x
    if hasattr(x, "collect_schema") and hasattr(x, "collect"):
        x = x.collect()
    x = [x] if is_record(x) else x
    if isinstance(x, (list, tuple)) and x and isinstance(x[0], Mapping):
        x = {key: [record.get(key) for record in x] for key in dict.fromkeys(key for record in x for key in record)}
    if isinstance(x, np.ndarray) and x.dtype.names is not None:
        x = {key: x[key] for key in x.dtype.names}
    if isinstance(x, Mapping):
        return _of_columns({str(key): _column(value, f"{name}[{key!r}]") for key, value in x.items()}, name)
    if not is_frame(x) or not (hasattr(x, "columns") or hasattr(x, "column_names")):
        raise _no_table(x, name)
    if hasattr(x, "set_axis"):  # a frame of pandas, in which two columns may have the same name
        if twice := [key for key, count in Counter(map(str, x.columns)).items() if count > 1]:
            raise DataError(f"{name} has two columns called {twice[0]!r}. Give one of them another name.")
        if len(x) <= FEW:
            return RawTable(dict(zip(map(str, x.columns), x.to_numpy(dtype=object).T, strict=True)), range(len(x)))
    frame = opened(x, name)
    if not hasattr(frame, "implementation") or not hasattr(frame, "columns"):
        raise _no_table(x, name)
    return RawTable({str(key): frame[key] for key in frame.columns}, range(len(frame)))


def joined(tables: Sequence[RawTable]) -> RawTable:
    """Join the rows of several tables to one table, with the columns of the first table."""
    columns: dict[str, Any] = {}
    for name in tables[0].columns:
        parts = [table.column(name) for table in tables if name in table.columns]
        objects = any(part.gaps is not None and part.values.dtype.kind not in "fM" for part in parts)
        values = [part.values.astype(object) if objects else part.values for part in parts]
        for array, part in zip(values, parts, strict=True):
            if objects and part.gaps is not None:
                array[part.gaps] = None
        columns[name] = np.concatenate(values)
    return _of_columns(columns, "x")


def _no_table(x: Any, name: str) -> DataError:
    if isinstance(x, (str, os.PathLike)):
        x = os.fspath(x)
        advice = f"The data of a file: pandas.read_{'parquet' if x.endswith('.parquet') else 'csv'}({x!r})."
    else:
        calls = (f"Make it a frame: {name}.{call}()." for method, call in READING.items() if hasattr(x, method))
        advice = next(calls, "Give a frame, a dict of columns, or a list of dicts with one for each row.")
    kind = f"an array of shape {x.shape}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
    return DataError(f"{name} is {kind}, and the model takes a table with named columns.\n{advice}")


def _column(value: Any, name: str) -> Any:
    """Convert a column of a dict to a series of narwhals or an array of one axis."""
    if is_frame(value):
        return opened(value, name)
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)) and any(not isinstance(each, (int, float)) for each in value):
        array: HostArray = np.empty(len(value), object)
        array[:] = [each.item() if isinstance(each, np.generic) else each for each in value]
        if len(array) and isinstance(array[0], (list, tuple)):
            array = np.array([list(each) for each in value], object)
    else:
        array = np.asarray(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(f"{name} has the shape {array.shape}; a column has one value for each row.")
    return array


def _of_columns(columns: dict[str, Any], name: str) -> RawTable:
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key!r} {length}" for key, length in list(lengths.items())[:8])
        raise DataError(f"the columns of {name} have different lengths: {told}.")
    return RawTable(columns, range(next(iter(lengths.values()), 0)))


def _of_series(series: Any) -> Column:
    """The values of a series of narwhals. Dates lose their time zone."""
    values = series.to_numpy()
    if values.dtype.kind in "MO" and type(series.dtype).__name__ in ("Datetime", "Date"):
        gaps = series.is_null().to_numpy()
        if getattr(series.dtype, "time_zone", None):
            series = series.dt.replace_time_zone(None)
        return Column(np.asarray(series.to_numpy(), "datetime64[us]"), gaps if gaps.any() else None)
    if values.dtype.kind == "O":
        gaps = series.is_null().to_numpy()  # much faster than checking each object
        return Column(values, gaps if gaps.any() else None)
    return _of_array(values)


def _of_array(array: HostArray) -> Column:
    if array.dtype.kind == "f":
        gaps = np.isnan(array)
    elif array.dtype.kind in "Mm":
        gaps = np.isnat(array)
    elif array.dtype.kind == "O":
        gaps = np.fromiter(map(_is_gap, array.tolist()), bool, len(array))
    else:
        return Column(array, None)
    return Column(array, gaps if gaps.any() else None)


def _is_gap(item: object) -> bool:
    return item is None or (item != item) is True or type(item).__name__ in ("NAType", "NaTType")
