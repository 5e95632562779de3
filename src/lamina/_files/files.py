"""Writes files completely or not at all.

The new content goes to a file of another name in the same folder and is forced onto the disk. Then that file is
renamed, and the folder is forced onto the disk. So a path always has either its old content or the new one.

A file that is being written is locked. The system removes the lock when the process ends for any reason, also in
another container or on another host. So a file with such a name and no lock was left by a killed process, and the next
write in the same folder removes it. On disks without locks it is not removed.
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
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from lamina._arrays.devices import job
from lamina.errors import ArgumentError, FileError, ForbiddenFileError, LaminaError, MissingFileError

with contextlib.suppress(ImportError):
    import fcntl

WINDOWS = os.name == "nt"
"""On Windows an open file cannot be renamed or removed, so no lock is needed, and folders are not synced."""
PART = re.compile(r"\..+\.[0-9a-f]{16}\.lamina-part")
"""The names of files that are being written."""
FOLDER = "-folder"
"""The ending that is added to such a file's name for the folder that is being written beside it."""
NO_FOLDER_SYNC = (errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP)
"""The errors of systems that cannot force a folder onto the disk."""


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to the file `path`, as `replacing` does."""
    with replacing(path, len(data)) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], size: int | None = None) -> Iterator[BinaryIO]:
    """Open a file to write to; it replaces `path` if the block ends without an error.

    If `path` is a link, the target of the link is replaced. The new file gets the permissions of the old one.

    Args:
        path: the file's name, in a folder that exists.
        size: the number of bytes that will be written, if it is known, for the error of a full disk.

    Raises:
        FileError: the file cannot be written. After this or any other error the old file is unchanged.
    """
    with beside(path, size) as (place, part), contextlib.ExitStack() as held:
        old = _replaceable(place)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        mode = 0o666 if old is None else stat.S_IMODE(old.st_mode)
        descriptor = held.enter_context(locked(lambda: os.open(part, flags, mode), part))
        keep_permissions(part, old)
        with open(descriptor, "w+b", closefd=False) as file:
            yield file
        sync(descriptor)
        if WINDOWS:
            held.close()
        os.replace(part, place)


@contextlib.contextmanager
def in_place(path: str | os.PathLike[str], mode: str) -> Iterator[IO[Any]]:
    """Open a file in `mode` and write to it directly, unlike `replacing`.

    Raises:
        FileError: the file cannot be written, or is a pipe, which could wait forever.
    """
    with explained(path) as place:
        if Path(place).is_fifo():
            raise OSError(errno.EINVAL, "this is a pipe, not a file", place)
        with open(os.devnull if job().rank else place, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file


@contextlib.contextmanager
def explained(path: str | os.PathLike[str]) -> Iterator[str]:
    """Return the real path of a file or folder for the block; errors of the system become a `FileError`."""
    given = name_of(path)
    place = os.path.realpath(given)
    try:
        yield place
    except OSError as error:
        if isinstance(error, LaminaError):
            raise
        raise _told(error, given, place, "more") from None


def make_folder(path: str | os.PathLike[str]) -> None:
    """Make a folder and its parents if they do not exist, and force them onto the disk."""
    given = name_of(path)
    place = above = os.path.abspath(given)
    missing = []
    while not os.path.isdir(above):
        missing.append(above)
        above = os.path.dirname(above)
    try:
        if missing and given.startswith("~"):  # otherwise a folder with the name ~ would be made
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), given)
        if job().rank == 0:
            os.makedirs(place, exist_ok=True)
        for each in missing:
            sync_folder(os.path.dirname(each))
    except OSError as error:
        raise _told(error, given, place, "") from error


@contextlib.contextmanager
def beside(path: str | os.PathLike[str], size: int | None = None) -> Iterator[tuple[str, str]]:
    """Return the real path of a file, and a temporary name in its folder, which the block renames to the path.

    If the block fails, the temporary file is removed.
    """
    given = name_of(path)
    place = os.path.realpath(given)
    if job().rank:  # process 0 of a job writes the file that all see
        with tempfile.TemporaryDirectory() as away:
            yield os.path.join(away, os.path.basename(place)), os.path.join(away, "part")
        return
    folder, name = os.path.split(place)
    part = os.path.join(folder, f".{name[:50]}.{secrets.token_hex(8)}.lamina-part")
    try:
        sweep(folder)
        yield place, part
    except BaseException as error:
        reached = 0
        with contextlib.suppress(OSError):
            reached = os.lstat(part).st_size
            remove(part)
        if isinstance(error, OSError) and not isinstance(error, FileError):
            at = str(error.filename or place)
            if at.startswith(part) or at in (place, folder):
                raise _told(error, given, place, f"{size:,}" if size else f"more than {reached:,}") from error
        raise
    try:
        sync_folder(folder)
    except OSError as error:
        told = FileError(f"{given!r} is written, but a power cut may bring the old file back: {error.strerror}.")
        told.errno = error.errno
        raise told from error


@contextlib.contextmanager
def folder_beside(part: str) -> Iterator[str]:
    """Make a new folder to write to, and beside it the file `part`, which is locked during the block."""
    with locked(lambda: os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), part):
        os.mkdir(part + FOLDER)
        yield part + FOLDER


@contextlib.contextmanager
def locked(make: Callable[[], int], part: str) -> Iterator[int]:
    """Open the file that `make` makes at `part`, and lock it during the block."""
    while True:
        descriptor = make()
        try:
            if not WINDOWS:
                with contextlib.suppress(OSError):  # a disk without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.lexists(part):  # otherwise another process removed it before it was locked
                yield descriptor
                return
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Wait until no other block of this kind runs for the folder in any process; without locks there is no wait."""
    with contextlib.ExitStack() as held:
        if not WINDOWS:
            with contextlib.suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def sweep(folder: str) -> None:
    """Remove files in `folder` that killed processes have left."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for name in [entry.name for entry in entries if PART.fullmatch(entry.name)]:
            with contextlib.suppress(OSError):
                _remove_if_left(os.path.join(folder, name))


def remove(part: str) -> None:
    """Remove a temporary file after the temporary folder that belongs to it, if there is one."""
    if os.path.lexists(part + FOLDER):
        shutil.rmtree(part + FOLDER)
    os.unlink(part)


def sync(descriptor: int) -> None:
    """Force a file's content onto the disk."""
    os.fsync(descriptor)
    if sys.platform == "darwin":  # fsync of macOS does not empty the disk's cache
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)


def sync_folder(folder: str) -> None:
    """Force the names in a folder onto the disk, if the system can do this."""
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


def name_of(path: object, example: str = 'the name of a file, such as "model.keras"') -> str:
    """Convert the name of a file or folder on this machine to text."""
    try:
        given = os.fsdecode(path)  # type: ignore[arg-type]
    except TypeError:
        given = ""
    if not given or "\0" in given:
        raise ArgumentError(f"expected {example}, got {path!r}.")
    if re.match(r"[A-Za-z][\w.+-]+://", given):
        raise FileError(
            f"{given!r} is not on this machine, and remote paths are not supported: write here, and copy it."
        )
    return given


def _replaceable(place: str) -> os.stat_result | None:
    """Return the status of the file that will be replaced; None if there is none."""
    try:
        old = os.stat(place)
    except FileNotFoundError:
        os.stat(os.path.dirname(place))
        return None
    if stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), place)
    if not stat.S_ISREG(old.st_mode):
        raise OSError(errno.EINVAL, "this is a device or a pipe, not a file", place)
    if not os.access(place, os.W_OK):  # the folder's permissions alone would allow the replacement
        raise PermissionError(errno.EACCES, "the file is read-only", place)
    return old


def keep_permissions(part: str, old: os.stat_result | None) -> None:
    """Copy the owner and the permissions of the old file or folder, if there is one, to the new one."""
    if old is not None and not WINDOWS:
        with contextlib.suppress(OSError):  # only an administrator can change the owner of a file
            os.chown(part, old.st_uid, old.st_gid)
        os.chmod(part, stat.S_IMODE(old.st_mode))


def _remove_if_left(part: str) -> None:
    """Remove a temporary file; raise an OSError if a process is still writing it."""
    if not stat.S_ISREG(os.lstat(part).st_mode):
        return
    if WINDOWS:
        os.unlink(part)
        shutil.rmtree(part + FOLDER, ignore_errors=True)
        return
    # NFS can lock only files that are open for writing.
    descriptor = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove(part)
    finally:
        os.close(descriptor)


def _told(error: OSError, given: str, place: str, wanted: str) -> FileError:
    """Convert an error of the system to a `FileError` with advice."""
    folder = os.path.dirname(place)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            why = (
                f"the disk is full. The file needs {wanted} bytes, and {shutil.disk_usage(folder).free:,} are free in "
                f"{folder!r}. Delete something there, or save on another disk."
            )
        case errno.ENOENT if given.startswith("~"):
            why = f"Python does not read ~ as your home folder. Write os.path.expanduser({given!r})."
        case errno.ENOENT if not os.path.isdir(folder):
            made = folder if os.path.islink(given) else os.path.dirname(given)
            why = f"the folder {folder!r} does not exist. Make it first: os.makedirs({made!r})."
        case errno.EEXIST | errno.ENOTDIR:
            why = "a file stands where a folder is needed. Give the name of another folder."
        case errno.EISDIR:
            why = "there is a folder of that name. Give the name of a file."
        case errno.EACCES | errno.EPERM if error.filename == place:
            why = f"{error.strerror}. Let it be written with os.chmod, or save under another name."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            why = f"no file can be made in the folder {folder!r} ({error.strerror}). Save where you may write."
        case _:
            why = f"{error.strerror or error}."
    kind = {FileNotFoundError: MissingFileError, PermissionError: ForbiddenFileError}.get(type(error), FileError)
    told = kind(f"cannot write {given!r}: {why}")
    told.errno = error.errno
    return told
