"""Where Keras keeps its models: here there is one kind, the stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina._base.public import public
from lamina.models import functional as functional  # known from now on
from lamina.models.cloning import clone_model, model_from_json
from lamina.models.sequential import Sequential

if TYPE_CHECKING:
    from lamina._saving.models import load_model, save_model

__all__ = ["Sequential", "clone_model", "load_model", "model_from_json", "save_model"]

public(__name__, __all__, dict.fromkeys(("load_model", "save_model"), "lamina._saving.models"))
