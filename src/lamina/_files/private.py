"""Folders and files of this user: files that another user could have written are never read or run."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Flags with which links are not followed, and opening a pipe does not wait."""


class NotPrivateError(OSError):
    """The error for a folder or file that other users could have made or changed; `strerror` has the reason."""


def user() -> int | None:
    """Return the number of the user who owns the files of this process; None if the system has no such numbers."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def make_folder(folder: Path) -> None:
    """Make a folder that only this user can read, and its parents. An existing folder must be private.

    Raises:
        OSError: the folder cannot be made, or is not private.
    """
    missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    for each in reversed(missing):
        each.mkdir(0o700, exist_ok=True)
    _require_folder(folder)


def read(folder: Path, name: str, most: int) -> bytes:
    """Read a file of at most `most` bytes in a private folder.

    Raises:
        OSError: the file does not exist, is not a regular file, is not private, or is larger.
    """
    _require_folder(folder)
    descriptor = os.open(folder / name, os.O_RDONLY | PLAIN)
    try:
        found = os.fstat(descriptor)
        _require(folder / name, found, stat.S_ISREG, "a plain file")
        if found.st_size > most:
            raise NotPrivateError(None, f"has {found.st_size:,} bytes, and {most:,} is the limit", str(folder / name))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(found.st_size)
    finally:
        os.close(descriptor)


def write(folder: Path, name: str, data: bytes) -> None:
    """Make a new file that only this user can read."""
    with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | PLAIN, 0o600), "wb") as file:
        file.write(data)


def _require_folder(folder: Path) -> None:
    _require(folder, os.lstat(folder), stat.S_ISDIR, "a folder")


def _require(path: Path, found: os.stat_result, is_kind: Callable[[int], bool], kind: str) -> None:
    why = ""
    if not is_kind(found.st_mode):
        why = f"is not {kind}"
    elif user() is not None and found.st_uid != user():
        why = "belongs to another user"
    elif user() is not None and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = "can be written by other users (`chmod go-w` changes that)"
    if why:
        raise NotPrivateError(None, why, str(path))
