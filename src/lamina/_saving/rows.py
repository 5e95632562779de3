"""The rows of the table of `lamina show`, one for each owner of arrays, and the boxes of its drawing of the stack."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple, TypeAlias

from lamina._views.drawing import Box, Frame

Kind: TypeAlias = tuple[tuple[int, ...], str, int]
"""An array's shape, its dtype, and its size in bytes."""
Arrays: TypeAlias = dict[str, Kind]
CHAINED = 30
"""The most layers that the line of a stack shows."""


class Row(NamedTuple):
    """One line of the table: a layer, or another owner of arrays."""

    depth: int
    name: str
    kind: str
    shape: object
    arrays: Arrays


def plain(text: str) -> str:
    """Escape control characters, with which a file could change the output on the terminal."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def short(value: object, most: int = 100) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."


def boxes(rows: deque[Row], depth: int = 0) -> list[Box | Frame]:
    """Take the layers from `rows` and return their boxes; the layers of an inner model are in a frame."""
    items: list[Box | Frame] = []
    while rows and rows[0].depth >= depth:
        row = rows.popleft()
        name, inner = plain(short(row.name)), boxes(rows, row.depth + 1)
        if inner:
            items.append(Frame(name, inner))
            continue
        shape = tuple(row.shape) if isinstance(row.shape, list) else row.shape
        cells = [("Input shape", plain(short(shape)))] * bool(shape)
        cells.append(("Params", f"{sum(math.prod(each) for each, _, _ in row.arrays.values()):,}"))
        items.append(Box((name, plain(short(row.kind))), [], cells, None))
    return items


def chain(items: list[Box | Frame], arrow: str) -> str:
    """Return the layers as one line of text; the layers of an inner model are in brackets."""
    said = [
        f"{item.name} [{chain(item.items, arrow)}]" if isinstance(item, Frame) else "{} ({})".format(*item.title)
        for item in items[:CHAINED]
    ]
    return arrow.join([*said, *[f"{len(items) - CHAINED} more"] * (len(items) > CHAINED)])
