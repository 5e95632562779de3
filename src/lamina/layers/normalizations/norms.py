"""Layers that divide each sample by a norm."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer
from lamina._settings.converters import number
from lamina._settings.settings import setting
from lamina.layers.normalizations.scaling import Axes, feature_axes, kept_sizes, one_or_more, widened


class RMSNormalization(Layer):
    """Divides each sample by the root of its mean square along `axis`, and multiplies it by a weight.

    `x / sqrt(mean(x²) + epsilon) * scale`; scale has the sizes of `axis`, and the shape of x stays the same.

    >>> RMSNormalization()(jnp.array([[3.0, -3.0]])).round(2)
    Array([[ 1., -1.]], dtype=float32)

    Args:
        axis: the axis, or several axes, over which the mean is taken.
        epsilon: a small number added to the mean square, which prevents a division by 0.

    Source: Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467
    """

    axis: Axes = setting(one_or_more, default=-1)
    epsilon: float = setting(number, default=1e-6)

    _lamina_makes_floats: ClassVar[bool] = True

    def build(self, input_shape: Shape) -> None:
        self.scale = self.add_weight(kept_sizes(self, input_shape), "ones")

    def call(self, x: Array) -> Array:
        wide, axes = widened(x), tuple(feature_axes(self.axis, x.shape))
        mean = jnp.mean(jnp.square(wide), axes, keepdims=True)
        scale: Array = self.scale.astype(wide.dtype).reshape([n if i in axes else 1 for i, n in enumerate(x.shape)])
        return (wide * lax.rsqrt(mean + jnp.asarray(self.epsilon, wide.dtype)) * scale).astype(x.dtype)


class UnitNormalization(Layer):
    """Divides each sample by its Euclidean length along `axis`: `x / max(sqrt(sum(x²)), 1e-12)`.

    >>> UnitNormalization()(jnp.array([[3.0, 4.0]]))
    Array([[0.6, 0.8]], dtype=float32)

    Args:
        axis: the axis, or several axes, over which the sum is taken.
    """

    axis: Axes = setting(one_or_more, default=-1)

    supports_masking: ClassVar[bool] = True
    _lamina_makes_floats: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        wide, axes = widened(x), tuple(feature_axes(self.axis, x.shape))
        squared = jnp.sum(jnp.square(wide), axes, keepdims=True)
        # The gradient of the square root is infinite at 0, so its argument has a lower limit.
        return (wide * lax.rsqrt(jnp.maximum(squared, jnp.asarray(1e-24, wide.dtype)))).astype(x.dtype)
