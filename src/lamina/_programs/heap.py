"""The C library's heap, of which glibc gives too much back to the system for programs that run step after step."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST = 2**28
"""Of a program with more memory than this, another block in between could cost as much again."""

OWN = 2**25
"""As much as glibc keeps by itself, once a block of that size was freed."""

_kept = OWN

try:
    _trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    _set: Callable[[int, int], object] = ctypes.CDLL(None).mallopt
except (AttributeError, OSError, TypeError):  # another C library than glibc
    _trim, _set = lambda _: None, lambda *_: None


def keep(size: int) -> None:
    """Let the heap keep the memory of a program, so many bytes, from run to run.

    Else each step gets new pages from the system: 9,600 page faults, and 12 of the 42 ms that a step of LSTM(128) on
    32 x 200 x 128 took.
    """
    global _kept
    if _kept < size <= MOST:
        _kept = size
        _set(-3, size + 2**16)  # M_MMAP_THRESHOLD: larger blocks come from the system, and go back
        _set(-1, 2 * size)  # M_TRIM_THRESHOLD: how much stays at the heap's end
        _set(-2, 2**26)  # M_TOP_PAD: a thread's heaps, of so much each, stay where one alone is too full


def give_back() -> None:
    """Give the system what is free, as a compiler leaves 50 to 130 MiB; it takes about 15 ms."""
    _trim(0)


@contextmanager
def given_back_after() -> Iterator[None]:
    """The same after a run whose programs had memory kept for them, however it ends."""
    try:
        yield
    finally:
        if _kept > OWN:
            give_back()
