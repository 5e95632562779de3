"""Guesses the kind of each column of a table from its type and from the number of distinct values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.raw_table import Column, RawTable, raw_table
from lamina._messages.spelling import listed
from lamina.errors import ArgumentError, DataError
from lamina.layers.feature_space import kinds
from lamina.layers.feature_space.reading import as_floats, as_text, require_values

FEW = 10
"""Whole numbers are taken as categories if at most this many are distinct."""
OWN = 50
"""Up to this number, each category has a code of its own; of more categories, the rarer half shares one code."""
LEAST = 100
"""The fewest rows in which a column of distinct values is taken as an id."""


def guessed(x: Any, given: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[str], dict[str, str]]:
    """Guess the kind of each column. Returns the kinds, the names of ids, which are left out, and words to print.

    Args:
        given: the kinds that the user gives; None leaves a column out.
    """
    table, given = opened_table(x), dict(given or {})
    if unknown := [name for name in given if name not in table.columns]:
        raise ArgumentError(f"features: the table has no column {unknown[0]!r}. It has {listed(table.columns)}.")
    if not len(table):
        raise DataError("the table has no rows to guess kinds from.")
    found: dict[str, Any] = {}
    ids, told = [], {}
    for name in table.columns:
        if name in given:
            kind = given[name]
        else:
            column = table.column(name)
            require_values(column)
            kind = kind_of(column)
            if kind is None:
                ids.append(name)
        if kind is not None:
            found[name] = kind
            told[name] = kind if isinstance(kind, str) else _word_for(kind)
    if not found:
        raise DataError(f"no column is left: {listed(ids)} {'are ids' if len(ids) > 1 else 'is an id'}.")
    return found, ids, told


def opened_table(x: Any, name: str = "table") -> RawTable:
    """Open a table, or read it if x is the path of a CSV or Parquet file."""
    if not isinstance(x, (str, os.PathLike)):
        return raw_table(x, name)
    path = os.fspath(x)
    reader = "read_parquet" if path.endswith(".parquet") else "read_csv"
    for library in ("pandas", "polars"):  # optional dependencies, either of them
        if find_spec(library) is not None:
            return raw_table(getattr(import_module(library), reader)(path), name)
    raise DataError(f"reading {path!r} needs pandas: pip install pandas.")


def kind_of(column: Column) -> Any:
    """The kind of a column; None for an id."""
    values = column.there
    if values.dtype.kind == "M":
        return "date"
    if values.dtype.kind in "OSU":
        items = set(map(type, values.tolist()))
        if items <= {bool}:
            return "float"
        if not items & {str, bytes}:
            values = as_floats(column._replace(values=values))
        else:
            return _kind_of_text(column.name, as_text(values))
    if values.dtype.kind == "b":
        return "float"
    if values.dtype.kind == "m":
        values = as_floats(column._replace(values=values))
    if values.dtype.kind not in "iuf":
        raise DataError(f"column {column.name!r} holds {values.dtype}, and there is no kind for that. Leave it out.")
    distinct = np.unique(values)
    if not np.all(np.floor(distinct) == distinct) or len(distinct) <= 1:
        return "float_normalized"
    if len(distinct) == 2 and set(distinct.tolist()) == {0, 1}:
        return "float"
    range_of = distinct[-1] - distinct[0] + 1
    if column.gaps is None and len(values) >= LEAST and len(distinct) == len(values) == range_of:
        return None
    return "integer_categorical" if len(distinct) <= FEW else "float_normalized"


def _kind_of_text(name: str, values: HostArray) -> Any:
    distinct = sorted(set(values.tolist()))
    blanks = sum(len(item.split()) > 2 for item in distinct)
    if len(values) >= LEAST and len(distinct) == len(values) and not any(" " in item for item in distinct):
        return None
    if len(distinct) > OWN and blanks > len(distinct) / 2:
        return "text"
    if len(distinct) > OWN:
        return kinds.Kinds.string_categorical(1 + max(OWN, len(distinct) // 2), name=name)
    return "string_categorical"


def _word_for(feature: kinds.Feature) -> str:
    most = getattr(feature.preprocessor, "max_tokens", None)
    return type(feature.preprocessor).__name__ if most is None else f"string_categorical(max_tokens={most})"


def told(kinds_of: Mapping[str, str], ids: list[str]) -> str:
    """The text to print: a line for each kind with its columns."""
    by_kind: dict[str, list[str]] = {}
    for name, kind in kinds_of.items():
        by_kind.setdefault(kind, []).append(name)
    lines = [f"{kind}: {listed(names)}" for kind, names in by_kind.items()]
    if ids:
        lines.append(f"left out, since each row has a value of its own: {listed(ids)}")
    return "\n".join(lines)
