"""The `.keras` file, as a zip archive or as a folder."""

from __future__ import annotations

import encodings.cp437  # noqa: F401  # zipfile imports it to decode names; imported here, before any file is open
import io
import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from lamina._files.files import make_folder, replacing
from lamina._saving import KERAS, folders, hdf5
from lamina._saving.guard import (
    FREE_GROWTH,
    MOST_GROWTH,
    MOST_MEMBERS,
    file_bytes,
    first_repeated,
    is_of_torch,
    is_plain_name,
    linked,
    opened_bytes,
    parsed_json,
    refused,
    wrong_folder,
    wrong_kind,
)
from lamina._saving.hdf5 import Stored

CONFIG, WEIGHTS, EXTRA, ASSETS = "config.json", "model.weights.h5", "lamina.json", "assets/"
_LOCAL_HEADER = 30
_IN_FOLDER = re.compile(r"(config|metadata|lamina)\.json|model\.weights\.h5|assets/|assets/([^/]+/)*(vocabulary\.txt)?")
"""The paths in a model's folder that Keras or Lamina writes."""


class Archive(NamedTuple):
    """The members of a `.keras` file."""

    config: dict[str, Any]
    """config.json"""
    weights: Stored
    """model.weights.h5"""
    assets: dict[str, bytes]
    """The vocabularies, by names such as "layers/string_lookup/vocabulary.txt"."""
    extra: dict[str, Any]
    """lamina.json, which Keras ignores: names of columns and classes, and the versions."""


def read(path: str | os.PathLike[str]) -> Archive:
    """Read a `.keras` file, or a folder with the same members, into memory before any part is parsed.

    Raises:
        FileError: the file is missing, of another kind, broken, or has members larger than its size allows.
    """
    where = os.fspath(path)
    held = members(where)
    for name in (CONFIG, WEIGHTS):
        if name not in held and os.path.isdir(where) and not held:
            raise wrong_folder(where, "a .keras file, or a folder with its members,")
        if name not in held:
            raise refused(where, f"it has no member {name!r}, which every model saved by Keras has.")
    config = parsed_json(held[CONFIG], f"{where}, {CONFIG}")
    extra = parsed_json(held.get(EXTRA, b"{}"), f"{where}, {EXTRA}")
    if not isinstance(config, dict) or not isinstance(extra, dict):
        raise refused(where, f"{EXTRA if isinstance(config, dict) else CONFIG} holds no JSON object.")
    assets = {name.removeprefix(ASSETS): bytes(data) for name, data in held.items() if name.startswith(ASSETS)}
    return Archive(config, hdf5.read(held[WEIGHTS], f"{where}, {WEIGHTS}"), assets, extra)


def members(where: str, also: Collection[str] = ()) -> dict[str, bytes | memoryview]:
    """Return the members of a `.keras` file or folder that Lamina reads, and those in `also`, by their names.

    If another process replaces a folder meanwhile, all members are from the old folder or all from the new one.
    """
    wanted = (*also, CONFIG, WEIGHTS, EXTRA)
    if os.path.isdir(where):
        return folders.read(where, lambda: _in_folder(where, wanted))
    return _in_zip(file_bytes(where), where, wanted)


def _in_zip(data: bytes, where: str, wanted: Collection[str]) -> dict[str, bytes | memoryview]:
    """Return the members that Lamina reads, by name. Uncompressed members share the bytes of the archive."""
    if not data.startswith(b"PK\3\4") or is_of_torch(data[:300]):
        raise wrong_kind(data, where, "a .keras archive")
    if data.count(b"PK\1\2") > MOST_MEMBERS:
        raise refused(where, f"it has more than {MOST_MEMBERS:,} members.")
    try:
        listed = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise refused(where, f"the archive is broken: {error}.", "Copy or download it again.") from None
    _check_names(listed, where)
    if sum(each.compress_size for each in listed) > len(data):
        raise refused(where, "its members need more bytes than the file has, so some of them overlap.")
    members: dict[str, bytes | memoryview] = {}
    room = MOST_GROWTH * len(data) + FREE_GROWTH
    for each in listed:
        if (each.filename in wanted or each.filename.startswith(ASSETS)) and not each.is_dir():
            members[each.filename] = held = _member(memoryview(data), each, room, f"{where}, {each.filename}")
            room -= len(held)
    return members


def _check_names(listed: list[zipfile.ZipInfo], where: str) -> None:
    names = [each.orig_filename for each in listed]
    for each, name in zip(listed, names, strict=True):
        kind = stat.S_IFMT(each.external_attr >> 16)
        if not all(map(is_plain_name, name.removesuffix("/").split("/"))) or len(name) > 1024:
            raise refused(where, f"the member {name[:80]!r} could be written outside a folder.")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refused(where, f"the member {name[:80]!r} is a link or a device.")
    twice = first_repeated(names)
    if twice is not None:
        raise refused(where, f"the member {twice[:80]!r} stands there twice.")


def _member(data: memoryview, info: zipfile.ZipInfo, room: int, where: str) -> bytes | memoryview:
    start = info.header_offset
    header = bytes(data[start : start + _LOCAL_HEADER])
    name_size, extra_size = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    start += _LOCAL_HEADER + name_size + extra_size
    stored = data[start : start + info.compress_size]
    if info.flag_bits & 1:
        raise refused(where, "it is encrypted.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refused(where, "it is compressed by another method than deflate.", "Keras compresses nothing at all.")
    if header[:4] != b"PK\3\4" or len(stored) != info.compress_size:
        raise refused(where, "the archive is broken: the member lies outside it.", "Copy or download it again.")
    content: bytes | memoryview = stored
    if info.compress_type == zipfile.ZIP_DEFLATED:
        content = _inflated(stored, min(room, max(MOST_GROWTH * len(stored), FREE_GROWTH)), where)
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise refused(where, "the archive is broken: the member's size or checksum is wrong.", "Copy it again.")
    return content


def _inflated(stored: memoryview, most: int, where: str) -> bytes:
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflating.decompress(stored, most)
        if not inflating.eof and inflating.decompress(inflating.unconsumed_tail, 1):
            raise refused(where, f"{len(stored):,} compressed bytes become more than {most:,}, as in a zip bomb.")
    except zlib.error as error:
        raise refused(where, f"the archive is broken: {error}.", "Copy or download it again.") from None
    return content


def _in_folder(path: str, names: Collection[str]) -> dict[str, bytes | memoryview]:
    """Return the members that Lamina reads, by name. The folder stays open, so that no link can replace a part."""
    if not hasattr(os, "fwalk"):
        raise refused(
            path, "this system cannot read a folder without following links.", "Zip its content as a .keras file."
        )
    members: dict[str, bytes | memoryview] = {}
    top = os.path.realpath(path)
    for folder, inner, files, descriptor in os.fwalk(top):
        within = os.path.relpath(folder, top).replace(os.sep, "/")
        start = "" if within == "." else f"{within}/"
        inner[:] = [name for name in inner if f"{start}{name}/".startswith(ASSETS)]
        wanted = [name for name in files if start + name in names or start.startswith(ASSETS)]
        for name in inner:
            if stat.S_ISLNK(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                raise linked(f"{path}, {start}{name}")
        if len(members) + len(wanted) + len(inner) > MOST_MEMBERS or start.count("/") > 100:
            raise refused(path, f"it holds more than {MOST_MEMBERS:,} files, or folders in folders without end.")
        for name in wanted:
            place = f"{path}, {start}{name}"
            if not is_plain_name(name):
                raise refused(place, "its name has characters that are not allowed.")
            members[start + name] = opened_bytes(name, place, descriptor)
    return members


def write(path: str | os.PathLike[str], archive: Archive, zipped: bool = True) -> None:
    """Write the members as Keras does, uncompressed, into a zip archive or a folder."""
    told = {"keras_version": KERAS, "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S")}
    members = {
        "metadata.json": json.dumps(told).encode(),
        CONFIG: json.dumps(archive.config).encode(),
        WEIGHTS: hdf5.write(archive.weights),
        EXTRA: json.dumps(archive.extra).encode(),
        **{ASSETS + name: data for name, data in archive.assets.items()},
    }
    if not zipped:
        make_folder(os.path.dirname(os.path.abspath(path)))
        folders.write(path, members, _IN_FOLDER, (CONFIG, WEIGHTS))
        return
    with replacing(path, sum(map(len, members.values()))) as file, zipfile.ZipFile(file, "w") as zipped_file:
        for name, data in members.items():
            zipped_file.writestr(name, data)
