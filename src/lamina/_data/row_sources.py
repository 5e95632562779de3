"""Datasets of torch and of Hugging Face, whose items are rows, as batches; and targets that are one column of x."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._data.data_frames import is_frame, opened
from lamina._data.elements import stacked
from lamina._data.source import is_stream
from lamina._messages.spelling import listed
from lamina._messages.tracebacks import warn
from lamina._settings.converters import short
from lamina.errors import DataError

FORMATS = {
    "parquet": "parquet", "pq": "parquet", "csv": "csv", "arrow": "ipc", "feather": "ipc", "ipc": "ipc",
}  # fmt: skip
"""The kinds of files with tables, by how their names end; `.csv.gz` is a CSV file too."""
SIZE = 32
"""The rows of a batch where batch_size is not given."""
_said: set[str] = set()
"""What was said once in this process."""


class Rows:
    """Batches of a dataset that gives its rows by their numbers; `fit` shuffles these by its own seed.

    >>> batches = Rows([(1, 0), (2, 1), (3, 1)], 2)
    >>> [batches[rows] for rows in batches.places(np.random.default_rng(0))]
    [(array([3, 1]), array([1, 0])), (array([2]), array([1]))]

    Args:
        rows: the dataset.
        size: the number of rows of a batch.
    """

    def __init__(self, rows: Any, size: int | None) -> None:
        self.rows, self.batch_size = rows, size or SIZE
        self.take = _taking(rows)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, places: HostArray) -> Any:
        return self.take(places)

    def places(self, random: np.random.Generator | None) -> Iterator[HostArray]:
        """The numbers of the rows of each batch, in an order by chance if there is a generator of random numbers."""
        count = len(self.rows)
        order = np.arange(count) if random is None else random.permutation(count)
        return (order[start : start + self.batch_size] for start in range(0, count, self.batch_size))


class Grouped:
    """Batches of a dataset that gives one row after the other. It says where it is if the dataset says so.

    A dataset of Hugging Face begins each later pass at the place that it has loaded, and its place leaves out the rows
    in its shuffle buffer. So it is read again from the start, as a source that cannot say where it is.
    """

    def __init__(self, rows: Any, size: int | None) -> None:
        self.rows, self.batch_size = rows, size or SIZE
        if hasattr(rows, "load_state_dict") and ("datasets", "IterableDataset") not in _kinds(rows):
            self.state_dict, self.load_state_dict = rows.state_dict, rows.load_state_dict

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        rows = iter(self.rows)
        while batch := list(itertools.islice(rows, self.batch_size)):
            yield stacked(batch)


def as_batches(source: Any, batch_size: int | None) -> Any:
    """A source of rows as one of batches of `batch_size` rows; any other source as it is."""
    kinds = _kinds(source)
    if kinds & {("torch", "IterableDataset"), ("datasets", "IterableDataset")}:
        return Grouped(source, batch_size)
    return Rows(source, batch_size) if kinds & {("torch", "Dataset"), ("datasets", "Dataset")} else source


def _kinds(source: object) -> set[tuple[str, str]]:
    """The packages and names of the classes of an object; nothing is imported to find them out."""
    return {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(source).__mro__}


def _is_of(source: object, package: str) -> bool:
    return type(source).__module__.partition(".")[0] == package


def tensors_of(source: Any) -> list[HostArray] | None:
    """The arrays whose rows a TensorDataset of torch gives; None for any other source."""
    if type(source).__name__ != "TensorDataset" or not _is_of(source, "torch"):
        return None
    tensors = list(map(unboxed, source.tensors))
    return None if any(hasattr(tensor, "detach") for tensor in tensors) else tensors


def unboxed(part: Any) -> Any:
    """Return the array of a tensor of torch, without a copy; anything else as it is."""
    if type(part).__name__ != "Tensor" or not hasattr(part, "numpy"):
        return part
    try:
        return part.numpy()
    except (RuntimeError, TypeError, NotImplementedError):  # with gradients, on another device, or not NumPy's dtype
        return part


def _taking(rows: Any) -> Callable[[HostArray], Any]:
    """The function that gives a batch of the rows with some numbers."""
    if (tensors := tensors_of(rows)) is not None:
        return lambda places: tuple(tensor[places] for tensor in tensors)
    if ("datasets", "Dataset") in _kinds(rows):
        formatted = rows if rows.format["type"] else rows.with_format("numpy")
        return lambda places: formatted[places.tolist()]
    if (several := getattr(rows, "__getitems__", None)) is not None:
        return lambda places: stacked(several(places.tolist()))
    return lambda places: stacked([rows[place] for place in places.tolist()])


def begun(source: Any) -> Iterator[Any]:
    """An iterator over the batches of a source.

    Where a DataLoader of torch would take the rows of tensors one by one, each batch is taken at once. The numbers of
    the rows are the loader's own, and what it draws from torch's generators stays the same.
    """
    batches: Iterator[Any] = iter(source)
    places = getattr(batches, "_sampler_iter", None)
    plain = type(source).__name__ == "DataLoader" and _is_of(source, "torch")  # and no class of the user's own
    if not plain or places is None or source.num_workers or source.batch_sampler is None:
        return batches
    tensors = tensors_of(source.dataset)
    if tensors is None or getattr(source.collate_fn, "__name__", "") != "default_collate":
        return batches
    return (tuple([tensor[rows] for tensor in tensors]) for rows in places)


def given(
    x: Any, y: Any, sample_weight: Any = None, batch_size: int | None = None, name: str = "x", predicts: bool = False
) -> tuple[Any, Any, Any]:
    """x, y and sample_weight as arrays or as a stream of batches.

    Tensors of a dataset are arrays, other datasets of rows a stream. A column of a table that y names is taken out.
    """
    if (path := _files_of(x)) is not None:
        column = "shuffle=False" if predicts else f"label={y if isinstance(y, str) else '...'!r}"
        line = f"keras.utils.table_dataset({path!r}, {column}, batch_size={batch_size or SIZE})"
        raise DataError(f"{name} stands for files, which are not read here. Give their rows, batch by batch:\n{line}")
    if isinstance(y, str) and (labelled := getattr(x, "_lamina_labelled", None)) is not None:
        return labelled(y), None, sample_weight
    tensors = tensors_of(x) if y is None else None
    if tensors is not None and 1 <= len(tensors) <= 3:
        x, y, weight = [*tensors, None, None][:3]
        return x, y, weight if sample_weight is None else sample_weight
    x = as_batches(x, batch_size)
    return (*(apart(x, y, name) if isinstance(y, str) and not is_stream(x) else (x, y)), sample_weight)


def _files_of(x: Any) -> Any:
    """The path of files with a table, also of those that pyarrow has opened and not read; None for anything else."""
    if hasattr(x, "read_row_group"):
        return "PATH"  # pyarrow does not say which it is
    if isinstance(x, (str, os.PathLike)):
        path = os.fspath(x)
        return path if os.path.isdir(path) or path.removesuffix(".gz").rpartition(".")[2].lower() in FORMATS else None
    files = getattr(x, "files", None) if hasattr(x, "to_table") else None
    return files[0] if files and len(files) == 1 else files


class Parts(NamedTuple):
    """What one column of a frame, or of a dict of columns, is apart from the others."""

    x: Any
    y: Any


def apart(columns: Any, label: str, name: str) -> Parts:
    """The other columns, and the column of the targets.

    >>> apart({"a": [1, 2], "label": [0, 1]}, "label", "x")
    Parts(x={'a': [1, 2]}, y=[0, 1])
    """
    frame = opened(columns, name) if is_frame(columns) else columns
    held = list(getattr(frame, "columns", frame)) if isinstance(frame, Mapping) or is_frame(columns) else None
    if held is None:
        raise DataError(
            f"y={short(label)} names a column of {name}, and {name} is a {type(columns).__name__} without names. "
            "Give the targets themselves: one row of y for each row of x."
        )
    if label not in held:
        raise DataError(f"y={short(label)}: {name} has no such column. It has {listed(held)}.")
    if isinstance(frame, Mapping):
        return Parts({column: values for column, values in frame.items() if column != label}, frame[label])
    return Parts(frame.drop(label).to_native(), frame[label].to_native())


def joined(columns: Mapping[str, Any], name: str) -> HostArray:
    """The columns as one array: (rows, columns), or what the only column is."""
    arrays = {column: np.asarray(values) for column, values in columns.items()}
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if nested := [f"{column!r} {array.shape[1:]}" for column, array in arrays.items() if array.ndim != 1]:
        raise DataError(
            f"{name} has {len(arrays)} columns, and a row of {', '.join(nested[:4])} is no number: a stack takes one "
            "tensor. Choose one column, or columns of numbers: x.select_columns([...])."
        )
    return np.column_stack(list(arrays.values()))


def say_forked(source: Any, name: str) -> None:
    """Warn once that the worker processes of a DataLoader would be copies of a process whose threads run."""
    workers, context = getattr(source, "num_workers", 0), getattr(source, "multiprocessing_context", None)
    if not (isinstance(workers, int) and workers > 0 and ("torch", "DataLoader") in _kinds(source)):
        return
    if (context or multiprocessing).get_start_method() == "fork" and "fork" not in _said:
        _said.add("fork")
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)  # JAX says it for each worker
        warnings.filterwarnings("ignore", ".* use of fork", DeprecationWarning)  # Python too
        warn(
            f"{name} is a DataLoader whose {workers} workers are copies of this process (fork), made after JAX began "
            'its threads: a copy may wait for ever. Write DataLoader(..., multiprocessing_context="spawn").'
        )
