"""The losses as metrics: the mean of their values over all samples."""

from __future__ import annotations

from typing import Any, ClassVar

import jax.numpy as jnp

from lamina import losses
from lamina._base.converters import flag, integer, optional, rate
from lamina._base.settings import setting
from lamina._base.weight import Array
from lamina.losses.loss import aligned, floats, matched
from lamina.metrics.metric import registry
from lamina.metrics.reduction import SampleMean


@registry.add("mse", "MSE")
class MeanSquaredError(SampleMean):
    """The mean over the samples, (batch, ..., n), of `mean((y_true - y_pred)**2)`.

    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(2.5, dtype=float32)
    """

    _direction: ClassVar[str | None] = "down"

    def values(self, y_true: Any, y_pred: Any) -> Array:
        return losses.mean_squared_error(y_true, y_pred)


@registry.add()
class RootMeanSquaredError(SampleMean):
    """The square root of the mean over all numbers, (batch, ..., n), of `(y_true - y_pred)**2`.

    >>> RootMeanSquaredError()([[0.0, 1.0]], [[3.0, 5.0]])
    Array(3.535534, dtype=float32)
    """

    _direction: ClassVar[str | None] = "down"

    def values(self, y_true: Any, y_pred: Any) -> Array:
        y_true, y_pred = matched(*floats(y_true, y_pred))
        return jnp.square(y_true - y_pred)

    def result(self) -> Array:
        return jnp.sqrt(super().result())


@registry.add("mae", "MAE")
class MeanAbsoluteError(SampleMean):
    """The mean over the samples, (batch, ..., n), of `mean(|y_true - y_pred|)`.

    >>> MeanAbsoluteError()([[0.0, 1.0]], [[1.0, 3.0]])
    Array(1.5, dtype=float32)
    """

    _direction: ClassVar[str | None] = "down"

    def values(self, y_true: Any, y_pred: Any) -> Array:
        return losses.mean_absolute_error(y_true, y_pred)


@registry.add("bce", "BCE")
class BinaryCrossentropy(SampleMean):
    """The mean over the samples of `losses.BinaryCrossentropy`.

    >>> BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])
    Array(0.6931472, dtype=float32)
    """

    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0)

    _direction: ClassVar[str | None] = "down"

    def values(self, y_true: Any, y_pred: Any) -> Array:
        return losses.binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing)


@registry.add()
class CategoricalCrossentropy(SampleMean):
    """The mean over the samples of `losses.CategoricalCrossentropy`.

    >>> CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
    Array(0.6931472, dtype=float32)
    """

    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0)
    axis: int = setting(integer, default=-1)

    _direction: ClassVar[str | None] = "down"

    def values(self, y_true: Any, y_pred: Any) -> Array:
        return losses.categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


@registry.add()
class SparseCategoricalCrossentropy(SampleMean):
    """The mean over the samples of `losses.SparseCategoricalCrossentropy`.

    >>> SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [0.5, 0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        ignore_class: targets of this class have loss 0. As in Keras they are still counted, unless there are
            sample weights.
    """

    from_logits: bool = setting(flag, default=False)
    ignore_class: int | None = setting(optional(integer), default=None)
    axis: int = setting(integer, default=-1)

    _direction: ClassVar[str | None] = "down"

    def values(self, y_true: Any, y_pred: Any) -> Array:
        return losses.sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.ignore_class, self.axis)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        if self.ignore_class is not None and sample_weight is not None:
            keep = (jnp.asarray(y_true) != self.ignore_class).astype(self.dtype)
            sample_weight = jnp.multiply(*aligned(keep, jnp.asarray(sample_weight, self.dtype), "sample_weight"))
        super().update_state(y_true, y_pred, sample_weight)
