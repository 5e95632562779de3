"""Reads the links of a large group in the newer form of HDF5: the messages are in a heap, indexed by a tree.

h5py writes this form for a group with more than eight names if one of them is not ASCII, such as the layers of a
model in an .h5 file.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from lamina._saving.hdf5_blocks import UNDEFINED, Cursor, File, link

_HASH = 4


def dense_links(file: File, info: Cursor) -> Iterator[tuple[str, int]]:
    """Read the names in a group and their addresses from the heap of its link info message, if there is one."""
    info.take(1)
    info.take(8 if info.number(1) & 1 else 0)
    heap, tree = info.number(8), info.number(8)
    if heap == UNDEFINED:
        return
    found = _Heap(file, heap)
    for record in _records(file, tree):
        record.take(_HASH)
        yield link(file, found.message(record))


class _Heap:
    """A fractal heap: blocks of bytes, in which a message is found by its offset."""

    def __init__(self, file: File, address: int) -> None:
        self.file = file
        head = file.signed_block(address, 146, b"FRHP")
        head.take(3)
        if head.number(2) != 0:
            raise file.refused("its links are compressed or filtered.")
        head.take(1)
        longest = head.number(4)
        head.take(96)
        width, first, largest, bits = (head.number(size) for size in (2, 8, 8, 2))
        head.take(2)
        root, rows = head.number(8), head.number(2)
        self.offset_size, self.length_size = (bits + 7) // 8, _bytes_for(min(longest, largest))
        self.starts: list[int] = []
        self.blocks: list[memoryview] = []
        if rows == 0:
            self._add(0, root, first)
            return
        entry = file.signed_block(root, 13 + self.offset_size + 8 * rows * width, b"FHIB")
        entry.take(9 + self.offset_size)
        start = 0
        for row in range(rows):
            size = first << max(row - 1, 0)
            if size > largest:
                raise file.refused("it holds more names than are read.")
            for _ in range(width):
                self._add(start, entry.number(8), size)
                start += size

    def _add(self, start: int, address: int, size: int) -> None:
        if address != UNDEFINED:
            self.starts.append(start)
            self.blocks.append(self.file.signed_block(address, size, b"FHDB").block)

    def message(self, record: Cursor) -> Cursor:
        """Return the message that a record of the tree points to."""
        kind = record.number(1)
        offset, length = record.number(self.offset_size), record.number(self.length_size)
        index = bisect_right(self.starts, offset) - 1
        if kind != 0 or index < 0:
            raise self.file.broken("a link lies outside its heap")
        block = Cursor(self.file, self.blocks[index])
        block.take(offset - self.starts[index])
        return Cursor(self.file, block.take(length))


def _records(file: File, address: int) -> Iterator[Cursor]:
    """Iterate over the records of a B-tree of version 2, in any order."""
    head = file.signed_block(address, 38, b"BTHD")
    head.take(2)
    node_size, record_size, depth = head.number(4), head.number(2), head.number(2)
    head.take(2)
    root, count = head.number(8), head.number(2)
    if not 0 < record_size < node_size or depth > 4:
        raise file.broken("a group's tree is not in order")
    most, below = [(node_size - 10) // record_size], [0]
    total = most[0]
    for level in range(1, depth + 1):
        pointer = 8 + _bytes_for(most[0]) + below[level - 1]
        most.append((node_size - 10 - pointer) // (record_size + pointer))
        total = (most[level] + 1) * total + most[level]
        below.append(_bytes_for(total))
    nodes = [(root, count, depth)]
    while nodes:
        address, count, level = nodes.pop()
        pointer = 8 + _bytes_for(most[0]) + below[level - 1] if level else 0
        size = 6 + count * record_size + (count + 1) * pointer
        node = file.signed_block(address, size, b"BTIN" if level else b"BTLF")
        node.take(2)
        for _ in range(count):
            yield Cursor(file, node.take(record_size))
        for _ in range(count + 1 if level else 0):
            child, held = node.number(8), node.number(_bytes_for(most[0]))
            node.take(below[level - 1])
            nodes.append((child, held, level - 1))


def _bytes_for(number: int) -> int:
    """The number of bytes of a field that holds values up to `number`."""
    return max((number.bit_length() + 7) // 8, 1)
