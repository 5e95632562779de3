"""Folders and files of this user's alone: what somebody else could have put there is neither read nor run."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""No link is followed, and a pipe is opened without waiting for its other end."""


class NotPrivateError(OSError):
    """A folder or a file that is not used, since others could have made or changed it; `strerror` says why."""


def user() -> int | None:
    """The number of the user whose files this process makes; None where the system has none."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def make_folder(folder: Path) -> None:
    """Make a folder that this user alone can read, and those above it; one that is there must be private already.

    Raises:
        OSError: it cannot be made, or is not private.
    """
    missing = [each for each in (folder, *folder.parents) if not os.path.lexists(each)]
    for each in reversed(missing):
        each.mkdir(0o700, exist_ok=True)
    _require_folder(folder)


def read(folder: Path, name: str, most: int) -> bytes:
    """The bytes of a file in a private folder, at most so many.

    Raises:
        OSError: there is none, or one that is no plain file, not private, or larger.
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
    """Make a new file that this user alone can read."""
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
