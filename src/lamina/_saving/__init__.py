"""Files: models, weights, checkpoints. No file can run code.

The modules are loaded when they are first used, so a run that writes no file does not load h5py.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamina._saving import checkpoint as checkpoint
    from lamina._saving import compiling as compiling
    from lamina._saving import config as config
    from lamina._saving import export as export
    from lamina._saving import models as models
    from lamina._saving import show as show
    from lamina._saving import torch as torch
    from lamina._saving import weight_files as weight_files

KERAS = "3.15.1"
"""The version of Keras whose files are written here."""


def __getattr__(name: str) -> Any:
    if name not in ("checkpoint", "compiling", "config", "export", "models", "show", "torch", "weight_files"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
