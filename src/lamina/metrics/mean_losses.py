"""The losses as metrics: the mean of their values over all samples."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import losses
from lamina._arrays.arrays import Array
from lamina._settings.converters import flag, integer, optional, rate
from lamina._settings.settings import setting
from lamina.losses.loss import aligned, floats, matched
from lamina.metrics.metric import registry
from lamina.metrics.reduction import SampleMean


class MeanLoss(SampleMean):
    """A loss used as a metric: lower is better."""

    _direction: ClassVar[str | None] = "down"


@registry.add("mse", "MSE")
class MeanSquaredError(MeanLoss, of=losses.mean_squared_error):
    """The mean over the samples, (batch, ..., n), of `mean((y_true - y_pred)**2)`.

    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(2.5, dtype=float32)
    """


def _squares(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    y, p = matched(*floats(y_true, y_pred))
    return jnp.square(y - p)


@registry.add()
class RootMeanSquaredError(MeanLoss, of=_squares):
    """The square root of the mean over all numbers, (batch, ..., n), of `(y_true - y_pred)**2`.

    >>> RootMeanSquaredError()([[0.0, 1.0]], [[3.0, 5.0]])
    Array(3.535534, dtype=float32)
    """

    _lamina_masked = False

    def result(self) -> Array:
        return jnp.sqrt(super().result())


@registry.add("mae", "MAE")
class MeanAbsoluteError(MeanLoss, of=losses.mean_absolute_error):
    """The mean over the samples, (batch, ..., n), of `mean(|y_true - y_pred|)`.

    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(1.5, dtype=float32)
    """


@registry.add("mape", "MAPE")
class MeanAbsolutePercentageError(MeanLoss, of=losses.mean_absolute_percentage_error):
    """The mean over the samples, (batch, ..., n), of `100 * mean(|y_true - y_pred| / |y_true|)`.

    >>> MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 5.0]])
    Array(37.5, dtype=float32)
    """


@registry.add("msle", "MSLE")
class MeanSquaredLogarithmicError(MeanLoss, of=losses.mean_squared_logarithmic_error):
    """The mean over the samples, (batch, ..., n), of `mean((log(y_true + 1) - log(y_pred + 1))**2)`.

    >>> round(float(MeanSquaredLogarithmicError()([[0.0, 1.0]], [[0.0, 0.0]])), 4)
    0.2402
    """


@registry.add("logcosh")
class LogCoshError(MeanLoss, of=losses.log_cosh, called="logcosh"):
    """The mean over the samples, (batch, ..., n), of `mean(log(cosh(y_pred - y_true)))`.

    >>> round(float(LogCoshError()([[0.0, 1.0]], [[1.0, 1.0]])), 4)
    0.2169
    """


@registry.add()
class Hinge(MeanLoss, of=losses.hinge):
    """The mean over the samples of `losses.Hinge`.

    >>> Hinge()([[1.0], [-1.0]], [[0.5], [-2.0]])
    Array(0.25, dtype=float32)
    """


@registry.add()
class SquaredHinge(MeanLoss, of=losses.squared_hinge):
    """The mean over the samples of `losses.SquaredHinge`.

    >>> SquaredHinge()([[1.0], [-1.0]], [[0.5], [-2.0]])
    Array(0.125, dtype=float32)
    """


@registry.add()
class CategoricalHinge(MeanLoss, of=losses.categorical_hinge):
    """The mean over the samples of `losses.CategoricalHinge`.

    >>> CategoricalHinge()([[0.0, 1.0]], [[0.25, 0.75]])
    Array(0.5, dtype=float32)
    """


@registry.add("kld", "KLD", "kullback_leibler_divergence")
class KLDivergence(MeanLoss, of=losses.kl_divergence):
    """The mean over the samples of `losses.KLDivergence`.

    >>> round(float(KLDivergence()([[0.5, 0.5]], [[0.25, 0.75]])), 4)
    0.1438
    """


@registry.add()
class Poisson(MeanLoss, of=losses.poisson):
    """The mean over the samples of `losses.Poisson`.

    >>> round(float(Poisson()([[1.0, 0.0]], [[1.0, 2.0]])), 4)
    1.5
    """


@registry.add("bce", "BCE")
class BinaryCrossentropy(MeanLoss, of=losses.binary_crossentropy):
    """The mean over the samples of `losses.BinaryCrossentropy`.

    >>> BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: whether the predictions are logits, to which a sigmoid is applied, or probabilities.
        label_smoothing: the labels become `(1 - label_smoothing) * y + label_smoothing / 2`.
    """

    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0)


@registry.add()
class CategoricalCrossentropy(MeanLoss, of=losses.categorical_crossentropy):
    """The mean over the samples of `losses.CategoricalCrossentropy`.

    >>> CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: whether the predictions are logits, to which a softmax is applied, or probabilities.
        label_smoothing: the labels become `(1 - label_smoothing) * y + label_smoothing / classes`.
        axis: the axis of the classes.
    """

    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0)
    axis: int = setting(integer, default=-1)


@registry.add()
class SparseCategoricalCrossentropy(MeanLoss, of=losses.sparse_categorical_crossentropy):
    """The mean over the samples of `losses.SparseCategoricalCrossentropy`.

    >>> SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [0.5, 0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: whether the predictions are logits, to which a softmax is applied, or probabilities.
        ignore_class: targets of this class have loss 0. As in Keras they still count in the mean, unless there are
            sample weights.
        axis: the axis of the classes in the predictions.
    """

    from_logits: bool = setting(flag, default=False)
    ignore_class: int | None = setting(optional(integer), default=None)
    axis: int = setting(integer, default=-1)

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        if self.ignore_class is not None and sample_weight is not None:
            keep = (jnp.asarray(y_true) != self.ignore_class).astype(self.dtype)
            sample_weight = jnp.multiply(*aligned(keep, jnp.asarray(sample_weight, self.dtype), "sample_weight"))
        super().update_state(y_true, y_pred, sample_weight)
