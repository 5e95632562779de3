"""The package scikeras, for programs that import its estimators."""

from __future__ import annotations

from lamina._imports.public import public

__all__ = ["wrappers"]

public(__name__, __all__, {"lamina.compat.scikeras.wrappers": "wrappers=."})  # which needs scikit-learn
