"""Hinge losses: a prediction on the right side of its target, at a distance of at least 1, has the loss 0."""

from __future__ import annotations

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina.losses.loss import floats, matched, registry
from lamina.losses.regression import Regression


@user_facing
def hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `Hinge`: (batch, ..., n) -> (batch, ...)."""
    return jnp.mean(_distances(y_true, y_pred), axis=-1)


@registry.add()
class Hinge(Regression, of=hinge):
    """`mean(max(1 - y_true * y_pred, 0))` over the last axis, for targets -1 and 1; 0 and 1 become -1 and 1.

    >>> Hinge()([[1.0], [-1.0]], [[0.5], [-2.0]])
    Array(0.25, dtype=float32)
    """


@user_facing
def squared_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `SquaredHinge`: (batch, ..., n) -> (batch, ...)."""
    return jnp.mean(jnp.square(_distances(y_true, y_pred)), axis=-1)


@registry.add()
class SquaredHinge(Regression, of=squared_hinge):
    """`mean(max(1 - y_true * y_pred, 0)**2)` over the last axis, for targets -1 and 1; 0 and 1 become -1 and 1.

    >>> SquaredHinge()([[1.0], [-1.0]], [[0.5], [-2.0]])
    Array(0.125, dtype=float32)
    """


@user_facing
def categorical_hinge(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `CategoricalHinge`: (batch, ..., classes) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    right, other = jnp.sum(y * p, axis=-1), jnp.max((1.0 - y) * p, axis=-1)
    return jnp.maximum(other - right + 1.0, 0.0)


@registry.add()
class CategoricalHinge(Regression, of=categorical_hinge):
    """For one-hot labels: `max(1 + other - right, 0)`: the largest output of another class minus the right one's.

    >>> CategoricalHinge()([[0.0, 1.0]], [[0.25, 0.75]])
    Array(0.5, dtype=float32)
    """


def _distances(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """`max(1 - y_true * y_pred, 0)` for each prediction; if all targets are 0 or 1, a 0 means -1."""
    y, p = matched(*floats(y_true, y_pred))
    y = jnp.where(jnp.all((y == 0) | (y == 1)), 2.0 * y - 1.0, y)
    return jnp.maximum(1.0 - y * p, 0.0)
