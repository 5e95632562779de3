"""Output for the user: the progress of a run, tables, learning curves.

The modules that need rich are imported at their first use, so that `import lamina` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lamina._imports.public import missing_attribute
from lamina._messages.spelling import did_you_mean

if TYPE_CHECKING:
    from lamina._display import html, progress, tables
    from lamina._display.progress import Progress

__all__ = ["Progress", "html", "progress", "tables"]

_MODULES = {"Progress": "progress"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise missing_attribute(__name__, name, did_you_mean(name, __all__))
    module = import_module(f"{__name__}.{_MODULES.get(name, name)}")
    return getattr(module, name) if name in _MODULES else module
