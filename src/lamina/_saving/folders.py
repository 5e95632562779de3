"""Folders that are written whole or not at all, as `files` does it for files."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from lamina._files.files import WINDOWS, beside, keep_permissions, locked, sync, sync_folder

ASIDE = ".lamina-old"
"""What is added to the name of a folder while it makes way for the new one, where two folders cannot swap names."""
T = TypeVar("T")


def write(path: str | os.PathLike[str], members: Mapping[str, bytes], replaces: Collection[str]) -> None:
    """Let the folder `path` hold the files `members`, all of them or none.

    The new folder and the old one swap their names in one step. Where the system cannot do that (Windows, some network
    disks), the old one is called "<path>.lamina-old" for a moment, and after a power cut in just that moment it has to
    be renamed by hand.

    Args:
        path: the folder's name, in a folder that exists.
        members: the content of each file by its name, as "config.json" or "assets/terms.txt".
        replaces: what a folder that is replaced may hold, so that no file of the user's own is ever removed.

    Raises:
        FileError: the folder cannot be written. After this or any other error the old folder is as it was.
    """
    with contextlib.ExitStack() as after, beside(path, sum(map(len, members.values()))) as (place, part):
        for _ in range(2):  # as Ctrl-C may end the first
            after.callback(_remove_old, part, place)
        old = _replaceable(place, replaces)
        with locked(lambda: _made(part), part):
            keep_permissions(part, old)
            for name, data in members.items():
                file = os.path.join(part, name)
                os.makedirs(os.path.dirname(file), exist_ok=True)
                with open(file, "xb") as opened:
                    opened.write(data)
                    opened.flush()
                    sync(opened.fileno())
            for folder, _, _ in os.walk(part, topdown=False):
                sync_folder(folder)
            _put(part, place)


def read(path: str, reader: Callable[[], T]) -> T:
    """What `reader` reads in the folder `path`: all of it before, or all after another process replaces the folder."""
    while True:
        before = _identity(path)
        try:
            result = reader()
        except Exception:
            if _identity(path) == before:
                raise
        else:
            if _identity(path) == before:
                return result


def _identity(path: str) -> tuple[int, int, int]:
    """What tells a folder from one that took its place; a number of the disk's may be given again."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _replaceable(place: str, replaces: Collection[str]) -> os.stat_result | None:
    """What the system says of the folder that will be replaced; None if there is none."""
    try:
        old = os.stat(place)
    except FileNotFoundError:
        os.stat(os.path.dirname(place))
        return None
    if not stat.S_ISDIR(old.st_mode):
        raise OSError(errno.EINVAL, "there is a file of that name, where a folder would be", place)
    held = set(os.listdir(place))
    others = sorted(held - set(replaces) if "config.json" in held else held)
    if others:
        words = f"it holds other files, such as {others[0]!r}, which would be removed. Give the name of a new folder"
        raise OSError(errno.ENOTEMPTY, words, place)
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, "the folder is read-only", place)
    return old


def _made(part: str) -> int:
    """Make an empty folder, open."""
    os.mkdir(part)
    return os.open(os.devnull if WINDOWS else part, os.O_RDONLY)


def _put(part: str, place: str) -> None:
    """Give the folder `part` the name `place`, and what has that name, if anything, another one."""
    while True:
        try:
            if not os.path.lexists(place):
                os.rename(part, place)
            elif not _exchange(part, place):
                shutil.rmtree(place + ASIDE, ignore_errors=True)
                try:
                    os.rename(place, place + ASIDE)
                    os.rename(part, place)
                except BaseException:
                    if not os.path.lexists(place):
                        os.rename(place + ASIDE, place)
                    raise
            return
        except OSError as error:  # another process may have written or removed the folder in between
            if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY) or not os.path.lexists(part):
                raise


def _remove_old(part: str, place: str) -> None:
    """Remove the folder that was replaced, under the name that it has now."""
    if os.path.lexists(place):
        for old in (part, place + ASIDE):
            shutil.rmtree(old, ignore_errors=True)


def _exchange(one: str, other: str) -> bool:
    """Let two folders swap their names in one step; False where the system cannot do it."""
    if WINDOWS:
        return False
    system, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(one), os.fsencode(other))
    if hasattr(system, "renameat2"):  # Linux; -100 is the folder of the process, 2 is to exchange
        failed = system.renameat2(-100, names[0], -100, names[1], 2)
    elif hasattr(system, "renamex_np"):  # macOS
        failed = system.renamex_np(*names, 2)
    else:
        return False
    number = ctypes.get_errno() if failed else 0
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    if number:
        raise OSError(number, os.strerror(number), one, None, other)
    return True
