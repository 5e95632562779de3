"""Finds probable mistakes that raise no error: in the data before training, and in a run when it has ended.

The checks are imported at the first `fit` with enough rows, because they import layers, losses and callbacks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina._diagnosis import case as case
    from lamina._diagnosis import data as data
    from lamina._diagnosis import runs as runs


def __getattr__(name: str) -> Any:
    if name not in ("case", "data", "runs"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
