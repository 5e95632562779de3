"""The estimators of the package scikeras."""

from __future__ import annotations

from lamina.compat.estimators import OfSciKeras
from lamina.wrappers.estimator import Classifier, Regressor

__all__ = ["KerasClassifier", "KerasRegressor"]


class KerasClassifier(OfSciKeras, Classifier):
    """`KerasClassifier(model=make_model, loss=..., optimizer="adam", model__units=8)`."""


class KerasRegressor(OfSciKeras, Regressor):
    """`KerasRegressor(model=make_model, loss=..., optimizer="adam", model__units=8)`."""
