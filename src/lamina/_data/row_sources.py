"""Makes batches of datasets whose items are rows, such as those of torch, and takes a target column out of x."""

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
"""The kinds of table files by the ends of their names; `.csv.gz` is a CSV file too."""
SIZE = 32
"""The number of rows in a batch if batch_size is not given."""
_said: set[str] = set()
"""The warnings that this process has given already."""


class Rows:
    """Batches of a dataset whose rows have numbers. `fit` shuffles the numbers by its own seed.

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
        """Yield the row numbers of each batch; in random order if a generator of random numbers is given."""
        count = len(self.rows)
        order = np.arange(count) if random is None else random.permutation(count)
        return (order[start : start + self.batch_size] for start in range(0, count, self.batch_size))


class Grouped:
    """Batches of a dataset that yields rows one after another. It has positions if the dataset has them.

    An iterable dataset of Hugging Face has positions too, but they are not used. It would begin each later pass at the
    restored position, and its position does not include the rows in its shuffle buffer. So a resumed run reads it again
    from the start.
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
    """Make batches of `batch_size` rows from a source of rows; any other source is returned unchanged."""
    kinds = _kinds(source)
    if kinds & {("torch", "IterableDataset"), ("datasets", "IterableDataset")}:
        return Grouped(source, batch_size)
    return Rows(source, batch_size) if kinds & {("torch", "Dataset"), ("datasets", "Dataset")} else source


def _kinds(source: object) -> set[tuple[str, str]]:
    """The packages and names of an object's classes. No package is imported to find them."""
    return {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(source).__mro__}


def _is_of(source: object, package: str) -> bool:
    return type(source).__module__.partition(".")[0] == package


def tensors_of(source: Any) -> list[HostArray] | None:
    """The arrays of a TensorDataset of torch; None for any other source."""
    if type(source).__name__ != "TensorDataset" or not _is_of(source, "torch"):
        return None
    tensors = list(map(unboxed, source.tensors))
    return None if any(hasattr(tensor, "detach") for tensor in tensors) else tensors


def unboxed(part: Any) -> Any:
    """Return the array of a torch tensor without a copy; any other value is returned unchanged."""
    if type(part).__name__ != "Tensor" or not hasattr(part, "numpy"):
        return part
    try:
        return part.numpy()
    except (RuntimeError, TypeError, NotImplementedError):  # with gradients, on another device, or not NumPy's dtype
        return part


def _taking(rows: Any) -> Callable[[HostArray], Any]:
    """Make the function from row numbers to the batch of these rows."""
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

    A DataLoader of torch collects the rows of tensors one by one, which is slow. Here each batch is read at once. The
    loader still chooses the row numbers, so its use of torch's random generators stays the same.
    """
    batches: Iterator[Any] = iter(source)
    places = getattr(batches, "_sampler_iter", None)
    plain = type(source).__name__ == "DataLoader" and _is_of(source, "torch")  # and not a user's subclass
    if not plain or places is None or source.num_workers or source.batch_sampler is None:
        return batches
    tensors = tensors_of(source.dataset)
    if tensors is None or getattr(source.collate_fn, "__name__", "") != "default_collate":
        return batches
    return (tuple([tensor[rows] for tensor in tensors]) for rows in places)


def given(
    x: Any, y: Any, sample_weight: Any = None, batch_size: int | None = None, name: str = "x", predicts: bool = False
) -> tuple[Any, Any, Any]:
    """Convert x, y and sample_weight to arrays or to a stream of batches.

    A TensorDataset becomes arrays, any other dataset of rows becomes a stream. If y is the name of a column of x, that
    column becomes y.
    """
    if (path := _files_of(x)) is not None:
        column = "shuffle=False" if predicts else f"label={y if isinstance(y, str) else '...'!r}"
        line = f"keras.utils.table_dataset({path!r}, {column}, batch_size={batch_size or SIZE})"
        raise DataError(f"{name} is the path of files, which are not read here. Pass a dataset of their rows:\n{line}")
    if isinstance(y, str) and (labelled := getattr(x, "_lamina_labelled", None)) is not None:
        return labelled(y), None, sample_weight
    tensors = tensors_of(x) if y is None else None
    if tensors is not None and 1 <= len(tensors) <= 3:
        x, y, weight = [*tensors, None, None][:3]
        return x, y, weight if sample_weight is None else sample_weight
    x = as_batches(x, batch_size)
    return (*(apart(x, y, name) if isinstance(y, str) and not is_stream(x) else (x, y)), sample_weight)


def _files_of(x: Any) -> Any:
    """The path if x is the path of table files, or such files opened with pyarrow; else None."""
    if hasattr(x, "read_row_group"):
        return "PATH"  # pyarrow does not tell the path
    if isinstance(x, (str, os.PathLike)):
        path = os.fspath(x)
        return path if os.path.isdir(path) or path.removesuffix(".gz").rpartition(".")[2].lower() in FORMATS else None
    files = getattr(x, "files", None) if hasattr(x, "to_table") else None
    return files[0] if files and len(files) == 1 else files


class Parts(NamedTuple):
    """A table, split into the target column and the other columns."""

    x: Any
    y: Any


def apart(columns: Any, label: str, name: str) -> Parts:
    """Split a table into the other columns and the target column.

    >>> apart({"a": [1, 2], "label": [0, 1]}, "label", "x")
    Parts(x={'a': [1, 2]}, y=[0, 1])
    """
    frame = opened(columns, name) if is_frame(columns) else columns
    held = list(getattr(frame, "columns", frame)) if isinstance(frame, Mapping) or is_frame(columns) else None
    if held is None:
        advice = "Give the targets themselves: one row of y for each row of x."
        if isinstance(columns, (str, os.PathLike)):
            path = os.fspath(columns)
            ending = path.rpartition(".")[2].lower()
            advice = f"Read the file first: {name} = pandas.read_{'excel' if 'xls' in ending else ending}({path!r})."
        kind = type(columns).__name__
        raise DataError(f"y={short(label)} names a column of {name}, and {name} is a {kind} without names.\n{advice}")
    if label not in held:
        raise DataError(f"y={short(label)}: {name} has no such column. It has {listed(held)}.")
    if isinstance(frame, Mapping):
        return Parts({column: values for column, values in frame.items() if column != label}, frame[label])
    return Parts(frame.drop(label).to_native(), frame[label].to_native())


def joined(columns: Mapping[str, Any], name: str) -> HostArray:
    """Join columns to one array (rows, columns); a single column is returned unchanged."""
    arrays = {column: np.asarray(values) for column, values in columns.items()}
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if nested := [f"{column!r} {array.shape[1:]}" for column, array in arrays.items() if array.ndim != 1]:
        raise DataError(
            f"{name} has {len(arrays)} columns, and a row of {', '.join(nested[:4])} is not a number: a stack takes "
            "one tensor. Choose one column, or columns of numbers: x.select_columns([...])."
        )
    return np.column_stack(list(arrays.values()))


def say_forked(source: Any, name: str) -> None:
    """Warn once that a DataLoader forks a process with running threads for its workers."""
    workers, context = getattr(source, "num_workers", 0), getattr(source, "multiprocessing_context", None)
    if not (isinstance(workers, int) and workers > 0 and ("torch", "DataLoader") in _kinds(source)):
        return
    if (context or multiprocessing).get_start_method() == "fork" and "fork" not in _said:
        _said.add("fork")
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)  # JAX says it for each worker
        warnings.filterwarnings("ignore", ".* use of fork", DeprecationWarning)  # Python too
        warn(
            f"{name} is a DataLoader that forks this process for its {workers} workers. JAX runs threads here, so a "
            'worker may hang. Write DataLoader(..., multiprocessing_context="spawn").'
        )
