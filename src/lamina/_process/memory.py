"""Checks before an array is made that enough memory is free for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from lamina.errors import ArgumentError, LaminaError

ALLOWED = 2**28
"""The most bytes for the arrays that a config makes, apart from weights. A config can ask for any size in ten bytes."""
_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


def free_memory() -> int:
    """The bytes of memory that this process can still allocate; a very large number if the system does not tell."""
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
    """Limit the arrays that are made in the block to `ALLOWED` bytes, because a small config may ask for any size."""
    before = _left.set(_left.get() or [ALLOWED])
    try:
        yield
    finally:
        _left.reset(before)


def require(
    needed: int, what: str, kind: type[LaminaError] = ArgumentError, free: int | None = None, weight: bool = False
) -> None:
    """Raise an error unless `needed` bytes are free, and within the limit if a config asks for them.

    Args:
        what: the beginning of the message, such as "the file has".
        kind: the class of the error.
        free: the number of free bytes, if it is known.
        weight: whether it is a weight. A file must contain its values, so the limit for configs does not apply.
    """
    left = None if weight or free is not None else _left.get()
    if left is not None:
        if needed > left[0]:
            raise kind(f"{what} {needed:,} bytes, and what a config makes may take {ALLOWED:,} bytes in all.")
        left[0] -= needed
    elif needed > 2**20 * (free is None) and needed > (free := free_memory() if free is None else free):
        raise kind(f"{what} {needed:,} bytes, and {free:,} bytes of memory are free.")
