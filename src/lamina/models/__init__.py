"""Where Keras keeps its models: here there is one kind, the stack, and a look at the outputs of its layers."""

from __future__ import annotations

from lamina._base.public import public
from lamina._loading.later import FOR_TYPES
from lamina.models.sequential import Sequential

if FOR_TYPES:
    from lamina._saving.models import load_model, save_model
    from lamina.models.cloning import clone_model, model_from_json
    from lamina.models.features import Model

__all__ = ["Model", "Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

LATER = {
    "lamina._saving.models": "load_model save_model",
    "lamina.models.cloning": "clone_model model_from_json",
    "lamina.models.features": "Model",
}

public(__name__, __all__, LATER)
