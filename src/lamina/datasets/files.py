"""Reads the files of data sets, arrays in npz files and in pickles, without running code from them."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._saving import guard
from lamina.datasets.pickles import unpickled
from lamina.errors import FileError
from lamina.utils import get_file

FOLDER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
"""The folder in which Keras keeps most data sets."""
T = TypeVar("T")


def fetched(name: str, origin: str, file_hash: str, read: Callable[[str], T]) -> T:
    """The result of `read` for a file of `FOLDER` with this hash; `name` is its name in the cache."""
    return read(get_file(name, FOLDER + origin, file_hash=file_hash))


def arrays_in(path: str) -> dict[str, HostArray]:
    """The arrays of an npz file, by name. An array of Python objects may hold numbers, text and lists of them.

    Raises:
        FileError: the file is damaged, or its arrays need more memory than such a file can.
    """
    data = guard.file_bytes(path)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = file.infolist()
            needed = sum(each.file_size for each in members)
            if len(members) > guard.MOST_MEMBERS or needed > guard.MOST_GROWTH * len(data) + guard.FREE_GROWTH:
                raise guard.refused(path, f"{len(members):,} arrays of {needed:,} bytes are more than it can hold.")
            return {each.filename.removesuffix(".npy"): _array(file.read(each)) for each in members}
    except FileError:
        raise
    except Exception as error:  # a broken archive or header may raise any error
        raise guard.refused(path, f"the file is damaged ({error}).", "Delete it.") from error


def words_in(path: str) -> dict[str, int]:
    """The indices of words, from a JSON file."""
    words: dict[str, int] = guard.parsed_json(guard.file_bytes(path), path)
    return words


def _array(data: bytes) -> HostArray:
    """An array in NumPy's format."""
    file = io.BytesIO(data)
    header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    major, _ = np.lib.format.read_magic(file)
    shape, by_columns, dtype = header[min(major, 2)](file)
    content = data[file.tell() :]
    if dtype.hasobject:
        if not isinstance(array := unpickled(content), np.ndarray):
            raise ValueError("a pickle holds no array")
        return array
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"an array of shape {shape} has {len(content):,} bytes")
    flat: HostArray = np.frombuffer(content, dtype)
    return flat.reshape(shape, order="F" if by_columns else "C").copy()
