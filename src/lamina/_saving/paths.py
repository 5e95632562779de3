"""Checks the file names that a user gives: their endings, and whether a file may be written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TypeAlias

from lamina.errors import ArgumentError, FileError

FilePath: TypeAlias = str | os.PathLike[str]


def named(path: object, example: str) -> str:
    """Convert the name of a file to text."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"expected the name of a file, such as {example!r}, got {type(path).__name__}.")
    name = os.fsdecode(path)
    if "://" in name:
        raise FileError(f"{name!r} is not on this machine: copy the file, and pass the name of the copy, {example!r}.")
    return name


def ending(name: str, endings: Iterable[str], does: str) -> str:
    """Return the ending of a file's name, which must be one of `endings`.

    Args:
        does: the purpose of the file, for the message.
    """
    found = next((each for each in endings if name.endswith(each)), None)
    if found is None:
        listed, meant = ", ".join(map(repr, endings)), os.path.splitext(name)[0] + next(iter(endings))
        raise FileError(f"{does}: expected a name that ends in one of {listed}; got {name!r}. Write {meant!r}.")
    return found


def may_write(name: str, overwrite: bool) -> bool:
    """Whether a file may be written. If it exists and `overwrite` is False, the user is asked at the terminal.

    Raises:
        FileError: the file exists, and there is no terminal.
    """
    if overwrite or not os.path.lexists(name):
        return True
    if not (sys.stdin and sys.stdin.isatty()):
        raise FileError(f"{name!r} exists already. Give another name, or overwrite=True.")
    while (answer := input(f"{name} exists already. Overwrite it? [y/n] ").strip().lower()) not in ("y", "n"):
        print("Type y or n.")
    return answer == "y"
