"""Where Keras keeps its models: here there is one kind, the stack."""

from __future__ import annotations

from lamina._base.public import public
from lamina.models import functional as functional  # known from now on
from lamina.models.cloning import clone_model, model_from_json
from lamina.models.sequential import Sequential

__all__ = ["Sequential", "clone_model", "model_from_json"]

public(__name__, __all__)
