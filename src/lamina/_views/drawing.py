"""Draws boxes in a line with arrows between them: computes their positions, and writes SVG or PNG."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from lamina.errors import ArgumentError, MissingPackageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Said = tuple[str, str]
"""A heading and the text under it: ("Output shape", "(None, 3)")."""

WIDE, HIGH = 7.4, 28.0
"""The width of a letter, and the height of a line in a box."""
PAD, GAP, MARGIN = 14.0, 34.0, 12.0
"""The space beside a text, the space between two boxes, and the space around the picture and within a frame."""
INK, GREEN, RED = "#1b1b1b", "#228b22", "#b22222"


class Box(NamedTuple):
    """One layer."""

    title: Said
    """The name, which may be empty, and the class of the layer."""
    rows: list[Said]
    """Facts that have a line of their own."""
    cells: list[Said]
    """Facts that are drawn side by side in one line."""
    trained: bool | None
    """Whether the layer is trained; None if the picture does not show this."""


class Frame(NamedTuple):
    """The layers of a model that is a layer itself."""

    name: str
    items: list[Box | Frame]


class Rectangle(NamedTuple):
    x: float
    y: float
    width: float
    height: float
    fill: str
    dashed: bool = False


class Text(NamedTuple):
    """A text centred on the point `x`, or one that begins there if `start` is True."""

    x: float
    y: float
    said: str
    colour: str
    bold: bool = False
    start: bool = False


class Arrow(NamedTuple):
    x: float
    y: float
    to_x: float
    to_y: float


@dataclass
class Drawing:
    """The shapes of a picture; coordinates count from its upper left corner."""

    items: list[Box | Frame]
    rankdir: str = "TB"
    shapes: list[Rectangle | Text | Arrow] = field(default_factory=list)
    ends: list[tuple[float, float, float, float]] = field(default_factory=list)
    """The place of each box: x, y, width, height."""

    def __post_init__(self) -> None:
        self.across = self.rankdir in ("LR", "RL")
        self.width, self.height = (side + 2 * MARGIN for side in self._size(self.items))
        self._line(self.items, MARGIN, MARGIN)
        for (x, y, width, height), (to_x, to_y, to_width, to_height) in pairwise(self.ends):
            if self.across:
                away = self.rankdir == "RL"
                starts, arrives = (x, to_x + to_width) if away else (x + width, to_x)
                self.shapes.append(Arrow(starts, y + height / 2, arrives, to_y + to_height / 2))
            else:
                up = self.rankdir == "BT"
                starts, arrives = (y, to_y + to_height) if up else (y + height, to_y)
                self.shapes.append(Arrow(x + width / 2, starts, to_x + to_width / 2, arrives))

    def _size(self, item: Box | Frame | list[Box | Frame]) -> tuple[float, float]:
        """Width and height of a box, of a frame, or of a line of them."""
        if isinstance(item, list):
            widths, heights = zip(*map(self._size, item), strict=True)
            between = GAP * (len(item) - 1)
            return (sum(widths) + between, max(heights)) if self.across else (max(widths), sum(heights) + between)
        if isinstance(item, Frame):
            width, height = self._size(item.items)
            return max(width, _wide(item.name)) + 2 * MARGIN, height + 2 * MARGIN + HIGH
        title = _wide(_title(item)) * 1.1  # titles are bold
        widest = max([title, *(_wide(": ".join(row)) for row in item.rows), sum(_cell_widths(item))])
        return widest, HIGH * (1 + len(item.rows) + bool(_cell_widths(item)))

    def _line(self, items: list[Box | Frame], x: float, y: float) -> None:
        """Put boxes and frames in a line whose upper left corner is at `x` and `y`."""
        width, height = self._size(items)
        backwards = self.rankdir in ("BT", "RL")
        places: list[tuple[float, float]] = []
        for item in reversed(items) if backwards else items:
            own_width, own_height = self._size(item)
            places.append((x, y + (height - own_height) / 2) if self.across else (x + (width - own_width) / 2, y))
            x, y = (x + own_width + GAP, y) if self.across else (x, y + own_height + GAP)
        for item, place in zip(items, reversed(places) if backwards else places, strict=True):
            self._put(item, *place)

    def _put(self, item: Box | Frame, x: float, y: float) -> None:
        width, height = self._size(item)
        if isinstance(item, Frame):
            self.shapes.append(Rectangle(x, y, width, height, "none", dashed=True))
            self.shapes.append(Text(x + MARGIN, y + HIGH / 2 + MARGIN / 2, item.name, INK, start=True))
            inner = self._size(item.items)[0]
            self._line(item.items, x + (width - inner) / 2, y + MARGIN + HIGH)
            return
        self.ends.append((x, y, width, height))
        self._cell(x, y, width, _title(item), INK, "white", bold=True)
        for row in item.rows:
            y += HIGH
            self._cell(x, y, width, ": ".join(row), "white", INK)
        widths = _cell_widths(item)
        more = (width - sum(widths)) / max(len(widths), 1)
        for said, own in zip(item.cells, widths, strict=False):
            self._cell(x, y + HIGH, own + more, ": ".join(said), "white", INK)
            x += own + more
        if item.trained is not None:
            word, colour = ("Trainable", GREEN) if item.trained else ("Non-trainable", RED)
            self._cell(x, y + HIGH, widths[-1] + more, word, colour, "white", bold=True)

    def _cell(self, x: float, y: float, width: float, said: str, fill: str, colour: str, bold: bool = False) -> None:
        self.shapes.append(Rectangle(x, y, width, HIGH, fill))
        self.shapes.append(Text(x + width / 2, y + HIGH / 2, said, colour, bold))

    def svg(self, dpi: int = 96) -> str:
        """The picture as SVG, whose unit is a 96th of an inch. A `dpi` above 200 makes it larger."""
        scale = dpi / 200
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width * scale:.0f}" '
            f'height="{self.height * scale:.0f}" viewBox="0 0 {self.width:.1f} {self.height:.1f}" '
            'font-family="Helvetica, Arial, sans-serif" font-size="13">',
            '<defs><marker id="arrow" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8" '
            f'orient="auto"><path d="M 0 0 L 10 5 L 0 10 z" fill="{INK}"/></marker></defs>',
            f'<rect width="{self.width:.1f}" height="{self.height:.1f}" fill="white"/>',
            *map(_svg, self.shapes),
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def picture(self, kind: str, dpi: int) -> bytes:
        """The picture as PNG or in another format, by matplotlib."""
        figure = _figure_class()(figsize=(self.width / 96, self.height / 96), dpi=dpi)
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0))
        axes.set_axis_off()
        for shape in self.shapes:
            if isinstance(shape, Rectangle):
                corners = (
                    [shape.x, shape.x + shape.width, shape.x + shape.width, shape.x],
                    [shape.y, shape.y, shape.y + shape.height, shape.y + shape.height],
                )
                line = "--" if shape.dashed else "-"
                axes.fill(*corners, facecolor=shape.fill, edgecolor=INK, linewidth=0.9, linestyle=line)
            elif isinstance(shape, Text):
                axes.text(
                    shape.x, shape.y, shape.said, color=shape.colour, fontsize=8.6, verticalalignment="center_baseline",
                    fontweight="bold" if shape.bold else "normal",
                    horizontalalignment="left" if shape.start else "center", parse_math=False,
                )  # fmt: skip
            else:
                style = {"arrowstyle": "-|>", "color": INK, "shrinkA": 0, "shrinkB": 0}
                axes.annotate("", (shape.to_x, shape.to_y), (shape.x, shape.y), arrowprops=style)
        file = io.BytesIO()
        try:
            figure.savefig(file, format=kind, dpi=dpi)
        except ValueError as error:  # matplotlib does not have this format
            raise ArgumentError(f"a picture of the format {kind!r}: {error}") from None
        return file.getvalue()


def _wide(text: str) -> float:
    return len(text) * WIDE + 2 * PAD


def _title(box: Box) -> str:
    name, kind = box.title
    return f"{name} ({kind})" if name else kind


def _cell_widths(box: Box) -> list[float]:
    return [*(_wide(": ".join(cell)) for cell in box.cells), *[_wide("Non-trainable")] * (box.trained is not None)]


def _svg(shape: Rectangle | Text | Arrow) -> str:
    if isinstance(shape, Arrow):
        ends = f'x1="{shape.x:.1f}" y1="{shape.y:.1f}" x2="{shape.to_x:.1f}" y2="{shape.to_y:.1f}"'
        return f'<line {ends} stroke="{INK}" marker-end="url(#arrow)"/>'
    if isinstance(shape, Rectangle):
        sides = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
        dashes = ' stroke-dasharray="5 4"' * shape.dashed
        return f'<rect {sides} fill="{shape.fill}" stroke="{INK}"{dashes}/>'
    weight, anchor = ' font-weight="bold"' * shape.bold, "start" if shape.start else "middle"
    place = f'x="{shape.x:.1f}" y="{shape.y + 4.5:.1f}" text-anchor="{anchor}" fill="{shape.colour}"{weight}'
    return f"<text {place}>{escape(shape.said)}</text>"


def _figure_class() -> type[Figure]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "PNG needs matplotlib: pip install matplotlib; a file that ends in .svg needs nothing."
        ) from error
    return Figure
