"""The losses as metrics: the mean of their values over all samples."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import losses
from lamina._base.converters import flag, integer, optional, rate
from lamina._base.settings import setting
from lamina._base.weight import Array
from lamina.losses.loss import aligned, floats, matched
from lamina.metrics.metric import registry
from lamina.metrics.reduction import SampleMean


class MeanLoss(SampleMean):
    """A loss as a metric: lower is better."""

    _direction: ClassVar[str | None] = "down"


@registry.add("mse", "MSE")
class MeanSquaredError(MeanLoss):
    """The mean over the samples, (batch, ..., n), of `mean((y_true - y_pred)**2)`.

    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(2.5, dtype=float32)
    """

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        return losses.mean_squared_error(y_true, y_pred)


@registry.add()
class RootMeanSquaredError(MeanLoss):
    """The square root of the mean over all numbers, (batch, ..., n), of `(y_true - y_pred)**2`.

    >>> RootMeanSquaredError()([[0.0, 1.0]], [[3.0, 5.0]])
    Array(3.535534, dtype=float32)
    """

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        y, p = matched(*floats(y_true, y_pred))
        return jnp.square(y - p)

    def result(self) -> Array:
        return jnp.sqrt(super().result())


@registry.add("mae", "MAE")
class MeanAbsoluteError(MeanLoss):
    """The mean over the samples, (batch, ..., n), of `mean(|y_true - y_pred|)`.

    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(1.5, dtype=float32)
    """

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        return losses.mean_absolute_error(y_true, y_pred)


@registry.add("bce", "BCE")
class BinaryCrossentropy(MeanLoss):
    """The mean over the samples of `losses.BinaryCrossentropy`.

    >>> BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: the predictions go through a sigmoid here; else they are probabilities.
        label_smoothing: the labels become `(1 - label_smoothing) * y + label_smoothing / 2`.
    """

    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0)

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        return losses.binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing)


@registry.add()
class CategoricalCrossentropy(MeanLoss):
    """The mean over the samples of `losses.CategoricalCrossentropy`.

    >>> CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: the predictions go through a softmax here; else they are probabilities.
        label_smoothing: the labels become `(1 - label_smoothing) * y + label_smoothing / classes`.
        axis: the axis along which the classes lie.
    """

    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0)
    axis: int = setting(integer, default=-1)

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        return losses.categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


@registry.add()
class SparseCategoricalCrossentropy(MeanLoss):
    """The mean over the samples of `losses.SparseCategoricalCrossentropy`.

    >>> SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [0.5, 0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: the predictions go through a softmax here; else they are probabilities.
        ignore_class: targets of this class have loss 0. As in Keras they are still counted, unless there are
            sample weights.
        axis: the axis of the predictions along which the classes lie.
    """

    from_logits: bool = setting(flag, default=False)
    ignore_class: int | None = setting(optional(integer), default=None)
    axis: int = setting(integer, default=-1)

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        return losses.sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.ignore_class, self.axis)

    def update_state(  # type: ignore[override]
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        if self.ignore_class is not None and sample_weight is not None:
            keep = (jnp.asarray(y_true) != self.ignore_class).astype(self.dtype)
            sample_weight = jnp.multiply(*aligned(keep, jnp.asarray(sample_weight, self.dtype), "sample_weight"))
        super().update_state(y_true, y_pred, sample_weight)
