"""Tables and curves for a notebook: plain HTML and SVG in the colours of the page, without scripts, styles or fonts.

Texts from the user are escaped here, so that the name of a layer or a metric cannot be markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby
from typing import NamedTuple

from lamina._display.plots import Curve, curves, number, order

TRAINING, VALIDATION = "#c17d11", "#3584e4"
"""Colours that are visible on white and on black."""
WIDTH, HEIGHT, LEFT, TOP = 260, 110, 58, 26
"""The size of the curves' area, and of the margins for the numbers on the left and the title above."""
POINTS = 200
"""The most points of a curve. More would not be visible in a panel, and would make the notebook's file large."""
SHOWN = 50
"""The most rows of a table and the most curves of a panel."""
CELL = "text-align:{};padding:3px 8px;white-space:{};border-top:1px solid #8886"


class Line(NamedTuple):
    """One curve of a panel. The legend shows its name if there are several names."""

    name: str
    curve: Curve
    colour: str
    opacity: float = 1.0


def table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[object]], notes: Iterable[str] = (), texts: int = 1
) -> str:
    """Make a table with a title above and notes below.

    Args:
        title: the title.
        headings: the names of the columns.
        rows: the cells of each row, of which at most `SHOWN` are shown.
        notes: one line each.
        texts: the number of the first columns with texts, which are aligned left. Numbers are aligned right.
    """
    notes = [*notes, *[f"{SHOWN} of {len(rows)} rows are shown."] * (len(rows) > SHOWN)]
    sides = [("left", "pre-wrap") if column < texts else ("right", "pre") for column in range(len(headings))]
    styles = [CELL.format(*side) for side in sides]
    lines = [
        "".join(f'<{tag} style="{style}">{escape(str(cell))}</{tag}>' for cell, style in zip(row, styles, strict=True))
        for tag, row in [("th", headings), *(("td", row) for row in rows[:SHOWN])]
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    below = "".join(f"<div>{escape(note)}</div>" for note in notes)
    whole = f'<table style="border-collapse:collapse;margin:4px 0">{body}</table>'
    return f"<div><div><b>{escape(title)}</b></div>{whole}{below}</div>"


def learning_curves(histories: Sequence[object], strong: int = 1) -> str:
    """A panel for each quantity, with training and validation of each history. The first `strong` are darker."""
    panels: dict[str, list[Line]] = {}
    for place, history in enumerate(histories[:SHOWN]):
        for name, curve in curves(history).items():
            validation = name.startswith("val_")
            label, colour = ("validation", VALIDATION) if validation else ("training", TRAINING)
            line = Line(label, curve, colour, 1.0 if place < strong else 0.3 if strong else 0.6)
            panels.setdefault(name.removeprefix("val_"), []).append(line)
    drawn = [panel(name.replace("_", " "), panels[name]) for name in sorted(panels, key=order)]
    return f'<div style="display:flex;flex-wrap:wrap">{"".join(drawn)}</div>' if drawn else ""


def history(record: object, epochs: int) -> str:
    """The curves of one training, and each quantity's last, lowest and highest value. One epoch is no curve."""
    rows = [(name, number(curve[1][-1]), *_extremes(curve)) for name, curve in _ordered(record)]
    title = "History of 1 epoch" if epochs == 1 else f"History of {epochs} epochs"
    drawn = "" if epochs == 1 else learning_curves([record])
    return drawn + table(title, ("", "last", "lowest", "highest"), rows)


def _ordered(record: object) -> list[tuple[str, Curve]]:
    return sorted(curves(record).items(), key=lambda item: (order(item[0].removeprefix("val_")), item[0]))


def _extremes(curve: Curve) -> tuple[str, str]:
    """The lowest and the highest value that are finite, with their epochs."""
    finite = [(value, epoch) for epoch, value in zip(*curve, strict=True) if math.isfinite(value)]
    if not finite:
        return "", ""
    (low, first), (high, last) = min(finite), max(finite)
    return f"{number(low)} (epoch {first})", f"{number(high)} (epoch {last})"


def shown(value: object) -> str:
    """A cell of a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def panel(title: str, lines: Sequence[Line]) -> str:
    """Curves over the epochs as SVG. Values that are not finite leave a gap; a curve of only these is not drawn."""
    points = [(x, y) for line in lines for x, y in zip(*line.curve, strict=True) if math.isfinite(y)]
    if not points:
        return ""
    (left, right), (low, high) = ((min(each), max(each)) for each in zip(*points, strict=True))
    across, up = WIDTH / max(right - left, 1), HEIGHT / ((high - low) or 1.0)
    bottom = TOP + HEIGHT
    shapes = [
        f'<text x="{LEFT}" y="14" font-weight="bold">{escape(title)}</text>',
        *(
            f'<path d="M{LEFT} {y}h{WIDTH}" stroke="currentColor" stroke-opacity="0.25"/>'
            f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{number(value)}</text>'
            for y, value in ((TOP, high), (bottom, low))[: 1 + (high > low)]
        ),
        f'<text x="{LEFT}" y="{bottom + 15}">epoch {left}</text>',
        f'<text x="{LEFT + WIDTH}" y="{bottom + 15}" text-anchor="end">{right}</text>' * (right > left),
    ]
    names = {line.name: line.colour for line in reversed(lines)}
    for place, (name, colour) in enumerate(names.items()) if len(names) > 1 else ():
        x = LEFT + WIDTH - 85 * place
        shapes.append(f'<path d="M{x - 72} 10h12" stroke="{colour}" stroke-width="2.5"/>')
        shapes.append(f'<text x="{x - 56}" y="14">{escape(name)}</text>')
    for line in reversed(lines):  # the first line is drawn last, above the others
        every = math.ceil(len(line.curve[0]) / POINTS)
        kept = list(zip(*line.curve, strict=True))[::every]
        for finite, group in groupby(kept, lambda point: math.isfinite(point[1])):
            if finite:
                path = " ".join(f"{LEFT + (x - left) * across:.1f},{TOP + (high - y) * up:.1f}" for x, y in group)
                shapes.append(
                    f'<polyline points="{path} {path.rpartition(" ")[2]}" stroke="{line.colour}" '
                    f'stroke-opacity="{line.opacity}" stroke-width="2.5" stroke-linecap="round" fill="none"/>'
                )
    width, height = LEFT + WIDTH + 24, bottom + 22
    return (
        f'<svg role="img" aria-label="{escape(title)} by epoch" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11" fill="currentColor">'
        f"{''.join(shapes)}</svg>"
    )
