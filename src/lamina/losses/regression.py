"""Losses for numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._base.frames import user_facing
from lamina._base.settings import setting
from lamina._base.weight import Array
from lamina.losses.loss import DType, Loss, Reduction, floats, matched, reduction_word, registry


class Regression(Loss):
    """A loss for numbers. It takes the arguments of every loss, but `reduction` is the first, as in Keras."""

    reduction: Reduction = setting(reduction_word, default="sum_over_batch_size")

    if TYPE_CHECKING:

        def __init__(
            self, reduction: Reduction = "sum_over_batch_size", name: str | None = None, dtype: DType = None
        ) -> None: ...


@user_facing
def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `MeanSquaredError`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    return jnp.mean(jnp.square(y - p), axis=-1)


@registry.add("mse", "MSE")
class MeanSquaredError(Regression, init=False):
    """`mean((y_true - y_pred)**2)` over the last axis of (batch, ..., n).

    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(2.5, dtype=float32)
    """

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return mean_squared_error(y_true, y_pred)


@user_facing
def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `MeanAbsoluteError`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    return jnp.mean(jnp.abs(y - p), axis=-1)


@registry.add("mae", "MAE")
class MeanAbsoluteError(Regression, init=False):
    """`mean(|y_true - y_pred|)` over the last axis of (batch, ..., n).

    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(1.5, dtype=float32)
    """

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return mean_absolute_error(y_true, y_pred)
