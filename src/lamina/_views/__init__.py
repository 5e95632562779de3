"""Shows the layers of a model, as a table and as a picture.

The table is loaded when it is first used, because importing rich would make `import lamina` slower.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina._views import summary as summary


def __getattr__(name: str) -> Any:
    if name != "summary":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.summary")
