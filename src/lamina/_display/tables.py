"""Prints a table with a title above and notes below."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lamina._display.encoding import output


def show(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> None:
    """Print a table. Cells that do not fit the terminal are wrapped."""
    _print(Console(file=output(), highlight=False), title, headings, rows, notes)


def text(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """A table as text, with the width of the terminal."""
    console = Console(file=io.StringIO(), highlight=False, width=shutil.get_terminal_size((120, 24)).columns)
    with console.capture() as captured:
        _print(console, title, headings, rows, notes)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())


def _print(
    console: Console, title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str]
) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(Text(title, style="bold"), soft_wrap=True)
    console.print(table)
    for note in notes:
        console.print(Text(note), soft_wrap=True)
