"""Losses between distributions, or between the mean of a distribution and a sample."""

from __future__ import annotations

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina.losses.loss import floats, matched, registry
from lamina.losses.regression import Regression


@user_facing
def kl_divergence(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `KLDivergence`: (batch, ..., n) -> (batch, ...)."""
    y, p = (jnp.clip(each, dtypes.epsilon(), 1.0) for each in matched(*floats(y_true, y_pred)))
    return jnp.sum(y * jnp.log(y / p), axis=-1)


@registry.add("kld", "KLD", "kullback_leibler_divergence")
class KLDivergence(Regression, of=kl_divergence):
    """`sum(y_true * log(y_true / y_pred))` over the last axis, for probabilities, clipped to 1e-7 ... 1.

    >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
    0.1438
    """


@user_facing
def poisson(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `Poisson`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    return jnp.mean(p - y * jnp.log(p + dtypes.epsilon()), axis=-1)


@registry.add()
class Poisson(Regression, of=poisson):
    """For counts: `mean(y_pred - y_true * log(y_pred))` over the last axis; the predictions are positive means.

    >>> Poisson()([[1.0, 0.0]], [[1.0, 2.0]]).round(4)
    Array(1.5, dtype=float32)

    End the stack with an activation whose values are positive: `Dense(1, activation="softplus")`.
    """
