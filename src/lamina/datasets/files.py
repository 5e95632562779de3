"""Reads the files that data sets come in: arrays in npz files and in pickles, without running what they hold."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import numpy as np

from lamina._base.arrays import HostArray
from lamina.errors import FileError
from lamina.utils import get_file

FOLDER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
"""Where Keras keeps most of them."""
T = TypeVar("T")


def fetched(name: str, origin: str, file_hash: str, read: Callable[[str], T]) -> T:
    """What `read` makes of a file of `FOLDER`, which has that hash and is called `name` in the cache."""
    return read(get_file(name, FOLDER + origin, file_hash=file_hash))


def arrays_in(path: str) -> dict[str, HostArray]:
    """The arrays of an npz file by their names; one of Python objects may hold numbers, text and lists of them."""
    with np.load(path, allow_pickle=False) as file:
        return {name: _array(file.zip, f"{name}.npy") for name in file.files}


def words_in(path: str) -> dict[str, int]:
    """The numbers of words, from a JSON file."""
    with open(path, encoding="utf-8") as file:
        words: dict[str, int] = json.load(file)
    return words


def unpickled(file: BinaryIO) -> Any:
    """What a pickle holds, if it is made of arrays, lists, dicts, numbers and text.

    Raises:
        FileError: for a pickle that names anything else, or is broken.
    """
    try:
        return _Unpickler(file, encoding="bytes").load()
    except FileError:
        raise
    except Exception as error:  # a broken pickle may raise any error
        raise FileError(f"a pickle in the data set is broken ({error}). Delete the file.") from error


def _array(file: zipfile.ZipFile, member: str) -> HostArray:
    header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
    with file.open(member) as opened:
        major, _ = np.lib.format.read_magic(opened)
        if header[min(major, 2)](opened)[2].hasobject:
            return np.asarray(unpickled(opened))  # type: ignore[arg-type]
    with file.open(member) as opened:
        return np.asarray(np.lib.format.read_array(opened, allow_pickle=False))


class _Unpickler(pickle.Unpickler):
    """Knows NumPy's arrays beside Python's own values, and nothing that could be run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        raise FileError(
            f"a pickle in the data set names {module}.{name}, which could run code; expected arrays, lists and text. "
            "The file is not the one that it should be: delete it."
        )


def _empty(kind: object, shape: object, dtype: object) -> HostArray:
    """The array that a pickle then fills."""
    return np.ndarray((0,), np.uint8)


def _dtype(text: str | bytes, *_: object) -> np.dtype[Any]:
    return np.dtype(text.decode("ascii") if isinstance(text, bytes) else text)


def _scalar(dtype: np.dtype[Any], data: bytes) -> Any:
    return np.frombuffer(data, dtype)[0]


KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    **{
        (f"numpy.{core}.multiarray", name): made
        for core in ("core", "_core")
        for name, made in (("_reconstruct", _empty), ("scalar", _scalar))
    },
}
"""What a pickle of arrays names, and what we take in its place."""
