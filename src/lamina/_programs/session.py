"""The state of a process that several models share: compiled programs, and counters for names."""

from __future__ import annotations

import gc
from collections import Counter

from lamina._messages.tracebacks import user_facing
from lamina._programs import programs

_numbers: Counter[str] = Counter()


@user_facing
def clear_session(free_memory: bool = True) -> None:
    """Drops the compiled programs that equal models share, and resets `get_uid`. Models do not change.

    Args:
        free_memory: also run Python's garbage collector, which frees large arrays that are no longer used.
    """
    programs.clear()
    _numbers.clear()
    if free_memory:
        gc.collect()


def get_uid(prefix: str = "") -> int:
    """Counts the calls with this prefix: 1, 2, 3, ... `clear_session` resets the counters.

    >>> get_uid("block"), get_uid("block"), get_uid("head")
    (1, 2, 1)
    """
    _numbers[prefix] += 1
    return _numbers[prefix]
