"""How much memory is free, and the one function that counts what a number asks for, before it is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from lamina.errors import ArgumentError, LaminaError

ALLOWED = 2**28
"""How many bytes all that a config makes may take, apart from weights: it names a size in ten bytes."""
_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


def free_memory() -> int:
    """The bytes that this process can still take, as far as the system tells; otherwise a number above all."""
    free = [2**63]
    try:
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free.append(1024 * int(fields["MemAvailable"].split()[0]))
        # A container's own limit. What it holds of files can be dropped, so it counts as free.
        group = Path("/sys/fs/cgroup")
        held = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        used = int((group / "memory.current").read_text()) - int(held["inactive_file"])
        free.append(int((group / "memory.max").read_text()) - used)
    except (OSError, KeyError, ValueError):  # no Linux, no container, or "max"
        pass
    return min(free)


@contextmanager
def of_a_config() -> Iterator[None]:
    """Within it, what is counted may take `ALLOWED` bytes in all: a config is small, and a file may have it."""
    before = _left.set(_left.get() or [ALLOWED])
    try:
        yield
    finally:
        _left.reset(before)


def require(
    needed: int, what: str, kind: type[LaminaError] = ArgumentError, free: int | None = None, weight: bool = False
) -> None:
    """That `needed` bytes are free or, of what a config asks for, that they are within what it may take.

    Args:
        what: what needs them, such as "the file has".
        kind: the error where they are not.
        free: how many bytes are free, where that is known.
        weight: whether it is an array whose values a file has to hold, so that the config alone takes nothing.
    """
    left = None if weight or free is not None else _left.get()
    if left is not None:
        if needed > left[0]:
            raise kind(f"{what} {needed:,} bytes, and what a config makes may take {ALLOWED:,} bytes in all.")
        left[0] -= needed
    elif needed > 2**20 * (free is None) and needed > (free := free_memory() if free is None else free):
        raise kind(f"{what} {needed:,} bytes, and {free:,} bytes of memory are free.")
