"""Datasets of table files, Parquet, CSV or Arrow, which may be larger than the memory."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.dataset import KIND, Dataset, Key
from lamina._data.row_sources import FORMATS
from lamina._data.source import arrays
from lamina._data.windows import Window, Windows
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.converters import checked, fixed_seed, flag, optional, positive
from lamina.dtypes import floatx
from lamina.errors import DataError, MissingPackageError

NAME = "table_dataset"
WINDOW, BYTES = 8192, 2**24
"""The fewest rows in a window, which is read, shuffled and encoded together, and the bytes to which it may grow."""


@user_facing
def table_dataset(
    files: Any,
    label: str | None = None,
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int | None = None,
    window: int | None = None,
) -> Dataset:
    """Make a dataset of batches (x, y) from Parquet, CSV or Arrow files without reading whole files into memory.

    The columns of numbers become x, (batch, columns). If the first layer of the model is a `FeatureSpace`, x may have
    columns of any kind. Text in the label column becomes numbers in sorted order; `class_names` lists the texts.

    With `shuffle`, the row groups of the files are read in random order, and the rows are shuffled within windows. Both
    orders depend only on the seed and the number of the pass, so `fit(checkpoint=)` resumes exactly. If files are
    sorted by the label, use windows that are large enough to hold all of its values.

    >>> import pyarrow, pyarrow.parquet, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "rows.parquet")
    >>> pyarrow.parquet.write_table(pyarrow.table({"a": [1.0, 2.0, 3.0], "kind": ["x", "y", "x"]}), path)
    >>> dataset = table_dataset(path, label="kind", batch_size=2, shuffle=False)
    >>> [(x.tolist(), y.tolist()) for x, y in dataset], dataset.class_names
    ([([[1.0], [2.0]], [0, 1]), ([[3.0]], [0])], ['x', 'y'])

    Args:
        files: a file, a pattern such as "rows/*.parquet", a folder, or a list of files.
        label: the column with the targets; None gives x alone.
        batch_size: the number of rows of a batch.
        shuffle: whether the rows are in random order, in a new order in each pass.
        seed: the seed of these orders; by default they depend on the model's seed.
        window: the number of rows that are shuffled together; by default 8,192 or more, by the width of the table.

    Raises:
        DataError: the files or the column do not exist.
        MissingPackageError: pyarrow is not installed.
    """
    size = checked(NAME, "batch_size", positive, batch_size)
    shuffles, seed = checked(NAME, "shuffle", flag, shuffle), checked(NAME, "seed", optional(fixed_seed), seed)
    wanted = checked(NAME, "window", optional(positive), window)
    paths, kind = _found(files)
    source = _opened(paths, kind)
    columns = [name for name in source.schema.names if name != label]
    if label is not None and label not in source.schema.names:
        raise DataError(f"{NAME}(label={label!r}): the files have no such column. They have {', '.join(columns[:12])}.")
    rows = max(wanted or min(BYTES // (8 * len(columns) or 1), 8 * WINDOW), WINDOW, size)
    rows -= rows % size  # the batches of a window are whole
    classes = _classes(source, label)
    if shuffles and label is not None:
        _say_sorted(source, label, rows)
    pieces = [piece for fragment in source.get_fragments() for piece in _pieces(fragment)]

    def read(encode: Callable[[Any], Any], key: Key) -> Iterator[Window]:
        chosen = np.random.default_rng((key[0] if seed is None else seed, *key[1:])) if shuffles else None
        order = pieces if chosen is None else [pieces[place] for place in chosen.permutation(len(pieces))]
        for table in _windows(order, source.schema, rows):
            y = None if label is None else _targets(table[label], label, classes)
            x, places = encode(table.select(columns)), None if chosen is None else chosen.permutation(len(table))
            yield Window((x,) if y is None else (x, y), size, 0, len(table), places)

    def dataset(encode: Callable[[Any], Any]) -> Dataset:
        count = None if kind == "csv" else -(-source.count_rows() // size)
        made = KIND["new"](lambda key: Windows(read(encode, key)), count, classes, paths)
        made._lamina_batched, made._lamina_encoded = size, dataset
        if label is None:
            made._lamina_labelled = lambda column: table_dataset(files, column, batch_size, shuffle, seed, window)
        return made

    kinds = [_numbers(source.schema.field(name).type) for name in columns]
    return dataset(_array(whole=set(kinds) == {"whole"}) if all(kinds) else lambda table: table)


def _found(files: Any) -> tuple[list[str], str]:
    """Return the files, and their kind."""
    given = [os.fspath(each) for each in (files if isinstance(files, (list, tuple)) else [files])]
    inside = [sorted(map(str, Path(each).rglob("*"))) if os.path.isdir(each) else [each] for each in given]
    paths = [path for each in inside for name in each for path in (sorted(glob.glob(name, recursive=True)) or [name])]
    kinds = {path: FORMATS.get(path.removesuffix(".gz").rpartition(".")[2].lower()) for path in paths}
    paths = [path for path in paths if os.path.isfile(path) and (kinds[path] or path in given)]
    found = {kinds[path] for path in paths}
    if not paths:
        raise DataError(f"{NAME}: there is no file {', '.join(map(repr, given[:4]))}.")
    if len(found) > 1 or None in found:
        raise DataError(f"{NAME} reads files of one kind, Parquet, CSV or Arrow, got {', '.join(paths[:4])}.")
    return paths, str(found.pop())


def _opened(paths: list[str], kind: str) -> Any:
    """Open the files as one dataset of pyarrow. Each column gets a type that holds the values of all files."""
    try:
        import pyarrow
        import pyarrow.csv
        import pyarrow.dataset
    except ImportError:
        raise MissingPackageError('table files are read with pyarrow: pip install "lamina[arrow]".') from None
    try:
        form = kind
        if kind == "csv":  # an empty field is a gap, in columns of text too
            gaps = pyarrow.csv.ConvertOptions(strings_can_be_null=True)
            form = pyarrow.dataset.CsvFileFormat(convert_options=gaps)
        source = pyarrow.dataset.dataset(paths, format=form)
        schemas = [fragment.physical_schema for fragment in source.get_fragments()]
        wanted = set(schemas[0].names)
        for path, schema in zip(paths, schemas, strict=True):
            if other := sorted(wanted ^ set(schema.names)):
                raise DataError(f"{NAME}: {path} and {paths[0]} differ in the columns {', '.join(other[:8])}.")
        schema = pyarrow.unify_schemas(schemas, promote_options="permissive")
        return pyarrow.dataset.dataset(paths, schema=schema, format=form)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError) as error:
        raise DataError(f"{NAME}: the files cannot be read as one table: {str(error).partition(chr(10))[0]}") from None


def _pieces(fragment: Any) -> list[Any]:
    """Return the parts of a file that can be read independently."""
    return list(fragment.split_by_row_group()) if hasattr(fragment, "split_by_row_group") else [fragment]


def _windows(pieces: list[Any], schema: Any, rows: int) -> Iterator[Any]:
    """Yield tables of `rows` rows, and a last one with the rest. A table may hold rows of several files."""
    import pyarrow

    held: list[Any] = []
    count = 0
    for piece in pieces:
        for part in _parts(piece, schema, rows):
            held.append(part)
            count += part.num_rows
            while count >= rows:
                table = pyarrow.Table.from_batches(held, schema)
                yield table.slice(0, rows)
                held, count = table.slice(rows).to_batches(), count - rows
    if count:
        yield pyarrow.Table.from_batches(held, schema)


def _parts(piece: Any, schema: Any, rows: int) -> Iterator[Any]:
    """Yield batches of up to `rows` rows of a part of a file. A row group is not read further than necessary."""
    if not hasattr(piece, "row_groups"):
        yield from piece.to_batches(schema=schema, batch_size=rows, batch_readahead=1, fragment_readahead=0)
        return
    from pyarrow.parquet import ParquetFile

    with ParquetFile(piece.path, metadata=piece.metadata, filesystem=piece.filesystem) as file:
        for part in file.iter_batches(rows, [group.id for group in piece.row_groups]):
            yield part.select(schema.names).cast(schema)


def _numbers(kind: Any) -> str | None:
    """Return "whole" or "real" for a type of numbers, None for any other."""
    from pyarrow import types

    return "whole" if types.is_integer(kind) else "real" if types.is_floating(kind) or types.is_boolean(kind) else None


def _array(whole: bool) -> Callable[[Any], HostArray]:
    def array(table: Any) -> HostArray:  # (rows, columns)
        made = arrays(table, floatx=floatx()).x
        return made if whole else made.astype(floatx(), copy=False)

    return array


def _classes(source: Any, label: str | None) -> list[str] | None:
    """Return the different texts of the label column in sorted order; None if it does not hold text."""
    from pyarrow import compute, string, types

    kind = None if label is None else source.schema.field(label).type
    if kind is None or not (types.is_string(kind) or types.is_large_string(kind) or types.is_dictionary(kind)):
        return None
    found: set[str] = set()
    for part in source.to_batches(columns=[label]):
        found.update(compute.unique(part.column(0).cast(string())).to_pylist())
    return sorted(text for text in found if text is not None)


def _targets(column: Any, label: str, classes: list[str] | None) -> HostArray:
    if column.null_count:
        raise DataError(f"the label {label!r} has {column.null_count} gaps. Leave out these rows before training.")
    if classes is None:
        return np.asarray(column.to_numpy())
    from pyarrow import array, compute, string

    return np.asarray(compute.index_in(column.cast(string()), array(classes)).to_numpy(), np.int32)


def _say_sorted(source: Any, label: str, rows: int) -> None:
    """Warn if the first window is in the order of the label, and there are more rows."""
    first = source.head(rows + 1, columns=[label])[label]
    if len(first) <= rows or first.null_count:
        return
    values = np.asarray(first.to_numpy(zero_copy_only=False))
    if (values[1:] >= values[:-1]).all():
        warn(
            f"the files are sorted by {label!r}, and rows are shuffled only within windows of {rows}: a batch has few "
            f"of its values. Give a larger window, {NAME}(..., window={16 * rows}), or write the rows in random order."
        )
