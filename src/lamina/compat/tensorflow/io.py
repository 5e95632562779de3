"""`tf.io`: functions for files, with Python's own."""

from __future__ import annotations

import glob as globbing
import os
import shutil
from collections.abc import Iterator
from typing import IO, Any

from lamina._saving.paths import FilePath
from lamina.compat.tensorflow.image import decode_bmp, decode_gif, decode_image, decode_jpeg, decode_png
from lamina.compat.tensorflow.stand_in import namespace
from lamina.compat.tensorflow.texts import Bytes

__all__ = ["decode_bmp", "decode_gif", "decode_image", "decode_jpeg", "decode_png", "gfile", "read_file", "write_file"]


def read_file(filename: Any, name: str | None = None) -> bytes:
    """The bytes of a file."""
    with open(_name(filename), "rb") as file:
        return Bytes(file.read())


def write_file(filename: Any, contents: bytes, name: str | None = None) -> None:
    """Write bytes to a file."""
    with open(_name(filename), "wb") as file:
        file.write(contents)


def _name(filename: Any) -> str:
    name = filename.item() if hasattr(filename, "item") else filename
    return name.decode() if isinstance(name, bytes) else os.fspath(name)


def _open(name: Any, mode: str = "r") -> IO[Any]:
    return open(_name(name), mode, encoding=None if "b" in mode else "utf-8")


def _glob(pattern: object) -> list[str]:
    patterns = pattern if isinstance(pattern, (list, tuple)) else [pattern]
    return [found for each in patterns for found in sorted(globbing.glob(_name(each)))]


def _copy(src: FilePath, dst: FilePath, overwrite: bool = False) -> None:
    if os.path.exists(dst) and not overwrite:
        raise FileExistsError(f"{dst!r} is there already: copy(..., overwrite=True) replaces it.")
    shutil.copy(src, dst)


def _rename(src: FilePath, dst: FilePath, overwrite: bool = False) -> None:
    if os.path.exists(dst) and not overwrite:
        raise FileExistsError(f"{dst!r} is there already: rename(..., overwrite=True) replaces it.")
    os.replace(src, dst)


def _makedirs(path: FilePath) -> None:
    os.makedirs(path, exist_ok=True)


def _walk(top: str, topdown: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    return os.walk(top, topdown)


gfile = namespace(
    "gfile", __name__, GFile=_open, copy=_copy, exists=os.path.exists, glob=_glob, isdir=os.path.isdir,
    listdir=os.listdir, makedirs=_makedirs, mkdir=os.mkdir, remove=os.remove, rename=_rename, rmtree=shutil.rmtree,
    stat=os.stat, walk=_walk, join=os.path.join,
)  # fmt: skip
