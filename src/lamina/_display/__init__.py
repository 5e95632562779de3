"""What is shown to the user: progress, the summary of a model, pictures.

Each is loaded when it is first used, because rich and matplotlib would slow `import lamina` down.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lamina._base.public import missing_attribute

if TYPE_CHECKING:
    from lamina._display import plots, progress, summary
    from lamina._display.plots import learning_curve
    from lamina._display.progress import Progress

__all__ = ["Progress", "learning_curve", "plots", "progress", "summary"]

_MODULES = {"Progress": "progress", "learning_curve": "plots"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise missing_attribute(__name__, name, __all__)
    module = import_module(f"{__name__}.{_MODULES.get(name, name)}")
    return getattr(module, name) if name in _MODULES else module
