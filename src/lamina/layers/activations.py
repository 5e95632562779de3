"""Activations as layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import jax

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer, weight_from_settings
from lamina._layer.specs import InputSpec
from lamina._settings.arguments import ConstraintSetting, InitializerSetting, RegularizerSetting
from lamina._settings.converters import integer, number, optional
from lamina._settings.settings import Converted, setting
from lamina.errors import ArgumentError, ShapeError


class ReLU(Layer):
    """Sets every element below `threshold` to 0 and leaves the others unchanged; the shape stays the same.

    `min(x, max_value)` where `x >= threshold`, else `negative_slope * (x - threshold)`.

    >>> ReLU(max_value=1.0)(jax.numpy.array([[-1.0, 0.5, 3.0]]))
    Array([[0. , 0.5, 1. ]], dtype=float32)

    Args:
        max_value: the greatest value of the output; None for no limit.
        negative_slope: the slope below the threshold.
        threshold: the value of x below which the slope is `negative_slope`.
    """

    max_value: float | None = setting(optional(number), default=None)
    negative_slope: float = setting(number, default=0.0)
    threshold: float = setting(number, default=0.0)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_value", "negative_slope", "threshold"):
            if (getattr(self, name) or 0) < 0:
                raise ArgumentError(f"ReLU({name}={getattr(self, name)}): expected a number of at least 0.")

    def call(self, x: Array) -> Array:
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """Returns `x` where it is positive, else `negative_slope * x`; the shape stays the same.

    >>> LeakyReLU()(jax.numpy.array([[-1.0, 2.0]]))
    Array([[-0.3,  2. ]], dtype=float32)

    Args:
        negative_slope: the slope below 0; its default is 0.3, while that of `activations.leaky_relu` is 0.2.
    """

    negative_slope: float = setting(number, default=0.3)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.negative_slope < 0:
            raise ArgumentError(f"LeakyReLU(negative_slope={self.negative_slope}): expected a number of at least 0.")

    def call(self, x: Array) -> Array:
        return activations.leaky_relu(x, self.negative_slope)


def axes(value: object) -> int | Sequence[int]:
    """One axis, or several axes."""
    if not isinstance(value, (tuple, list)):
        return integer(value)
    if not value:
        raise ArgumentError("expected an axis, or several, got none.")
    return type(value)(integer(axis) for axis in value)


class Softmax(Layer):
    """Makes the elements along `axis` positive with sum 1: `exp(x) / sum(exp(x))`; the shape stays the same.

    Elements at which the mask is False get the value 0.

    >>> Softmax()(jax.numpy.zeros((1, 4)))
    Array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)

    Args:
        axis: the axis, or several, over whose elements the sum is 1.
    """

    axis: int | Sequence[int] = setting(axes, default=-1)

    supports_masking: ClassVar[bool] = True

    def call(self, x: Array, mask: Array | None = None) -> Array:
        if mask is not None:
            mask = _kept(mask, x)
            x = jax.numpy.where(mask, x, jax.numpy.asarray(-3e4 if x.dtype == "float16" else -1e9, x.dtype))
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        if len(axes) > 1:
            y = jax.numpy.exp(x - jax.scipy.special.logsumexp(x, axis=axes, keepdims=True))
        else:
            y = activations.softmax(x, axis=axes[0])
        return y if mask is None else jax.numpy.where(mask, y, jax.numpy.zeros((), y.dtype))


def _kept(mask: Array | None, x: Array) -> Array:
    """The mask, broadcast to the shape of x, that says which elements count."""
    mask = jax.numpy.asarray(mask)
    pairs = zip(mask.shape[::-1], x.shape[::-1], strict=False)
    if mask.ndim > x.ndim or any(given not in (1, size) for given, size in pairs):
        raise ShapeError(
            f"expects a mask that can be broadcast to its input {x.shape}, got {mask.shape}. "
            "Without a mask: Activation('softmax')"
        )
    kept: Array = mask if mask.dtype == bool else mask > jax.numpy.asarray(0.5, mask.dtype)
    return kept


class ELU(Layer):
    """Returns `x` where it is positive, else `alpha * (exp(x) - 1)`; the shape stays the same.

    >>> ELU()(jax.numpy.array([[-1.0, 2.0]])).round(3)
    Array([[-0.632,  2.   ]], dtype=float32)

    Args:
        alpha: the output approaches -alpha for very negative x.
    """

    alpha: float = setting(number, default=1.0)

    supports_masking: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        return activations.elu(x, self.alpha)


def _axes(value: object) -> list[int]:
    return [integer(axis) for axis in (value if isinstance(value, (tuple, list)) else [value])]


class PReLU(Layer):
    """Returns `x` where it is positive, else `alpha * x`; alpha has one weight for each element of a sample.

    >>> PReLU("ones")(jax.numpy.array([[-1.0, 2.0]]))
    Array([[-1.,  2.]], dtype=float32)

    Args:
        alpha_initializer: the initial values of alpha.
        alpha_regularizer: a penalty on alpha, added to the loss.
        alpha_constraint: applied to alpha after each step of training.
        shared_axes: the axes along which all elements have one alpha, counted with the batch axis as 0: `[1, 2]` for
            one alpha for each channel of an image.

    Source: He et al., 2015, https://arxiv.org/abs/1502.01852
    """

    alpha_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    alpha_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    alpha_constraint: ConstraintSetting = setting(constraints.get, default=None)
    shared_axes: Converted[int | Sequence[int] | None, list[int] | None] = setting(optional(_axes), default=None)

    supports_masking: ClassVar[bool] = True

    def build(self, input_shape: Shape) -> None:
        shared = self.shared_axes or []
        if any(not 1 <= axis < len(input_shape) for axis in shared):
            raise ShapeError(f"has shared_axes={shared}, and expects axes from 1 to {len(input_shape) - 1}")
        sizes = {axis: size for axis, size in enumerate(input_shape) if axis and axis not in shared}
        self.alpha = weight_from_settings(self, "alpha", [sizes.get(axis, 1) for axis in range(1, len(input_shape))])
        self.input_spec = InputSpec(ndim=len(input_shape), axes=sizes)

    def call(self, x: Array) -> Array:
        return activations.relu(x) - self.alpha * activations.relu(-x)  # type: ignore[no-any-return]
