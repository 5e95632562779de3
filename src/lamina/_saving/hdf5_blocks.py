"""Parses the blocks of an HDF5 file in the form that Keras writes, in Python.

Files from unknown sources are not given to h5py: after a change of a few bytes in a valid file, its C library
(HDF5 2.0) may run forever or end the process. This module reads the oldest form of the format (superblock 0, symbol
tables, object headers of version 1), which h5py writes by default. The terms are those of "HDF5 File Format
Specification, version 3.0".

Each block is read once, and two blocks may not share a byte, so the size of a file limits its time and memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from lamina._saving.guard import MOST_VALUES, refused, wrong_kind
from lamina.errors import FileError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
UNDEFINED = 2**64 - 1
DATASPACE, LINK_INFO, DATATYPE, LINK, LAYOUT, ATTRIBUTE, SYMBOL_TABLE = 1, 2, 3, 6, 8, 0x0C, 0x11
_CONTINUATION = 0x10
_HARMLESS = {0, 4, 5, 0x0A, 0x0D, 0x0E, 0x12, 0x16}
"""Types of messages to ignore: empty, fill values, group sizes, comments, times of changes, numbers of links."""
_NEWER = "it is written in a newer form of HDF5 than Keras writes."
_REFUSED = {
    7: "its values are in another file.",
    0x0B: "it is compressed or filtered.",
    0x0F: "it shares parts with other objects.",
    0x15: _NEWER,
}
_LINKS = {1: "a soft link", 64: "an external link"}
_CLASSES = {
    2: "times", 4: "bit fields", 6: "compound values", 7: "references to objects", 8: "an enumeration",
    9: "values of variable length", 10: "arrays in arrays", 11: "complex numbers",
}  # fmt: skip
_FLOATS = {2: (10, 5, 15), 4: (23, 8, 127), 8: (52, 11, 1023)}
"""The floats of IEEE 754 by size in bytes: bits of the mantissa, bits of the exponent, bias of the exponent."""
REPACK = "If you trust the file, convert it with `h5repack -l CONTI -f NONE OLD.h5 NEW.h5`, and load the new file."


class Cursor:
    """A reading position in a block."""

    def __init__(self, file: File, block: memoryview) -> None:
        self.file, self.block, self.at = file, block, 0

    def take(self, size: int, padded_to: int = 1) -> memoryview:
        """Return the next `size` bytes; the following bytes begin at a multiple of `padded_to`."""
        if size > len(self.block) - self.at:
            raise self.file.broken("a block ends too early")
        taken = self.block[self.at : self.at + size]
        self.at = min(self.at + size + -size % padded_to, len(self.block))
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    @property
    def left(self) -> int:
        return len(self.block) - self.at


class File:
    """The bytes of a file, the blocks that were read from it, and the object that is being read."""

    def __init__(self, data: bytes | memoryview, where: str) -> None:
        self.data, self.where, self.place = memoryview(data), where, ""
        self.taken: list[tuple[int, int]] = []
        self.collections: dict[int, dict[int, memoryview]] = {}
        self.left = self.left_for_text = len(data)
        self.values_left = MOST_VALUES

    def refused(self, what: str, hint: str = "") -> FileError:
        return refused(self.where, f"{self.place}: {what}" if self.place else what, hint)

    def broken(self, what: str) -> FileError:
        return self.refused(f"{what}; the file is broken.")

    def block(self, start: int, size: int) -> Cursor:
        if start + size > len(self.data):
            raise self.broken(f"a block lies at byte {start} of {len(self.data)}, with {size} bytes")
        self.left -= size
        if self.left < 0:
            raise self.broken("two blocks share the same bytes")
        self.taken.append((start, size))
        return Cursor(self, self.data[start : start + size])

    def signed_block(self, start: int, size: int, signature: bytes) -> Cursor:
        cursor = self.block(start, size)
        if cursor.take(4) != signature:
            raise self.broken(f"there is no {signature.decode()} block at byte {start}")
        return cursor

    def check_blocks(self) -> None:
        """Raise an error if two blocks share a byte."""
        end = 0
        for start, size in sorted(self.taken):
            if start < end and size:
                raise self.broken("two blocks share the same bytes")
            end = max(end, start + size)

    def text(self, raw: bytes | memoryview) -> str:
        try:
            return bytes(raw).partition(b"\0")[0].decode()
        except UnicodeDecodeError:
            raise self.broken("a text is not UTF-8") from None


def root(file: File) -> int:
    """Read the address of the root group's object header from the superblock."""
    if bytes(file.data[:8]) != SIGNATURE:
        raise wrong_kind(file.data, file.where, "HDF5")
    start = file.block(0, 96)
    start.take(8)
    if start.number(1) != 0:
        raise file.refused(_NEWER, REPACK)
    if bytes(start.take(7)) != bytes([0, 0, 0, 0, 8, 8, 0]):
        raise file.broken("its superblock is not one that Keras writes")
    start.take(8)  # the sizes of groups' nodes, and consistency flags
    base, _, end, driver, _, header = (start.number(8) for _ in range(6))
    if base != 0 or driver != UNDEFINED:
        raise file.broken("its superblock is not one that Keras writes")
    if end > len(file.data):
        raise file.refused(
            f"the file is cut short: it has {len(file.data)} of {end} bytes.", "Copy or download it again."
        )
    return header


def messages(file: File, address: int) -> list[tuple[int, Cursor]]:
    """Read the messages of an object header, as pairs of type and body."""
    head = file.block(address, 16)
    if head.number(1) != 1:
        newer = bytes(file.data[address : address + 4]) == b"OHDR"
        raise (file.refused(_NEWER, REPACK) if newer else file.broken(f"there is no object header at byte {address}"))
    head.take(1)
    count = head.number(2)
    head.take(4)
    found: list[tuple[int, Cursor]] = []
    blocks = [(address + 16, head.number(4))]
    for start, size in blocks:
        block = file.block(start, size)
        while block.left >= 8 and count:
            count -= 1
            kind, length, flags = block.number(2), block.number(2), block.number(1)
            block.take(3)
            body = Cursor(file, block.take(length))
            if kind in _REFUSED or flags & 2:
                raise file.refused(_REFUSED.get(kind, "it shares its type with other objects."), REPACK * (kind != 7))
            if kind == _CONTINUATION:
                blocks.append((body.number(8), body.number(8)))
            elif kind in (DATASPACE, LINK_INFO, DATATYPE, LINK, LAYOUT, ATTRIBUTE, SYMBOL_TABLE):
                found.append((kind, body))
            elif kind not in _HARMLESS:
                raise file.broken(f"an object header holds a message of the unknown type {kind}")
    return found


def link(file: File, message: Cursor) -> tuple[str, int]:
    """Read the name and the address in a link message. h5py writes it if a name in the group is not ASCII."""
    version, flags = message.number(1), message.number(1)
    kind = message.number(1) if flags & 8 else 0
    message.take((8 if flags & 4 else 0) + (1 if flags & 16 else 0))  # the order of creation, and the encoding
    if version != 1:
        raise file.broken(f"a link has version {version}")
    if kind != 0:
        raise file.refused(f"it holds {_LINKS.get(kind, 'a link of an unknown kind')}, which can lead elsewhere.")
    return file.text(message.take(message.number(1 << (flags & 3)))), message.number(8)


def links(file: File, table: Cursor) -> Iterator[tuple[str, int]]:
    """Read the links of a group in which all names are ASCII: h5py writes a tree of tables and a heap of names."""
    tree, address = table.number(8), table.number(8)
    heap = file.signed_block(address, 32, b"HEAP")
    heap.take(4)
    size, _, start = (heap.number(8) for _ in range(3))
    names = bytes(file.block(start, size).block)
    nodes: list[tuple[int, int]] = [(tree, -1)]
    while nodes:
        address, expected = nodes.pop()
        node = file.signed_block(address, 24, b"TREE")
        kind, level, count = node.number(1), node.number(1), node.number(2)
        if kind != 0 or expected not in (-1, level):
            raise file.broken("a group's tree is not in order")
        children = file.block(address + 24, 16 * count + 8)
        children.take(8)
        found = [children.number(8) for _ in range(2 * count)][::2]
        if level:
            nodes += [(child, level - 1) for child in reversed(found)]
            continue
        for child in found:
            yield from _symbols(file, child, names)


def _symbols(file: File, address: int, names: bytes) -> Iterator[tuple[str, int]]:
    head = file.signed_block(address, 8, b"SNOD")
    head.take(2)
    count = head.number(2)
    entries = file.block(address + 8, 40 * count)
    for _ in range(count):
        name, header, cached = entries.number(8), entries.number(8), entries.number(4)
        entries.take(20)
        if cached == 2:
            raise file.refused("it holds a soft link, which can lead elsewhere.")
        end = names.find(b"\0", name)
        if end < 0:
            raise file.broken("a name has no end")
        yield file.text(names[name:end]), header


def datatype(file: File, message: Cursor) -> np.dtype[Any]:
    """Read a datatype as one of NumPy: "S" is text of fixed length, "O" of variable length, "V" bytes of any kind."""
    first, bits, size = message.number(1), message.number(3), message.number(4)
    version, kind = first >> 4, first & 15
    order = ">" if bits & 1 else "<"
    if version not in (1, 2, 3):
        raise file.broken(f"a datatype has version {version}")
    if kind == 0 and size in (1, 2, 4, 8) and bits & ~9 == 0:
        offset, precision = message.number(2), message.number(2)
        if (offset, precision) == (0, 8 * size):
            return np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}")
    if kind == 1 and size in _FLOATS and bits & ~1 == 0x20 | 8 * size - 1 << 8:
        mantissa, exponent, bias = _FLOATS[size]
        fields = [message.number(width) for width in (2, 2, 1, 1, 1, 1, 4)]
        if fields == [0, 8 * size, mantissa, exponent, 0, mantissa, bias]:
            return np.dtype(f"{order}f{size}")
    if kind == 3 and 0 < size < 2**16:
        return np.dtype(f"S{size}")
    if kind == 5 and 0 < size < 2**8:
        return np.dtype(f"V{size}")
    if kind == 8 and _is_boolean(message, version, bits, size):
        return np.dtype(bool)
    if kind == 9 and bits & 15 == 1 and size == 16:
        return np.dtype(object)
    raise file.refused(f"it holds {_CLASSES.get(kind, 'values of an unknown type')}, which files of Keras never do.")


def _is_boolean(message: Cursor, version: int, bits: int, size: int) -> bool:
    """Whether an enumeration is h5py's boolean: FALSE and TRUE with the bytes 0 and 1."""
    base, width = message.take(4), message.number(4)
    message.take(4)  # offset and precision
    padded = 1 if version == 3 else 8
    names = [bytes(message.take(len(name), padded)) for name in (b"FALSE\0", b"TRUE\0") if message.left >= 8]
    values = bytes(message.take(min(2, message.left)))
    whole = (bits & 0xFFFF, size, width, base[0] & 15) == (2, 1, 1, 0)
    return whole and names == [b"FALSE\0", b"TRUE\0"] and values == b"\0\1"


def dataspace(file: File, message: Cursor) -> tuple[int, ...] | None:
    """Read a shape; None means that there are no values."""
    version, rank, _, null = (message.number(1) for _ in range(4))
    if version == 1:
        message.take(4)
    elif version != 2:
        raise file.broken(f"a dataspace has version {version}")
    elif null == 2:
        return None
    if rank > 32:
        raise file.broken(f"it has {rank} dimensions")
    return tuple(message.number(8) for _ in range(rank))


def attribute(file: File, message: Cursor) -> tuple[str, Any]:
    """Read an attribute: its name, and its value, which is a str, a number or a list of them."""
    version, flags = message.number(1), message.number(1)
    sizes = [message.number(2) for _ in range(3)]
    if version not in (1, 2, 3) or (version > 1 and flags):
        raise file.refused("it holds an attribute whose type is shared with other objects.", REPACK)
    if version == 3:
        message.take(1)  # the encoding of the name, UTF-8 or ASCII; decoding as UTF-8 reads both
    parts = [message.take(size, 8 if version == 1 else 1) for size in sizes]
    name = file.text(parts[0])
    kind, shape = datatype(file, Cursor(file, parts[1])), dataspace(file, Cursor(file, parts[2]))
    if shape is None:
        return name, None
    if kind.kind == "V":
        raise file.refused(f"its attribute {name!r} holds bytes of an unknown type, which files of Keras never do.")
    count = math.prod(shape)
    file.values_left -= count
    if file.values_left < 0:
        raise file.refused(f"its attributes hold more than {MOST_VALUES:,} values.")
    size = 16 if kind.kind == "O" else kind.itemsize
    values = Cursor(file, message.take(count * size))
    if kind.kind in "OS":
        read = [_heap_text(file, values) if kind.kind == "O" else file.text(values.take(size)) for _ in range(count)]
        return name, read if shape else read[0]
    return name, np.frombuffer(values.block, kind, count).reshape(shape).tolist()


def _heap_text(file: File, reference: Cursor) -> str:
    """Read a text of variable length from a global heap collection."""
    length, address, index = reference.number(4), reference.number(8), reference.number(4)
    if not length:
        return ""
    file.left_for_text -= length
    if file.left_for_text < 0:
        raise file.broken("its attributes hold more text than the file has bytes")
    if address not in file.collections:
        file.collections[address] = _collection(file, address)
    found = file.collections[address].get(index, b"")
    if len(found) < length:
        raise file.broken("a text is longer than what is stored of it")
    return file.text(found[:length])


def _collection(file: File, address: int) -> dict[int, memoryview]:
    head = file.signed_block(address, 16, b"GCOL")
    head.take(4)
    size = head.number(8)
    if size < 16:
        raise file.broken("a heap has no room for its own head")
    objects: dict[int, memoryview] = {}
    block = file.block(address + 16, size - 16)
    while block.left >= 16:
        index = block.number(2)
        block.take(6)
        length = block.number(8)
        if index == 0:  # the rest is free space
            break
        objects[index] = block.take(length, padded_to=8)
    return objects
