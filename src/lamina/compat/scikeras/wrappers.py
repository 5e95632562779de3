"""The estimators of the package scikeras."""

from __future__ import annotations

from lamina.compat.estimators import SciKerasClassifier as KerasClassifier
from lamina.compat.estimators import SciKerasRegressor as KerasRegressor

__all__ = ["KerasClassifier", "KerasRegressor"]
