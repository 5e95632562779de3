"""Writes folders completely or not at all, as `_files.files` does for files."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar

from lamina._files.files import FOLDER, WINDOWS, beside, folder_beside, keep_permissions, sync, sync_folder

ASIDE = ".lamina-old"
"""The ending of the old folder's name while the new one replaces it, on systems that cannot swap two names."""
T = TypeVar("T")


def write(
    path: str | os.PathLike[str], members: Mapping[str, bytes], known: re.Pattern[str], signs: Collection[str] = ()
) -> None:
    """Replace the folder `path` by one with the files `members`, completely or not at all.

    The new folder and the old one swap their names in one step. On systems that cannot do that (Windows, some network
    disks), the old folder is called ".<name>.<16 digits>.lamina-old" for a moment. After a power cut in that moment
    it has to be renamed by hand.

    Args:
        path: the folder's name, in a folder that exists.
        members: the content of each file by its name, such as "config.json" or "assets/terms.txt".
        known: matches the paths that an old folder may contain; paths of folders end with a slash. An old folder
            with other files is not replaced, so that no file of the user is removed.
        signs: the files that an old folder must contain, unless it is empty.

    Raises:
        FileError: the folder cannot be written. After this or any other error the old folder is unchanged.
    """
    size = sum(map(len, members.values()))
    with contextlib.ExitStack() as after, contextlib.ExitStack() as held, beside(path, size) as (place, part):
        old = _replaceable(place, known, signs)
        new = held.enter_context(folder_beside(part))
        keep_permissions(new, old)
        for name, data in members.items():
            file = os.path.join(new, name)
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "xb") as opened:
                opened.write(data)
                opened.flush()
                sync(opened.fileno())
        for folder, _, _ in os.walk(new, topdown=False):
            sync_folder(folder)
        _put(new, place, _aside(part))
        for _ in range(2):  # as Ctrl-C may end the first
            after.callback(_remove_old, part)


def read(path: str, reader: Callable[[], T]) -> T:
    """Call `reader` until no other process replaced the folder `path` during the call, and return its result."""
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
    """Identify a folder; the time is included because a disk can reuse the number of a removed folder."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _replaceable(place: str, known: re.Pattern[str], signs: Collection[str]) -> os.stat_result | None:
    """Check that the folder may be replaced, and return its status; None if there is no folder."""
    try:
        old = os.stat(place)
    except FileNotFoundError:
        os.stat(os.path.dirname(place))
        return None
    if not stat.S_ISDIR(old.st_mode):
        raise OSError(errno.EINVAL, "a file has the name that the folder would get", place)
    is_ours = all(os.path.isfile(os.path.join(place, name)) for name in signs)
    other = next((each for each in _paths(place) if not (is_ours and known.fullmatch(each))), None)
    if other:
        words = f"it holds other files, such as {other.rstrip('/')!r}, which would be removed"
        raise OSError(errno.ENOTEMPTY, f"{words}. Give the name of a new folder", place)
    if not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, "the folder is read-only", place)
    return old


def _paths(place: str) -> Iterator[str]:
    """Iterate over the relative paths of all files and folders in a folder; those of folders end with a slash."""
    for folder, inner, names in os.walk(place):
        start = os.path.relpath(folder, place).replace(os.sep, "/") + "/"
        for name in sorted(inner + names):
            is_folder = name in inner and not os.path.islink(os.path.join(folder, name))
            yield f"{start}{name}{'/' * is_folder}".removeprefix("./")


def _aside(part: str) -> str:
    """The temporary name of the old folder. It is unique to this save, as the name `part` is."""
    return part.removesuffix(".lamina-part") + ASIDE


def _put(new: str, place: str, aside: str) -> None:
    """Rename the folder `new` to `place`; an existing folder of that name gets another name."""
    while True:
        try:
            if not os.path.lexists(place):
                os.rename(new, place)
            elif not _exchange(new, place):
                shutil.rmtree(aside, ignore_errors=True)
                try:
                    os.rename(place, aside)
                    os.rename(new, place)
                except BaseException:
                    if not os.path.lexists(place):
                        os.rename(aside, place)
                    raise
            return
        except OSError as error:  # another process may have written or removed the folder in between
            if error.errno not in (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY) or not os.path.lexists(new):
                raise


def _remove_old(part: str) -> None:
    """Remove the replaced folder under its present name."""
    for old in (part + FOLDER, _aside(part)):
        shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(part)


def _exchange(one: str, other: str) -> bool:
    """Swap the names of two folders in one step; return False if the system cannot do it."""
    if WINDOWS:
        return False
    system, names = ctypes.CDLL(None, use_errno=True), (os.fsencode(one), os.fsencode(other))
    if hasattr(system, "renameat2"):  # Linux; -100 means the current folder, 2 means to exchange
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
