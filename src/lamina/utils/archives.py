"""Unpacks downloaded archives. Whatever an archive holds, nothing is written outside the target folder."""

from __future__ import annotations

import contextlib
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence

from lamina._files.files import WINDOWS, beside, folder_beside, remove
from lamina.errors import FileError

BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)


def unpack(archive: str, folder: str, formats: Sequence[str]) -> None:
    """Unpack an archive into `folder`, which may already hold other files.

    The archive is unpacked into a new folder, which is renamed when it is complete. So the only links in it are those
    of the archive itself. A link, like any other name, must lead to a place inside the folder.

    Args:
        archive: the path of the archive.
        folder: the path of the folder.
        formats: the allowed formats: "tar", also compressed, and "zip".

    Raises:
        FileError: the archive has another format, is damaged, or holds a name that leads outside the folder.
    """
    kind = next((kind for kind in formats if OPENED[kind][0](archive)), None)
    if kind is None:
        known = " or ".join(formats) or "archive, as archive_format names none"
        raise FileError(f"{archive!r} cannot be unpacked: it is not a {known}. Leave extract=True out.")
    with beside(folder) as (place, part):
        with folder_beside(part) as new:
            try:
                OPENED[kind][1](archive, new)
            except BROKEN as error:
                raise FileError(f"{archive!r} is damaged ({error}). Delete it, and it is downloaded again.") from error
            if os.path.isdir(place):
                _merge(new, place)
            else:
                os.rename(new, place)
        with contextlib.suppress(FileNotFoundError):  # another process may have swept it
            remove(part)


def _unpack_tar(archive: str, folder: str) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise FileError("this version of Python cannot unpack archives safely. Update it, to 3.11.4 or later.")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, _checked(opened, archive, folder), filter="data")


def _checked(opened: tarfile.TarFile, archive: str, folder: str) -> Iterator[tarfile.TarInfo]:
    """The members of a tar file, each checked before it is written, since Python's own filter has had holes."""
    links: set[str] = set()
    for member in opened:
        names = _parts(archive, member.name)
        if member.islnk():
            _parts(archive, member.linkname)
        elif member.issym():
            _check_link(archive, names, member.linkname)
        elif not (member.isfile() or member.isdir()):
            raise _refused(archive, member.name, "is a device or a pipe")
        if any("/".join(names[:length]).casefold() in links for length in range(1, len(names))):
            raise _refused(archive, member.name, "would be written through a link")
        if member.issym() or member.islnk():
            links.add("/".join(names).casefold())
        _check_room(archive, folder, member.size)
        yield member


def _unpack_zip(archive: str, folder: str) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        for member in members:
            _parts(archive, member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _refused(archive, member.filename, "is a link, which a zip of data does not need")
            if member.flag_bits & 1:
                raise _refused(archive, member.filename, "is encrypted")
        _check_room(archive, folder, sum(member.file_size for member in members))
        opened.extractall(folder)


OPENED = {"tar": (tarfile.is_tarfile, _unpack_tar), "zip": (zipfile.is_zipfile, _unpack_zip)}
"""By format: the function that recognizes a file, and the function that unpacks it."""


def _parts(archive: str, name: str) -> list[str]:
    """The parts of a path in an archive. The path must lead to a place inside the folder."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or {"\\", "\0"} & set(name) or (WINDOWS and ":" in name):
        raise _refused(archive, name, "would be written outside the folder")
    return parts


def _check_link(archive: str, names: list[str], target: str) -> None:
    """Refuse a link that leads outside. It may go up to the folder and then down; `..` after a name is refused."""
    parts = [part for part in target.split("/") if part not in ("", ".")]
    up = next((place for place, part in enumerate(parts) if part != ".."), len(parts))
    _parts(archive, "/" * target.startswith("/") + "/".join(parts[up:]))
    if up > len(names) - 1:
        raise _refused(archive, "/".join(names), f"is a link to {target!r}, outside the folder")


def _check_room(archive: str, folder: str, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FileError(f"{archive!r} cannot be unpacked: it needs {size:,} bytes more, and {free:,} are free.")


def _refused(archive: str, name: str, why: str) -> FileError:
    return FileError(f"{archive!r} is refused: {name[:80]!r} in it {why}. No file was unpacked.")


def _merge(part: str, place: str) -> None:
    """Move all files of a folder to another folder, and replace files with the same names there."""
    with os.scandir(part) as entries:
        for entry in list(entries):
            target = os.path.join(place, entry.name)
            if entry.is_dir(follow_symlinks=False) and os.path.isdir(target):
                _merge(entry.path, target)
            else:
                os.replace(entry.path, target)
