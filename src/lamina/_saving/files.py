"""Files that are written whole or not at all.

The new content goes to a file of another name in the same folder and is forced onto the disk. Then that file is
renamed, and the folder is forced onto the disk. So a path has its old content or the new one, whatever happens.

A file that is being written is locked, and the system drops the lock when the process ends, however it ends, also in
another container or on another host. So a file of such a name without a lock is what a killed process left, and the
next one that is written in the same folder removes it. Where a disk has no locks, it stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

from lamina.errors import ArgumentError, FileError

with contextlib.suppress(ImportError):
    import fcntl

WINDOWS = os.name == "nt"
"""There an open file can be neither renamed nor removed, so that no lock is needed, and folders are not synced."""
PART = re.compile(r"\..+\.[0-9a-f]{16}\.lamina-part")
"""The names of files that are being written."""
NO_FOLDER_SYNC = (errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP)
"""How systems answer that cannot force a folder onto the disk."""


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Let the file `path` hold `data`, as `replacing` does."""
    with replacing(path, len(data)) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], size: int | None = None) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when the block ends without an error.

    A link stays: the file that it leads to is replaced. A file that was there keeps its permissions.

    Args:
        path: the file's name, in a folder that exists.
        size: how many bytes will be written, if that is known; told where the disk is full.

    Raises:
        FileError: the file cannot be written. After this or any other error the old file is as it was.
    """
    given = _given(path)
    place = os.path.realpath(given)
    part, wanted = _part(place), size or 0
    try:
        old = _replaceable(place)
        sweep(os.path.dirname(place))
        with contextlib.ExitStack() as held:
            descriptor = held.enter_context(_held(lambda: _made(part, old), part))
            with open(descriptor, "w+b", closefd=False) as file:
                try:
                    yield file
                finally:
                    wanted = size or file.tell()
            _sync(descriptor)
            if WINDOWS:
                held.close()
            os.replace(part, place)
        sync_folder(os.path.dirname(place))
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        if isinstance(error, OSError) and error.filename in (None, part, place, os.path.dirname(place)):
            raise _told(error, given, place, wanted) from error
        raise


def sweep(folder: str) -> None:
    """Remove what killed processes have left in `folder`."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if PART.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                _remove_if_left(os.path.join(folder, name))


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder, and those above it, if they are not there, so that they are there after a power cut too."""
    given = _given(path)
    place = above = os.path.abspath(given)
    try:
        missing = []
        while not os.path.isdir(above):
            missing.append(above)
            above = os.path.dirname(above)
        os.makedirs(place, exist_ok=True)
        for each in missing:
            sync_folder(os.path.dirname(each))
    except OSError as error:
        raise _told(error, given, place, 0) from error


def sync_folder(folder: str) -> None:
    """Force the names in a folder onto the disk, where the system can."""
    if WINDOWS:
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC:
            raise


def _given(path: object) -> str:
    try:
        given = os.fsdecode(path)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentError(f'expected the name of a file, such as "model.keras", got {path!r}.') from None
    if not given or "\0" in given:
        raise ArgumentError(f'expected the name of a file, such as "model.keras", got {given!r}.')
    return given


def _part(place: str) -> str:
    folder, name = os.path.split(place)
    return os.path.join(folder, f".{name[:50]}.{secrets.token_hex(8)}.lamina-part")


def _replaceable(place: str) -> os.stat_result | None:
    """What the system says of the file that will be replaced; None if there is none."""
    try:
        old = os.stat(place)
    except FileNotFoundError:
        os.stat(os.path.dirname(place))
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), place)
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "this is a device or a pipe, not a file", place)
    if not os.access(place, os.W_OK):  # its folder would let it be replaced all the same
        raise PermissionError(errno.EACCES, "the file is read-only", place)
    return old


def _made(part: str, old: os.stat_result | None) -> int:
    """Make an empty file, open for writing, with the permissions and the owner of the old one."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(part, flags, 0o666 if old is None else stat.S_IMODE(old.st_mode))
    if old is not None and hasattr(os, "fchown"):
        with contextlib.suppress(OSError):  # only an administrator can give files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    return descriptor


@contextlib.contextmanager
def _held(make: Callable[[], int], part: str) -> Iterator[int]:
    """What `make` makes at `part`, open and locked."""
    while True:
        descriptor = make()
        try:
            if not WINDOWS:
                with contextlib.suppress(OSError):  # a disk without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.lexists(part):  # else another process has swept it before it was locked
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _remove_if_left(part: str) -> None:
    """Remove a file that no process is writing; an OSError if one does."""
    if WINDOWS:
        os.unlink(part)
        return
    folder = stat.S_ISDIR(os.lstat(part).st_mode)
    descriptor = os.open(part, (os.O_RDONLY if folder else os.O_RDWR) | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (shutil.rmtree if folder else os.unlink)(part)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    """Force a file's content onto the disk."""
    os.fsync(descriptor)
    if sys.platform == "darwin":  # whose fsync stops before the disk's own memory
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)


def _told(error: OSError, given: str, place: str, wanted: int) -> FileError:
    """The error of the system in our words."""
    folder = os.path.dirname(place)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            free = shutil.disk_usage(folder).free
            why = (
                f"the disk is full. The file needs {wanted:,} bytes, and {free:,} are free for it in {folder!r}. "
                "Delete something, or save elsewhere."
            )
        case errno.ENOENT if given.startswith("~"):
            why = f"Python does not read ~ as your home folder. Write os.path.expanduser({given!r})."
        case errno.ENOENT if not os.path.isdir(folder):
            why = f"the folder {folder!r} does not exist. Make it first: os.makedirs({os.path.dirname(given)!r})."
        case errno.EISDIR:
            why = f"there is a folder of that name. Give the name of a file, such as {given.rstrip(os.sep) + '.new'!r}."
        case errno.EACCES | errno.EPERM if error.filename == place:
            why = f"{error.strerror}. Let it be written with os.chmod, or save under another name."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            why = (
                f"new files cannot be made in the folder {folder!r} ({error.strerror}). "
                "Save in a folder that you may write to."
            )
        case _:
            why = f"{error.strerror or error}."
    told = FileError(f"cannot write {given!r}: {why}")
    told.errno = error.errno
    return told
