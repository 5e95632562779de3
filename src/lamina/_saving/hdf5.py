"""Reads and writes HDF5 files, in which Keras stores weights."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import h5py
import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._saving.guard import MOST_OBJECTS, is_plain_name
from lamina._saving.hdf5_blocks import (
    ATTRIBUTE,
    DATASPACE,
    DATATYPE,
    LAYOUT,
    LINK,
    LINK_INFO,
    REPACK,
    SYMBOL_TABLE,
    UNDEFINED,
    Cursor,
    File,
    attribute,
    dataspace,
    datatype,
    link,
    links,
    messages,
    root,
)
from lamina._saving.hdf5_dense import dense_links

_BFLOAT16 = np.dtype(jnp.bfloat16)
_MOST_LEVELS = 100
_LONGEST_PATH = 1024


_LINKS: dict[int, Callable[[File, Cursor], Iterable[tuple[str, int]]]] = {
    SYMBOL_TABLE: links,
    LINK: lambda file, message: [link(file, message)],
    LINK_INFO: dense_links,
}
"""For each type of message that holds links of a group: the function that reads them."""


class Stored(NamedTuple):
    """The content of an HDF5 file."""

    arrays: dict[str, HostArray]
    """The datasets by their paths, such as "layers/dense/vars/0"."""
    attributes: dict[str, dict[str, Any]]
    """The attributes of groups and datasets by their paths, "" for the root. Every group has an entry."""


def read(data: bytes | memoryview, where: str) -> Stored:
    """Read the bytes of an HDF5 file. The arrays are read-only and share the bytes if the byte order allows it.

    Only content of the kind that Keras writes is read: groups with hard links, datasets of numbers in one piece of the
    size that their shape needs, attributes of text and numbers. Everything else is refused, even if it is harmless.

    Args:
        where: the file, and the member of the archive if it is one, for the messages.

    Raises:
        FileError: the file is broken or holds anything else.
    """
    file = File(data, where)
    stored = Stored({}, {})
    seen: set[int] = set()
    todo = [("", root(file))]
    while todo:
        path, address = todo.pop()
        file.place = path
        if address in seen:
            raise file.refused("two links lead to it, or it is inside itself.")
        seen.add(address)
        if len(seen) > MOST_OBJECTS:
            raise file.refused(f"the file holds more than {MOST_OBJECTS:,} groups and datasets.")
        parts = messages(file, address)
        attributes = dict(attribute(file, body) for kind, body in parts if kind == ATTRIBUTE)
        only = {kind: body for kind, body in parts if kind not in (ATTRIBUTE, LINK)}
        if sorted(only) in ([SYMBOL_TABLE], [LINK_INFO]):
            stored.attributes[path] = attributes
            todo += reversed(_members(file, path, parts))
        elif sorted(only) == [DATASPACE, DATATYPE, LAYOUT]:
            stored.arrays[path] = _array(file, only[DATASPACE], only[DATATYPE], only[LAYOUT])
            if attributes:
                stored.attributes[path] = attributes
        else:
            raise file.refused("it is neither a group nor a dataset.")
    file.place = ""
    file.check_blocks()
    return stored


def _members(file: File, path: str, parts: list[tuple[int, Cursor]]) -> list[tuple[str, int]]:
    """The paths and addresses of the members of a group."""
    members: dict[str, int] = {}
    for name, address in (found for kind, body in parts if kind in _LINKS for found in _LINKS[kind](file, body)):
        inner = f"{path}/{name}" if path else name
        if inner in members or not is_plain_name(name, without="/"):
            raise file.broken(f"the name {name[:80]!r} stands there twice, or is none")
        if len(inner) > _LONGEST_PATH or inner.count("/") > _MOST_LEVELS:
            raise file.refused(f"{name[:80]!r} is nested too deep.")
        members[inner] = address
    return list(members.items())


def _array(file: File, space: Cursor, kind: Cursor, layout: Cursor) -> HostArray:
    shape, dtype = dataspace(file, space), datatype(file, kind)
    if dtype == "V2":  # in an .h5 file bfloat16 is only this; a .weights.h5 also has an attribute
        dtype = _BFLOAT16
    if shape is None or (dtype.kind in "OSV" and dtype != _BFLOAT16):
        raise file.refused("it holds no numbers, as Keras's datasets do.")
    block = _values(file, layout, math.prod(shape) * dtype.itemsize)
    if dtype.kind == "b" and bytes(block).strip(b"\0\1"):
        raise file.broken("a boolean is neither 0 nor 1")
    try:
        array = np.frombuffer(block, dtype).reshape(shape)
    except ValueError:
        raise file.broken(f"there is no array of the shape {shape}") from None
    if dtype.byteorder == ">":
        array = array.astype(dtype.newbyteorder("="))
    array.flags.writeable = False
    return array


def _values(file: File, layout: Cursor, size: int) -> memoryview:
    """The bytes of a dataset, which must be `size` bytes."""
    version, kind = layout.number(1), layout.number(1)
    if version == 3 and kind == 0:
        stored = layout.number(2)
        block = layout.take(stored)
    elif version == 3 and kind == 1:
        address, stored = layout.number(8), layout.number(8)
        if address == UNDEFINED:
            stored = 0
        block = file.block(address, stored).block if stored == size > 0 else memoryview(b"")
    else:
        raise file.refused("its values are in chunks, in other files, or in a newer form of HDF5.", REPACK)
    if stored != size:
        raise file.refused(f"its shape needs {size:,} bytes, and the file holds {stored:,}.")
    return block


def write(stored: Stored) -> bytes:
    """Return the bytes of an HDF5 file as Keras writes it: each array is in one piece and not compressed."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path in stored.attributes:
            file.require_group(path or "/")
        for path, array in stored.arrays.items():
            if array.dtype.name == "bfloat16":  # HDF5 has no bfloat16
                file.create_dataset(path, data=array.view("V2")).attrs["dtype"] = "bfloat16"
            else:
                file.create_dataset(path, data=array)
        for path, attributes in stored.attributes.items():
            for name, value in attributes.items():
                listed = isinstance(value, list)  # names of layers or weights get a fixed length, as in Keras
                file[path or "/"].attrs[name] = np.array([each.encode() for each in value], "S") if listed else value
    return buffer.getvalue()
