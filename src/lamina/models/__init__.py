"""Where Keras keeps its models: here there is one kind, the stack."""

from __future__ import annotations

from lamina._base.public import public
from lamina.models.sequential import Sequential

__all__ = ["Sequential"]

public(__name__, __all__)
