"""Metrics of similarity and correlation between predictions and targets."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import dtypes, losses
from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import integer
from lamina._settings.settings import setting
from lamina.losses.loss import floats, matched
from lamina.metrics.metric import registry
from lamina.metrics.reduction import SampleMean


def _cosine(y_true: ArrayLike, y_pred: ArrayLike, axis: int) -> Array:
    return -losses.cosine_similarity(y_true, y_pred, axis)


@registry.add()
class CosineSimilarity(SampleMean, of=_cosine):
    """The mean over the samples of the cosine of the angle between target and prediction: 1 for equal directions.

    >>> CosineSimilarity()([[0.0, 1.0]], [[0.0, 5.0]])
    Array(1., dtype=float32)

    Args:
        axis: the axis along which the vectors lie.
    """

    axis: int = setting(integer, default=-1)
    _direction: ClassVar[str | None] = "up"
    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"axis"})


@user_facing
def pearson_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """The values of `PearsonCorrelation`: (batch, ..., n) -> (batch, ...)."""
    y, p = (each - jnp.mean(each, axis, keepdims=True) for each in matched(*floats(y_true, y_pred)))
    y, p = (each / jnp.std(each, axis, keepdims=True) for each in (y, p))
    return jnp.mean(y * p, axis=axis)


@registry.add()
class PearsonCorrelation(SampleMean, of=pearson_correlation):
    """The mean over the samples of the correlation between target and prediction, from -1 to 1.

    >>> round(float(PearsonCorrelation()([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]])), 4)
    1.0

    The result is NaN if all targets, or all predictions, of a sample are equal.

    Args:
        axis: the axis along which the numbers lie; 0 correlates the samples of each batch.
    """

    axis: int = setting(integer, default=-1)
    _direction: ClassVar[str | None] = "up"


@user_facing
def concordance_correlation(y_true: ArrayLike, y_pred: ArrayLike, axis: int = -1) -> Array:
    """The values of `ConcordanceCorrelation`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    (y_mean, p_mean), (y_spread, p_spread) = (
        [how(each, axis, keepdims=True) for each in (y, p)] for how in (jnp.mean, jnp.var)
    )
    together = (y - p_mean) * (p - p_mean)  # Keras's formula; it has the same mean as (y - y_mean) * (p - p_mean)
    return jnp.mean(2 * together / (y_spread + p_spread + (y_mean - p_mean) ** 2 + dtypes.epsilon()), axis=axis)


@registry.add()
class ConcordanceCorrelation(SampleMean, of=concordance_correlation):
    """Like `PearsonCorrelation`, but 1 only if the predictions equal the targets.

    >>> round(float(ConcordanceCorrelation()([[0.0, 1.0, 2.0]], [[1.0, 2.0, 3.0]])), 4)
    0.5714

    `2 * covariance / (variance + variance + (mean - mean)**2)`. Source: Lin, A Concordance Correlation Coefficient to
    Evaluate Reproducibility, 1989.

    Args:
        axis: the axis along which the numbers lie; 0 correlates the samples of each batch.
    """

    axis: int = setting(integer, default=-1)
    _direction: ClassVar[str | None] = "up"
