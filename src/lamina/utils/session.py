"""What a process keeps from one model to the next."""

from __future__ import annotations

import gc

from lamina._base.frames import user_facing
from lamina._training import programs


@user_facing
def clear_session(free_memory: bool = True) -> None:
    """Forgets the compiled programs that equal models share; models and their weights stay as they are.

    Args:
        free_memory: also collect Python's garbage, which may hold large arrays.
    """
    programs.clear()
    if free_memory:
        gc.collect()
