"""Accuracies: the fraction of correct predictions."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array, as_array
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import flag, number, positive
from lamina._settings.settings import setting
from lamina.losses.loss import floating, matched, unfit
from lamina.metrics.metric import BuiltIn, registry
from lamina.metrics.reduction import SampleMean


class Share(SampleMean):
    """The fraction of correct predictions: higher is better."""

    _direction: ClassVar[str | None] = "up"


def _largest(x: Array) -> Array:
    """The index of the first maximum along the last axis, int32.

    XLA's argmax does not use the vector units of a CPU. For 1000 classes, a maximum followed by a minimum takes a fifth
    of its time.
    """
    if x.shape[-1] <= 32:
        return jnp.argmax(x, -1).astype("int32")
    index = jax.lax.broadcasted_iota("int32", x.shape, x.ndim - 1)
    return jnp.min(jnp.where(x == jnp.max(x, -1, keepdims=True), index, x.shape[-1]), -1)


def _equal(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    p = as_array(y_pred)
    return jnp.equal(*matched(as_array(y_true).astype(p.dtype), p))


@registry.add("acc")
class Accuracy(Share, of=_equal):
    """The fraction of predictions that equal their target, for any shape.

    In `compile`, "accuracy" does not mean this metric: the shapes choose the binary, sparse or categorical accuracy.

    >>> Accuracy()([1, 2, 3, 4], [0, 2, 3, 4])
    Array(0.75, dtype=float32)
    """


@user_facing
def binary_accuracy(y_true: ArrayLike, y_pred: ArrayLike, threshold: float = 0.5) -> Array:
    """The values of `BinaryAccuracy`: 1.0 where the prediction is correct, else 0.0; the shape stays the same."""
    y, p = matched(y_true, floating(y_pred))
    return jnp.equal(jnp.greater(p, threshold).astype(y.dtype), y).astype("float32")


@registry.add()
class BinaryAccuracy(Share, of=binary_accuracy):
    """The fraction of binary labels, (batch, ..., n), that equal the prediction: 1 above the threshold, else 0.

    >>> BinaryAccuracy()([[1], [1], [0], [0]], [[0.9], [0.4], [0.6], [0.5]])
    Array(0.5, dtype=float32)

    Args:
        threshold: a prediction above it means 1. For logits use 0.
    """

    threshold: float = setting(number, default=0.5)


@user_facing
def categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `CategoricalAccuracy`: (batch, ..., classes) -> (batch, ...), 1.0 or 0.0."""
    y, p = as_array(y_true), as_array(y_pred)
    if y.shape != p.shape:
        raise unfit(y, p, "For class numbers take 'sparse_categorical_accuracy', or just 'accuracy'.")
    return jnp.equal(_largest(y), _largest(p)).astype("float32")


@registry.add()
class CategoricalAccuracy(Share, of=categorical_accuracy):
    """The fraction of one-hot labels, (batch, ..., classes), whose class has the largest prediction.

    >>> CategoricalAccuracy()([[0, 1], [1, 0]], [[0.3, 0.7], [0.2, 0.8]])
    Array(0.5, dtype=float32)
    """


@user_facing
def sparse_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> Array:
    """The values of `SparseCategoricalAccuracy`: (batch, ...) and (batch, ..., classes) -> (batch, ...), 1.0 or 0.0."""
    y, p = as_array(y_true), as_array(y_pred)
    if y.ndim == p.ndim and y.shape[-1] == 1:
        y = y[..., 0]
    if y.shape != p.shape[:-1]:
        raise unfit(y, p, "For one-hot targets take 'categorical_accuracy', or just 'accuracy'.")
    best = _largest(p)
    if jnp.issubdtype(y.dtype, jnp.floating):
        return jnp.equal(y, best.astype(y.dtype)).astype("float32")
    return jnp.equal(y.astype("int32"), best).astype("float32")


@registry.add()
class SparseCategoricalAccuracy(Share, of=sparse_categorical_accuracy):
    """The fraction of class numbers, (batch, ...), whose class has the largest prediction of (batch, ..., classes).

    >>> SparseCategoricalAccuracy()([1, 0], [[0.3, 0.7], [0.2, 0.8]])
    Array(0.5, dtype=float32)
    """


def _in_top_k(y: Array, p: Array, k: int) -> Array:
    """1.0 where fewer than k outputs exceed the output of the true class, (..., classes) -> (...)."""
    right = jnp.take_along_axis(p, y[..., None], axis=-1)
    right = jnp.where(jnp.isnan(right), -jnp.inf, right)
    return (jnp.sum(p > right, axis=-1) < k).astype("float32")


@user_facing
def top_k_categorical_accuracy(y_true: ArrayLike, y_pred: ArrayLike, k: int = 5) -> Array:
    """The values of `TopKCategoricalAccuracy`: (batch, ..., classes) -> (batch, ...), 1.0 or 0.0."""
    y, p = as_array(y_true), floating(y_pred)
    if y.shape != p.shape:
        raise unfit(y, p, "For class numbers take 'sparse_top_k_categorical_accuracy'.")
    return _in_top_k(_largest(y), p, k)


class _TopK(BuiltIn):
    k: int = setting(positive, default=5)


@registry.add()
class TopKCategoricalAccuracy(Share, _TopK, of=top_k_categorical_accuracy):
    """The fraction of one-hot labels, (batch, ..., classes), whose class is among the `k` largest predictions.

    >>> TopKCategoricalAccuracy(k=2)([[0, 0, 1], [0, 1, 0]], [[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    Array(0.5, dtype=float32)

    Args:
        k: the number of largest predictions that count.
    """


@user_facing
def sparse_top_k_categorical_accuracy(
    y_true: ArrayLike, y_pred: ArrayLike, k: int = 5, from_sorted_ids: bool = False
) -> Array:
    """The values of `SparseTopKCategoricalAccuracy`: (batch, ...) and (batch, ..., classes) -> (batch, ...)."""
    y, p = as_array(y_true), as_array(y_pred)
    if y.ndim == p.ndim and y.shape[-1] == 1:
        y = y[..., 0]
    if y.shape != p.shape[:-1]:
        raise unfit(y, p, "For one-hot targets take 'top_k_categorical_accuracy'.")
    if from_sorted_ids:
        return jnp.any(y[..., None].astype(p.dtype) == p[..., :k], axis=-1).astype("float32")
    return _in_top_k(y.astype("int32"), floating(p), k)


@registry.add()
class SparseTopKCategoricalAccuracy(Share, _TopK, of=sparse_top_k_categorical_accuracy):
    """The fraction of class numbers, (batch, ...), among the `k` largest predictions of (batch, ..., classes).

    >>> SparseTopKCategoricalAccuracy(k=2)([2, 1], [[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    Array(0.5, dtype=float32)

    Args:
        k: the number of largest predictions that count.
        from_sorted_ids: whether the model's output is class numbers, the most likely first, instead of predictions.
    """

    from_sorted_ids: bool = setting(flag, default=False)

    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"from_sorted_ids"})
