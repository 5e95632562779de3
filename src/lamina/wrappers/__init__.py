"""Estimators of scikit-learn that train models. They need scikit-learn: `pip install scikit-learn`."""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public

if FOR_TYPES:
    from lamina.wrappers.models import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
    from lamina.wrappers.stacks import LaminaClassifier, LaminaRegressor

__all__ = ["LaminaClassifier", "LaminaRegressor", "SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

public(__name__, __all__)
