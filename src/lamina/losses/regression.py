"""Losses for numbers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from lamina._base.frames import user_facing
from lamina._base.weight import Array
from lamina.losses.loss import Loss, floats, matched, registry


@user_facing
def mean_squared_error(y_true: Any, y_pred: Any) -> Array:
    """The values of `MeanSquaredError`: (batch, ..., n) -> (batch, ...)."""
    y_true, y_pred = matched(*floats(y_true, y_pred))
    return jnp.mean(jnp.square(y_true - y_pred), axis=-1)


@registry.add("mse", "MSE")
class MeanSquaredError(Loss):
    """`mean((y_true - y_pred)**2)` over the last axis of (batch, ..., n).

    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(2.5, dtype=float32)
    """

    def call(self, y_true: Any, y_pred: Any) -> Array:
        return mean_squared_error(y_true, y_pred)


@user_facing
def mean_absolute_error(y_true: Any, y_pred: Any) -> Array:
    """The values of `MeanAbsoluteError`: (batch, ..., n) -> (batch, ...)."""
    y_true, y_pred = matched(*floats(y_true, y_pred))
    return jnp.mean(jnp.abs(y_true - y_pred), axis=-1)


@registry.add("mae", "MAE")
class MeanAbsoluteError(Loss):
    """`mean(|y_true - y_pred|)` over the last axis of (batch, ..., n).

    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(1.5, dtype=float32)
    """

    def call(self, y_true: Any, y_pred: Any) -> Array:
        return mean_absolute_error(y_true, y_pred)
