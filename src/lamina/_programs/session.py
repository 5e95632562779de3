"""What a process keeps from one model to the next: compiled programs, and the numbers of names."""

from __future__ import annotations

import gc
from collections import Counter

from lamina._messages.tracebacks import user_facing
from lamina._programs import programs

_numbers: Counter[str] = Counter()


@user_facing
def clear_session(free_memory: bool = True) -> None:
    """Drops the compiled programs that equal models share, and lets `get_uid` begin with 1; models stay as they are.

    Args:
        free_memory: also run Python's garbage collector, which frees large arrays that are no longer used.
    """
    programs.clear()
    _numbers.clear()
    if free_memory:
        gc.collect()


def get_uid(prefix: str = "") -> int:
    """How often a name was asked for with this prefix: 1, 2, 3, ...; `clear_session` begins anew.

    >>> get_uid("block"), get_uid("block"), get_uid("head")
    (1, 2, 1)
    """
    _numbers[prefix] += 1
    return _numbers[prefix]
