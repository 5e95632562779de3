"""Losses for areas, as in image segmentation: they measure how much of two areas lies in only one of them."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import integer, number
from lamina._settings.settings import setting
from lamina.losses.loss import DType, Formula, Reduction, floats, matched, precision, reduction_word, registry

Axis = int | Sequence[int] | None


def _axes(value: object) -> Axis:
    """One axis, several axes, or None for all."""
    if value is None:
        return None
    return [integer(each) for each in value] if isinstance(value, (list, tuple)) else integer(value)


def _areas(y_true: ArrayLike, y_pred: ArrayLike, axis: Axis) -> tuple[Array, Array, Array]:
    """The part in both areas, the part only in the target and the part only in the prediction, summed over `axis`."""
    y, p = matched(*floats(y_true, y_pred))
    axes = tuple(axis) if isinstance(axis, Sequence) else axis
    both, missed, added = (jnp.sum(each, axis=axes) for each in (y * p, y * (1.0 - p), (1.0 - y) * p))
    return both, missed, added


@user_facing
def dice(y_true: ArrayLike, y_pred: ArrayLike, axis: Axis = None) -> Array:
    """The values of `Dice`: one number, or one for each position along the axes that are not in `axis`."""
    both, missed, added = _areas(y_true, y_pred, axis)
    return 1.0 - 2.0 * both / (2.0 * both + missed + added + dtypes.epsilon())


@registry.add()
class Dice(Formula, of=dice):
    """`1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))`: 0 for equal areas, 1 for disjoint areas.

    >>> Dice()([[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]).round(4)
    Array(0.3333, dtype=float32)

    Source: Milletari et al., V-Net, 2016.

    Args:
        axis: the axes of an area. None treats the whole batch as one area, so sample weights have no effect on single
            rows. For one value per sample of (batch, rows, columns, channels) use `axis=(1, 2, 3)`.
    """

    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    axis: Axis = setting(_axes, default=None)
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")


@user_facing
def tversky(y_true: ArrayLike, y_pred: ArrayLike, alpha: float = 0.5, beta: float = 0.5, axis: Axis = None) -> Array:
    """The values of `Tversky`: one number, or one for each position along the axes that are not in `axis`."""
    both, missed, added = _areas(y_true, y_pred, axis)
    return 1.0 - both / (both + alpha * missed + beta * added + dtypes.epsilon())


@registry.add()
class Tversky(Formula, of=tversky):
    """`1 - both / (both + alpha * missed + beta * added)`: missed and added parts can have different costs.

    >>> Tversky(alpha=1.0, beta=0.0)([[1.0, 1.0, 0.0]], [[1.0, 0.0, 1.0]])
    Array(0.5, dtype=float32)

    `both` is `sum(y_true * y_pred)`, `missed` is `sum(y_true * (1 - y_pred))` and `added` is
    `sum((1 - y_true) * y_pred)`. Source: Salehi et al., Tversky loss function for image segmentation, 2017.

    Args:
        alpha: the cost of missed parts.
        beta: the cost of added parts.
        axis: the axes of an area. None treats the whole batch as one area.
    """

    alpha: float = setting(number, default=0.5)
    beta: float = setting(number, default=0.5)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    axis: Axis = setting(_axes, default=None)
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")
