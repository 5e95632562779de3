"""Intersection over union: how far the target area and the predicted area overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, cast

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import count, flag, integer, number, optional, positive
from lamina._settings.settings import setting
from lamina.errors import ArgumentError
from lamina.losses.loss import DType as GivenDType
from lamina.losses.loss import spread, unfit
from lamina.metrics.metric import BuiltIn, Precision, registry, state_dtype


def _whole_dtype(dtype: GivenDType) -> str:
    """The dtype of the counts; None is int32, because float32 cannot count beyond 16 million pixels."""
    return "int32" if dtype in (None, "int") else state_dtype(dtype)


def _classes(value: object) -> list[int]:
    """One class number, or several."""
    return [count(each) for each in (value if isinstance(value, (list, tuple)) else [value])]


class ByClass(BuiltIn):
    """A metric of the confusion matrix: how often each class, (batch, ...), was predicted as each class.

    A subclass turns those attributes that users may set into arguments.
    """

    _direction: ClassVar[str | None] = "up"

    num_classes = 2
    target_class_ids = cast(Sequence[int], ())
    """The classes whose mean is the result; an empty tuple means all classes."""
    ignore_class = cast(int | None, None)
    sparse_y_true = True
    sparse_y_pred = True
    axis = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        shape = (self.num_classes, self.num_classes)
        self.total_cm = self.add_weight(shape, name="total_confusion_matrix")
        self.target_class_ids = self.target_class_ids or list(range(self.num_classes))
        if max(self.target_class_ids) >= self.num_classes:
            raise ArgumentError(
                f"{self.name}: class {max(self.target_class_ids)} is none of the {self.num_classes} classes, which are "
                f"numbered from 0 to {self.num_classes - 1}."
            )

    @user_facing
    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        y, p = (
            jnp.asarray(each) if sparse else jnp.argmax(jnp.asarray(each), axis=self.axis)
            for each, sparse in ((y_true, self.sparse_y_true), (y_pred, self.sparse_y_pred))
        )
        if y.size != p.size:
            raise unfit(y, p, "Each target needs one predicted class: look at sparse_y_true and sparse_y_pred.")
        weight = None
        if sample_weight is not None:
            weight = spread(y, sample_weight, "float32").ravel()
        y, p = y.astype("int32").ravel(), p.astype("int32").ravel()
        counted = (y >= 0) & (y < self.num_classes) & (p >= 0) & (p < self.num_classes)
        if self.ignore_class is not None:
            counted &= y != self.ignore_class
        place = jnp.where(counted, y * self.num_classes + p, 0)
        values = counted.astype("int32") if weight is None else jnp.where(counted, weight, 0)
        table = jnp.bincount(place, values, length=self.num_classes**2)
        whole = jnp.issubdtype(self.dtype, jnp.integer) and weight is not None
        table = (jnp.round(table) if whole else table).astype(self.dtype)  # rounds the sum, not each weight
        self.total_cm.assign_add(table.reshape(self.num_classes, self.num_classes))

    def result(self) -> Array:
        table, wanted = jnp.asarray(self.total_cm), jnp.asarray(self.target_class_ids)
        both = jnp.diagonal(table)
        either = jnp.sum(table, axis=0) + jnp.sum(table, axis=1) - both
        both, either = (each[wanted].astype("float32") for each in (both, either))
        there = either > 1e-9
        share = jnp.where(there, both / (either + dtypes.epsilon()), 0.0)
        return jnp.sum(share) / (jnp.sum(there) + dtypes.epsilon())


class _OfSome(ByClass):  # the first arguments, and below the others: `IoU(_FromNumbers, _OfSome)`
    num_classes: int = setting(positive)
    target_class_ids: Sequence[int] = setting(_classes)


class _OfAll(ByClass):
    num_classes: int = setting(positive)


class _FromNumbers(ByClass):
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: Precision = setting(_whole_dtype, default=None, alias="dtype")
    ignore_class: int | None = setting(optional(integer), default=None)
    sparse_y_true: bool = setting(flag, default=True)
    sparse_y_pred: bool = setting(flag, default=True)
    axis: int = setting(integer, default=-1)


class _FromOneHot(ByClass):
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: Precision = setting(_whole_dtype, default=None, alias="dtype")
    ignore_class: int | None = setting(optional(integer), default=None)
    sparse_y_pred: bool = setting(flag, default=False)
    axis: int = setting(integer, default=-1)
    sparse_y_true = False


@registry.add()
class IoU(_FromNumbers, _OfSome):
    """The mean over some classes of `both / either`, from class numbers, (batch, ...).

    >>> IoU(2, [0])([0, 0, 1, 1], [0, 1, 0, 1]).round(4)
    Array(0.3333, dtype=float32)

    For a class, `both` counts the positions where it is both target and prediction. `either` counts the positions where
    it is at least one of them. A class with `either` = 0 does not count.

    Args:
        num_classes: the number of classes.
        target_class_ids: the classes whose mean is the result.
        ignore_class: targets of this class do not count.
        sparse_y_true, sparse_y_pred: whether the targets and the predictions are class numbers. If not, they have an
            axis of the classes.
        axis: the axis of the classes.
    """


@registry.add()
class MeanIoU(_FromNumbers, _OfAll):
    """The mean over all classes of `both / either`, from class numbers, (batch, ...); see `IoU`.

    >>> MeanIoU(2)([0, 0, 1, 1], [0, 1, 0, 1]).round(4)
    Array(0.3333, dtype=float32)

    Args:
        num_classes: the number of classes.
        ignore_class: targets of this class do not count.
        sparse_y_true, sparse_y_pred: whether the targets and the predictions are class numbers. If not, they have an
            axis of the classes.
        axis: the axis of the classes.
    """


@registry.add()
class OneHotIoU(_FromOneHot, _OfSome):
    """The mean over some classes of `both / either`, from one-hot targets, (batch, ..., classes); see `IoU`.

    >>> OneHotIoU(2, [0])([[1, 0], [0, 1]], [[0.2, 0.8], [0.3, 0.7]])
    Array(0., dtype=float32)

    Args:
        num_classes: the number of classes.
        target_class_ids: the classes whose mean is the result.
        ignore_class: targets of this class do not count.
        sparse_y_pred: whether the predictions are class numbers. If not, they have an axis of the classes.
        axis: the axis of the classes.
    """


@registry.add()
class OneHotMeanIoU(_FromOneHot, _OfAll):
    """The mean over all classes of `both / either`, from one-hot targets, (batch, ..., classes); see `IoU`.

    >>> OneHotMeanIoU(2)([[1, 0], [0, 1]], [[0.2, 0.8], [0.3, 0.7]]).round(4)
    Array(0.25, dtype=float32)

    Args:
        num_classes: the number of classes.
        ignore_class: targets of this class do not count.
        sparse_y_pred: whether the predictions are class numbers. If not, they have an axis of the classes.
        axis: the axis of the classes.
    """


@registry.add()
class BinaryIoU(ByClass):
    """The mean over the classes 0 and 1 of `both / either`, from binary labels, (batch, ...); see `IoU`.

    >>> BinaryIoU()([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7], sample_weight=[2, 3, 4, 1]).round(4)
    Array(0.4583, dtype=float32)

    Args:
        target_class_ids: the classes whose mean is the result.
        threshold: a prediction of at least this number means class 1.
    """

    target_class_ids: Sequence[int] = setting(_classes, default=(0, 1))
    threshold: float = setting(number, default=0.5)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: Precision = setting(_whole_dtype, default=None, alias="dtype")

    @user_facing
    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        super().update_state(y_true, jnp.asarray(y_pred, "float32") >= self.threshold, sample_weight)
