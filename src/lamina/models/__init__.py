"""The models: `Sequential`, a stack of layers, and `Model`, which returns outputs of the layers of a stack."""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public
from lamina.models.sequential import Sequential

if FOR_TYPES:
    from lamina._saving.models import save_model
    from lamina.models.cloning import clone_model, model_from_json
    from lamina.models.features import Model
    from lamina.models.loading import load_model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

public(__name__, __all__)
