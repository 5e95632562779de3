"""Losses for classes."""

from __future__ import annotations

from typing import ClassVar

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array, as_array
from lamina._arrays.shapes import Shape
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import flag, integer, optional, rate
from lamina._settings.settings import setting
from lamina.losses.loss import (
    BuiltIn,
    DType,
    Formula,
    Loss,
    Reduction,
    floating,
    floats,
    matched,
    precision,
    reduction_word,
    registry,
    unfit,
)


class Smoothed(Formula):
    """A crossentropy whose labels can be smoothed.

    Args:
        axis: the axis over which the values are averaged or summed.
    """

    from_logits: bool = setting(flag, default=False)
    label_smoothing: float = setting(rate, default=0.0)
    axis: int = setting(integer, default=-1)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")


@user_facing
def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    """The values of `BinaryCrossentropy`: (batch, ..., n) -> (batch, ...)."""
    y, p = matched(*floats(y_true, y_pred))
    y = smoothed(y, label_smoothing, 2)
    if from_logits:
        values = -y * jax.nn.log_sigmoid(p) - (1.0 - y) * jax.nn.log_sigmoid(-p)
    else:
        p = clipped(p)
        values = -(y * jnp.log(p) + (1.0 - y) * jnp.log(1.0 - p))
    return jnp.mean(values, axis=axis)


@registry.add("bce", "BCE")
class BinaryCrossentropy(Smoothed, of=binary_crossentropy):
    """For binary labels, (batch, ..., n): `mean(-y log(p) - (1 - y) log(1 - p))` over `axis`.

    >>> BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: whether the predictions are logits, to which a sigmoid is applied. If False they are
            probabilities, and are clipped to 1e-7 ... 1 - 1e-7.
        label_smoothing: the labels become `(1 - label_smoothing) * y + label_smoothing / 2`.
    """


@user_facing
def categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    """The values of `CategoricalCrossentropy`: (batch, ..., classes) -> (batch, ...)."""
    y, p = one_hot(y_true, y_pred, axis)
    y = smoothed(y, label_smoothing, y.shape[-1])  # Keras counts the classes on the last axis, whatever `axis` is
    return -jnp.sum(y * _log_probabilities(p, from_logits, axis), axis=axis)


@registry.add()
class CategoricalCrossentropy(Smoothed, of=categorical_crossentropy):
    """For one-hot labels, (batch, ..., classes): `-sum(y log(p))` over `axis`.

    >>> CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: whether the predictions are logits, to which a softmax is applied. If False they are
            probabilities, and are divided by their sum.
        label_smoothing: the labels become `(1 - label_smoothing) * y + label_smoothing / classes`.
    """


@user_facing
def sparse_categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Array:
    """The values of `SparseCategoricalCrossentropy`: (batch, ...) and (batch, ..., classes) -> (batch, ...)."""
    y, p = class_numbers(y_true, y_pred, axis)
    if ignore_class is not None:
        keep = y != ignore_class
        p = jnp.where(jnp.expand_dims(keep, axis), p, 1)  # so that an ignored prediction gives no NaN in the gradient
        y = jnp.where(keep, y, -1)
    if from_logits:
        values = of_class(jax.nn.log_softmax(p, axis), y, axis)
    else:  # choosing first needs one logarithm a row, not one a class, and compiles in two thirds of the time
        values = jnp.log(clipped(of_class(p, y, axis) / jnp.sum(p, axis)))
    return jnp.where((y >= 0) & (y < p.shape[axis]), -values, 0)


@registry.add()
class SparseCategoricalCrossentropy(Formula, of=sparse_categorical_crossentropy):
    """For class numbers, (batch, ...), and predictions (batch, ..., classes): `-log(p[y])`.

    >>> SparseCategoricalCrossentropy()([1, 0], [[0.5, 0.5], [0.5, 0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: whether the predictions are logits, to which a softmax is applied. If False they are
            probabilities, and are divided by their sum.
        ignore_class: targets of this class do not count, and the mean is taken over the others.
        axis: the axis of the classes in the predictions.
    """

    from_logits: bool = setting(flag, default=False)
    ignore_class: int | None = setting(optional(integer), default=None)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    axis: int = setting(integer, default=-1)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")

    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"dtype", "axis"})

    def _lamina_counted(self, y_true: Array, values: Array) -> Array | None:
        return None if self.ignore_class is None else y_true.reshape(values.shape) != self.ignore_class


def kind_of(y_shape: Shape, output_shape: Shape) -> str:
    """Keras's rule for "accuracy" and "crossentropy": the shapes choose binary, sparse_categorical or categorical."""
    if output_shape[-1] == 1:
        return "binary"
    numbers = len(y_shape) < len(output_shape) or y_shape[-1] == 1
    return "sparse_categorical" if numbers else "categorical"


@registry.add("ce")
class Crossentropy(BuiltIn):
    """The binary, sparse categorical or categorical crossentropy, chosen by the shapes of targets and predictions.

    >>> Crossentropy()([1, 0], [[0.5, 0.5], [0.5, 0.5]])
    Array(0.6931472, dtype=float32)

    Args:
        from_logits: whether the predictions are logits, to which a sigmoid or softmax is applied, or probabilities.
    """

    from_logits: bool = setting(flag, default=False)
    _lamina_reduction: Reduction = setting(reduction_word, default="sum_over_batch_size", alias="reduction")
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_precision: DType = setting(precision, default=None, alias="dtype")

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return fitting(self, y_true.shape, y_pred.shape).call(y_true, y_pred)


def fitting(loss: Crossentropy, y_shape: Shape, output_shape: Shape) -> Loss:
    """The crossentropy for these shapes (both with the batch axis), with the settings of `loss`.

    >>> fitting(Crossentropy(), (None, 1), (None, 3))
    SparseCategoricalCrossentropy(name='crossentropy')
    """
    kind: type[Loss] = registry.find(f"{kind_of(y_shape, output_shape)}_crossentropy")
    return kind(**loss.get_config())


def one_hot(y_true: ArrayLike, y_pred: ArrayLike, axis: int) -> tuple[Array, Array]:
    """One-hot targets and predictions as floats of one shape; class numbers are an error."""
    y, p = floats(y_true, y_pred)
    _need_classes(y, p, axis)
    if y.ndim < p.ndim or y.shape[axis] == 1:
        numbers = "For class numbers take the loss 'sparse_categorical_crossentropy', or encode them with "
        raise unfit(y, p, f"{numbers}keras.utils.to_categorical(y, {p.shape[axis]}).")
    return matched(y, p)


def class_numbers(y_true: ArrayLike, y_pred: ArrayLike, axis: int) -> tuple[Array, Array]:
    """Class numbers, int32, and predictions as floats; the predictions have one more axis, that of the classes."""
    y, p = as_array(y_true), floating(y_pred)
    _need_classes(y, p, axis)
    if y.shape == p.shape:
        raise unfit(y, p, "With a column for each class, take the loss 'categorical_crossentropy', or y.argmax(-1).")
    if y.ndim == p.ndim and y.shape[axis] == 1:
        y = jnp.squeeze(y, axis)
    axis = axis % p.ndim
    wanted = p.shape[:axis] + p.shape[axis + 1 :]
    if y.shape != wanted:
        raise unfit(y, p, f"One class number for each was expected: {wanted}.")
    return y.astype("int32"), p


def of_class(p: Array, y: Array, axis: int) -> Array:
    """The prediction for the class that each target names; 0 if there is no such class."""
    number = jax.lax.broadcasted_iota("int32", p.shape, axis % p.ndim)
    return jnp.sum(jnp.where(number == jnp.expand_dims(y, axis), p, 0), axis)


def smoothed(y: Array, label_smoothing: float, classes: int) -> Array:
    return y * (1.0 - label_smoothing) + label_smoothing / classes if label_smoothing else y


def _log_probabilities(y_pred: Array, from_logits: bool, axis: int) -> Array:
    """log(softmax) of logits, or the log of predictions that are divided by their sum and clipped."""
    return jax.nn.log_softmax(y_pred, axis) if from_logits else jnp.log(shares(y_pred, axis))


def shares(y_pred: Array, axis: int) -> Array:
    """The predictions divided by their sum, and clipped to 1e-7 ... 1 - 1e-7."""
    return clipped(y_pred / jnp.sum(y_pred, axis, keepdims=True))


def clipped(p: Array) -> Array:
    return jnp.clip(p, dtypes.epsilon(), 1.0 - dtypes.epsilon())


def _need_classes(y_true: Array, y_pred: Array, axis: int) -> None:
    if y_pred.ndim == 0 or y_pred.shape[axis] == 1:
        raise unfit(
            y_true,
            y_pred,
            "A categorical crossentropy needs an output for each class: end the stack with "
            "Dense(n, activation='softmax').\nFor yes or no: Dense(1, activation='sigmoid') and 'binary_crossentropy'.",
        )
