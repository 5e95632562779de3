"""The compiled programs that a process keeps from one model to the next."""

from __future__ import annotations

import gc

from lamina._base.frames import user_facing
from lamina._training import programs


@user_facing
def clear_session(free_memory: bool = True) -> None:
    """Drops the compiled programs that equal models share; models and their weights are not changed.

    Args:
        free_memory: also run Python's garbage collector, which frees large arrays that are no longer used.
    """
    programs.clear()
    if free_memory:
        gc.collect()
