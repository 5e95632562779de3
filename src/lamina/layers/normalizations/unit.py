"""Layers that divide by a norm: of each sample, or of a kernel."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina import initializers
from lamina._base.converters import number, positive
from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, Shape
from lamina._layer.layer import Layer
from lamina.errors import ArgumentError
from lamina.layers.normalizations.batch import axis, features
from lamina.layers.wrappers import Wrapper

Array = jax.Array


class RMSNormalization(Layer):
    """Divides every sample by the root of its mean square along `axis`: `x / sqrt(mean(x²) + epsilon) * scale`.

    Source: Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467

    >>> RMSNormalization()(jnp.array([[3.0, -3.0]])).round(2)
    Array([[ 1., -1.]], dtype=float32)
    """

    axis: Any = setting(axis, default=-1)
    epsilon: float = setting(number, default=1e-6)

    def build(self, input_shape: Shape) -> None:
        axes = features(self.axis, input_shape)
        self.scale = self.add_weight([input_shape[axis] for axis in axes], "ones")
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis] for axis in axes})

    def call(self, x: Array) -> Array:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        axes = tuple(features(self.axis, x.shape))
        mean = jnp.mean(jnp.square(wide), axes, keepdims=True)
        scale = self.scale.astype(wide.dtype).reshape([n if i in axes else 1 for i, n in enumerate(x.shape)])
        return (wide * lax.rsqrt(mean + jnp.asarray(self.epsilon, wide.dtype)) * scale).astype(x.dtype)  # type: ignore[no-any-return]


class UnitNormalization(Layer):
    """Divides every sample by its Euclidean length along `axis`: `x / max(sqrt(sum(x²)), 1e-12)`.

    >>> UnitNormalization()(jnp.array([[3.0, 4.0]]))
    Array([[0.6, 0.8]], dtype=float32)
    """

    axis: Any = setting(axis, default=-1)

    supports_masking: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        axes = tuple(features(self.axis, x.shape))
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        squared = jnp.sum(jnp.square(wide), axes, keepdims=True)
        # The root's gradient at 0 is infinite, hence the floor below it.
        return (wide * lax.rsqrt(jnp.maximum(squared, jnp.asarray(1e-24, wide.dtype)))).astype(x.dtype)


class SpectralNormalization(Wrapper):
    """Wraps a layer and divides its kernel by the kernel's largest singular value, so that it stretches no input.

    The value is followed from step to step by `power_iterations` with the vector `vector_u`: training moves it on,
    and inference divides as well, where Keras on JAX infers with the undivided kernel.
    Source: Miyato et al., 2018, https://arxiv.org/abs/1802.05957

    >>> from lamina.layers import Dense
    >>> SpectralNormalization(Dense(1, kernel_initializer="ones"))(jnp.ones((1, 4))).round(3)
    Array([[2.]], dtype=float32)
    """

    power_iterations: int = setting(positive, default=1)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        names = [name for name in ("kernel", "embeddings") if hasattr(self.layer, name)]
        if not names:
            raise ArgumentError(f"SpectralNormalization wraps a layer with a kernel; {self.layer.name} has none.")
        self._divided = names[0]
        kernel = getattr(self.layer, self._divided)
        start = initializers.TruncatedNormal(stddev=0.02)
        self.vector_u = self.add_weight((1, kernel.shape[-1]), start, kernel.dtype, trainable=False)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})

    def call(self, x: Array, training: bool = False, mask: Any = None) -> Array:
        kernel = getattr(self.layer, self._divided)
        matrix = kernel.reshape((-1, kernel.shape[-1]))  # (n, units)
        u = self.vector_u.astype(matrix.dtype)  # (1, units)
        for _ in range(self.power_iterations):
            v = _unit(lax.stop_gradient(u @ matrix.T))  # (1, n)
            u = _unit(lax.stop_gradient(v @ matrix))
        stretch = (v @ matrix @ u.T)[0, 0]
        if training:
            self.vector_u.assign(jnp.where(stretch == 0, self.vector_u.value, u.astype(self.vector_u.value.dtype)))
        setattr(self.layer, self._divided, kernel / jnp.where(stretch == 0, jnp.ones_like(stretch), stretch))
        y: Array = self.layer(x, training=training, mask=mask)
        setattr(self.layer, self._divided, kernel)
        return y


def _unit(vector: Array) -> Array:
    return vector * lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(vector)), jnp.asarray(1e-14, vector.dtype)))
