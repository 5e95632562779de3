"""Accuracies: the share of predictions that are right."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._base.converters import number
from lamina._base.frames import user_facing
from lamina._base.settings import setting
from lamina._base.weight import Array
from lamina.losses.loss import floating, matched, unfit
from lamina.metrics.metric import registry
from lamina.metrics.reduction import SampleMean


class Share(SampleMean):
    """The share of predictions that are right: higher is better."""

    _direction: ClassVar[str | None] = "up"


def _largest(x: Array) -> Array:
    """The index of the first largest number of the last axis, int32.

    XLA's argmax does not use the vector units of a CPU: for 1000 classes, a maximum and then a minimum take a fifth of
    its time.
    """
    if x.shape[-1] <= 32:
        return jnp.argmax(x, -1).astype("int32")
    index = jax.lax.broadcasted_iota("int32", x.shape, x.ndim - 1)
    return jnp.min(jnp.where(x == jnp.max(x, -1, keepdims=True), index, x.shape[-1]), -1)


@registry.add("acc")
class Accuracy(Share):
    """The share of predictions that equal their target, for any shape.

    In `compile`, "accuracy" is not this one, but the binary, sparse or categorical accuracy, by the shapes.

    >>> Accuracy()([1, 2, 3, 4], [0, 2, 3, 4])
    Array(0.75, dtype=float32)
    """

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        y, p = matched(y_true, y_pred)
        return jnp.equal(y.astype(p.dtype), p)


@user_facing
def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """The values of `BinaryAccuracy`: 1.0 where it is right, else 0.0; the shape stays."""
    y, p = matched(y_true, floating(y_pred))
    return jnp.equal(jnp.greater(p, threshold).astype(y.dtype), y).astype("float32")


@registry.add()
class BinaryAccuracy(Share):
    """The share of yes-or-no labels, (batch, ..., n), that agree with the prediction: above the threshold it says yes.

    >>> BinaryAccuracy()([[1], [1], [0], [0]], [[0.9], [0.4], [0.6], [0.5]])
    Array(0.5, dtype=float32)

    Args:
        threshold: a prediction above it says yes. For logits take 0.
    """

    threshold: float = setting(number, default=0.5)

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        return binary_accuracy(y_true, y_pred, self.threshold)


@user_facing
def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `CategoricalAccuracy`: (batch, ..., classes) -> (batch, ...), 1.0 or 0.0."""
    y, p = jnp.asarray(y_true), jnp.asarray(y_pred)
    if y.shape != p.shape:
        raise unfit(y, p, "For class numbers take 'sparse_categorical_accuracy', or just 'accuracy'.")
    return jnp.equal(_largest(y), _largest(p)).astype("float32")


@registry.add()
class CategoricalAccuracy(Share):
    """The share of one-hot labels, (batch, ..., classes), whose class has the largest prediction.

    >>> CategoricalAccuracy()([[0, 1], [1, 0]], [[0.3, 0.7], [0.2, 0.8]])
    Array(0.5, dtype=float32)
    """

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        return categorical_accuracy(y_true, y_pred)


@user_facing
def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `SparseCategoricalAccuracy`: (batch, ...) and (batch, ..., classes) -> (batch, ...), 1.0 or 0.0."""
    y, p = jnp.asarray(y_true), jnp.asarray(y_pred)
    if y.ndim == p.ndim and y.shape[-1] == 1:
        y = y[..., 0]
    if y.shape != p.shape[:-1]:
        raise unfit(y, p, "For one-hot targets take 'categorical_accuracy', or just 'accuracy'.")
    best = _largest(p)
    if jnp.issubdtype(y.dtype, jnp.floating):
        return jnp.equal(y, best.astype(y.dtype)).astype("float32")
    return jnp.equal(y.astype("int32"), best).astype("float32")


@registry.add()
class SparseCategoricalAccuracy(Share):
    """The share of class numbers, (batch, ...), whose class has the largest prediction of (batch, ..., classes).

    >>> SparseCategoricalAccuracy()([1, 0], [[0.3, 0.7], [0.2, 0.8]])
    Array(0.5, dtype=float32)
    """

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        return sparse_categorical_accuracy(y_true, y_pred)
