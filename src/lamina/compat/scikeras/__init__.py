"""The package scikeras, for programs that import its estimators."""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public

if FOR_TYPES:
    from lamina.compat.scikeras import wrappers  # which needs scikit-learn

__all__ = ["wrappers"]

public(__name__, __all__)
