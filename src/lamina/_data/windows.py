"""Windows of several batches, from a source that reads many rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np

from lamina._arrays.arrays import HostArray

EVERYTHING = 2**62
"""More batches than any epoch has."""


class Window(NamedTuple):
    """Batches of `size` rows from rows `start` to `stop` of some arrays or tables. The last batch may be shorter.

    >>> window = Window((np.array([1, 2, 3]), np.array([4, 5, 6])), 2, 0, 3, order=np.array([2, 0, 1]))
    >>> list(Windows([window]))
    [(array([3, 1]), array([6, 4])), (array([2]), array([5]))]
    """

    parts: Any
    """x, (x, y) or (x, y, sample_weight), or a `Table`; the rows of an array are taken when a batch is made."""
    size: int
    start: int
    stop: int
    order: HostArray | None = None
    """The numbers of the rows in their order; None if that is the order of the arrays."""

    @property
    def steps(self) -> int:
        """The number of batches."""
        return -(-(self.stop - self.start) // self.size)

    def rows(self, first: int, steps: int) -> HostArray | slice:
        """The rows of some batches in the arrays."""
        start = self.start + first * self.size
        rows = slice(start, min(start + steps * self.size, self.stop))
        return rows if self.order is None else self.order[rows]

    def batches(self, first: int, steps: int) -> list[Any]:
        """The rows of some batches, of each part."""
        rows = self.rows(first, steps)
        return [part if part is None else _rows_of(part, rows) for part in self.parts[:3]]

    def after(self, first: int) -> Self:
        """The window without its first batches."""
        return self._replace(start=min(self.start + first * self.size, self.stop))


class Windows:
    """The batches of a pass. It is an iterator over single batches, and `take` returns several from one window."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self._windows = iter(windows)
        self._held: Window | None = None

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if (window := self.take(1)) is None:
            raise StopIteration
        parts = window.batches(0, 1)
        return parts[0] if len(parts) == 1 else tuple(parts)

    def take(self, most: int, change: Callable[[Window], Window] = lambda window: window) -> Window | None:
        """Take up to `most` batches of equal size from one window, after `change` has converted it. None at the end."""
        held = self._held
        if held is None and (new := next(self._windows, None)) is not None:
            held = change(new)
        if held is None:
            return None
        rows = held.stop - held.start
        size = min(held.size, rows)
        stop = held.start + min(most, rows // size) * size
        self._held = held._replace(start=stop) if stop < held.stop else None
        return held._replace(size=size, stop=stop)


def _rows_of(part: Any, rows: HostArray | slice) -> Any:
    if isinstance(part, np.ndarray):
        return part[rows]
    return part.slice(rows.start, rows.stop - rows.start) if isinstance(rows, slice) else part.take(rows)
