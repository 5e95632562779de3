"""Python's garbage collector while the package is imported: it would look at objects again and again that all stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Collect nothing within, and do not look at the new objects soon after: a fifth of the import, JAX's included."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            if not gc.get_freeze_count():  # else the user has frozen objects, which `unfreeze` would set free
                gc.freeze()
                gc.unfreeze()  # now they count as old
            gc.enable()
