"""Crossentropies that give less weight to easy samples, or to wrong labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import flag, integer, number, rate
from lamina._settings.settings import Converted, setting
from lamina.errors import ArgumentError
from lamina.losses.crossentropies import binary_crossentropy, class_numbers, of_class, one_hot, shares, smoothed
from lamina.losses.loss import DType, Formula, Reduction, floats, matched, precision, reduction_word, registry


@user_facing
def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """The values of `BinaryFocalCrossentropy`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    y, p = smoothed(y, label_smoothing, 2), jax.nn.sigmoid(p) if from_logits else p
    values = binary_crossentropy(y[..., None], p[..., None])  # (batch, ..., n)
    values *= (1.0 - (y * p + (1.0 - y) * (1.0 - p))) ** gamma
    if apply_class_balancing:
        values *= y * alpha + (1.0 - y) * (1.0 - alpha)
    return jnp.mean(values, axis=axis)


@registry.add()
class BinaryFocalCrossentropy(Formula, of=binary_focal_crossentropy):
    """For binary labels, (batch, ..., n): the crossentropy times `(1 - right)**gamma`, averaged over `axis`.

    >>> BinaryFocalCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]]).round(4)
    Array(0.1733, dtype=float32)

    `right` is the predicted probability of the true label, so easy samples get little weight. Source: Lin et al.,
    Focal Loss for Dense Object Detection, 2018.

    Args:
        apply_class_balancing: whether label 1 has the weight `alpha`, and label 0 the weight `1 - alpha`.
        alpha: the weight of label 1.
        gamma: a larger gamma gives less weight to easy samples; 0 is the plain crossentropy.
        from_logits: whether the predictions are logits, to which a sigmoid is applied, or probabilities.
        label_smoothing: the labels become `(1 - label_smoothing) * y + label_smoothing / 2`.
        axis: the axis that the values are averaged over.
    """

    apply_class_balancing: bool = setting(flag, default=False)
    alpha: float = setting(number, default=0.25)
    gamma: float = setting(number, default=2.0)
    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0.0)
    axis: int = setting(integer, default=-1)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")


def factors(value: Any) -> float | list[float]:
    """A number, or a list with one number for each class."""
    return number(value) if np.ndim(value) == 0 else [number(each) for each in value]


Factors: TypeAlias = Converted[float | Sequence[float], float | list[float]]


@user_facing
def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    alpha: float | ArrayLike = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """The values of `CategoricalFocalCrossentropy`: (batch, ..., classes) -> (batch, ...)."""
    y, p = one_hot(y_true, y_pred, axis)
    p = shares(jax.nn.softmax(p, axis) if from_logits else p, axis)
    y = smoothed(y, label_smoothing, y.shape[-1])
    return jnp.sum(jnp.asarray(alpha, p.dtype) * (1.0 - p) ** gamma * -y * jnp.log(p), axis=axis)


@registry.add()
class CategoricalFocalCrossentropy(Formula, of=categorical_focal_crossentropy):
    """For one-hot labels, (batch, ..., classes): `-sum(alpha * (1 - p)**gamma * y * log(p))` over `axis`.

    >>> CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]).round(4)
    Array(0.0433, dtype=float32)

    Source: Lin et al., Focal Loss for Dense Object Detection, 2018.

    Args:
        alpha: a factor for the whole loss, or a list with one factor for each class.
        gamma: a larger gamma gives less weight to easy samples; 0 is the plain crossentropy, times `alpha`.
        from_logits: whether the predictions are logits, to which a softmax is applied. If False they are
            probabilities, and are divided by their sum.
        label_smoothing: the labels become `(1 - label_smoothing) * y + label_smoothing / classes`.
        axis: the axis that the values are summed over.
    """

    alpha: Factors = setting(factors, default=0.25)
    gamma: float = setting(number, default=2.0)
    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0.0)
    axis: int = setting(integer, default=-1)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")


def _between(value: object) -> float:
    """A number between 0 and 1, both excluded."""
    if not 0 < number(value) < 1:
        raise ArgumentError(f"expected a number between 0 and 1, and neither of them, got {value}.")
    return number(value)


@user_facing
def categorical_generalized_cross_entropy(y_true: ArrayLike, y_pred: ArrayLike, q: float) -> Array:
    """The values of `CategoricalGeneralizedCrossEntropy`: (batch, ...) and (batch, ..., classes) -> (batch, ...)."""
    y, p = class_numbers(y_true, y_pred, -1)
    return (1.0 - of_class(p, y, -1) ** q) / q


@registry.add()
class CategoricalGeneralizedCrossEntropy(Formula, of=categorical_generalized_cross_entropy):
    """For class numbers, (batch, ...), some of which may be wrong: `(1 - p[y]**q) / q`.

    >>> CategoricalGeneralizedCrossEntropy()([1, 0], [[0.75, 0.25], [1.0, 0.0]])
    Array(0.5, dtype=float32)

    Source: Zhang and Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels, 2018.

    Args:
        q: a number between 0, the crossentropy, and 1, the mean absolute error. Wrong labels matter less near 1.
    """

    q: float = setting(_between, default=0.5)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")
