"""Losses for regression."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import integer, number
from lamina._settings.settings import setting
from lamina.losses.loss import DType, Formula, Reduction, floats, matched, precision, reduction_word, registry


class Regression(Formula):
    """A regression loss. It takes the arguments of every loss, but `reduction` is the first, as in Keras."""

    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")


@user_facing
def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `MeanSquaredError`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    return jnp.mean(jnp.square(y - p), axis=-1)


@registry.add("mse", "MSE")
class MeanSquaredError(Regression, of=mean_squared_error):
    """`mean((y_true - y_pred)**2)` over the last axis of (batch, ..., n).

    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(2.5, dtype=float32)
    """


@user_facing
def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `MeanAbsoluteError`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    return jnp.mean(jnp.abs(y - p), axis=-1)


@registry.add("mae", "MAE")
class MeanAbsoluteError(Regression, of=mean_absolute_error):
    """`mean(|y_true - y_pred|)` over the last axis of (batch, ..., n).

    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(1.5, dtype=float32)
    """


@user_facing
def mean_absolute_percentage_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `MeanAbsolutePercentageError`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    return 100.0 * jnp.mean(jnp.abs((y - p) / jnp.maximum(jnp.abs(y), dtypes.epsilon())), axis=-1)


@registry.add("mape", "MAPE")
class MeanAbsolutePercentageError(Regression, of=mean_absolute_percentage_error):
    """`100 * mean(|y_true - y_pred| / |y_true|)` over the last axis of (batch, ..., n).

    >>> MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 5.0]])
    Array(37.5, dtype=float32)

    A target of 0 counts as 1e-7, so it makes the loss very large.
    """


@user_facing
def mean_squared_logarithmic_error(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `MeanSquaredLogarithmicError`: (batch, ..., n) -> (batch, ...)."""
    y, p = (jnp.log(jnp.maximum(each, dtypes.epsilon()) + 1.0) for each in matched(*floats(y_true, y_pred)))
    return jnp.mean(jnp.square(p - y), axis=-1)


@registry.add("msle", "MSLE")
class MeanSquaredLogarithmicError(Regression, of=mean_squared_logarithmic_error):
    """`mean((log(y_true + 1) - log(y_pred + 1))**2)` over the last axis of (batch, ..., n), for numbers above 0.

    >>> MeanSquaredLogarithmicError()([[0.0, 1.0]], [[0.0, 0.0]]).round(4)
    Array(0.2402, dtype=float32)

    A number below 1e-7 counts as 1e-7.
    """


@user_facing
def log_cosh(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `LogCosh`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    error = p - y
    return jnp.mean(error + jax.nn.softplus(-2.0 * error) - jnp.log(jnp.asarray(2.0, p.dtype)), axis=-1)


@registry.add("logcosh")
class LogCosh(Regression, of=log_cosh):
    """`mean(log(cosh(y_pred - y_true)))` over the last axis of (batch, ..., n): nearly half the square of small
    errors, and nearly the absolute value of large ones.

    >>> round(float(LogCosh()([[0.0, 1.0]], [[1.0, 1.0]])), 4)
    0.2169
    """


@user_facing
def huber(y_true: ArrayLike, y_pred: ArrayLike, delta: float = 1.0) -> Array:
    """The values of `Huber`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    error = jnp.abs(p - y)
    return jnp.mean(jnp.where(error <= delta, 0.5 * jnp.square(error), delta * error - 0.5 * delta**2), axis=-1)


@registry.add()
class Huber(Formula, of=huber, called="huber_loss"):
    """Half the square of an error up to `delta`, and a straight line beyond it, averaged over the last axis.

    >>> Huber()([[0.0, 0.0]], [[1.0, 3.0]])
    Array(1.5, dtype=float32)

    Source: Huber, Robust Estimation of a Location Parameter, 1964.

    Args:
        delta: the error at which the line begins: `delta * |error| - delta**2 / 2`.
    """

    delta: float = setting(number, default=1.0)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")

    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"dtype", "delta"})


@user_facing
def cosine_similarity(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """The values of `CosineSimilarity`: (batch, ..., n) -> (batch, ...)."""
    y, p = (_unit(each, axis) for each in matched(*floats(y_true, y_pred)))
    return -jnp.sum(y * p, axis=axis)


@registry.add()
class CosineSimilarity(Formula, of=cosine_similarity):
    """The cosine of the angle between target and prediction, times -1: -1 for equal directions, 1 for opposite ones.

    >>> CosineSimilarity()([[0.0, 1.0]], [[0.0, 5.0]])
    Array(-1., dtype=float32)

    Args:
        axis: the axis along which the vectors lie. The cosine of a zero vector with any other vector is 0.
    """

    axis: int = setting(integer, default=-1)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")

    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"dtype", "axis"})


def _unit(x: Array, axis: int) -> Array:
    """Vectors along an axis, divided by their length; a length below 1e-7 counts as 1e-7."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(x), axis, keepdims=True), dtypes.epsilon() ** 2))
