"""Normalization of a layer's kernel by its largest singular value."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from lamina import initializers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.converters import up_to
from lamina._settings.settings import setting
from lamina.errors import ArgumentError
from lamina.layers.wrappers import Wrapper


class SpectralNormalization(Wrapper):
    """Wraps a layer and divides its kernel by the kernel's largest singular value in each training step.

    The divided kernel becomes the value of the wrapped layer's weight: the optimizer updates it, and inference uses it
    unchanged. The singular value is found by power iteration. In each step the iteration starts from the last vector,
    `vector_u`.

    >>> from lamina.layers import Dense
    >>> layer = SpectralNormalization(Dense(1, kernel_initializer="ones"))
    >>> layer(jnp.ones((1, 4)), training=True).round(3), layer.kernel[0].round(3)
    (Array([[2.]], dtype=float32), Array([0.5], dtype=float32))

    Args:
        power_iterations: the number of iterations in each training step.

    Source: Miyato et al., 2018, https://arxiv.org/abs/1802.05957
    """

    power_iterations: int = setting(up_to(1000), default=1)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        name = _kernel_name(self.layer)
        if name is None:
            raise ArgumentError(f"SpectralNormalization wraps a layer with a kernel; {self.layer.name} has none.")
        self.kernel = getattr(self.layer, name)
        start = initializers.TruncatedNormal(stddev=0.02)
        self.vector_u = self.add_weight((1, self.kernel.shape[-1]), start, self.kernel.dtype, trainable=False)
        self._lamina.weights = (self.kernel, self.vector_u)  # in Keras's order, before the layer's other weights
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})

    def call(self, x: Array, training: bool = False, mask: Array | None = None) -> Array:
        if training:
            name, now = _kernel_name(self.layer), self._lamina.running
            assert name is not None and now is not None
            now.replace(self.layer, name, lambda kernel: _divided(self, kernel))
        y: Array = self.layer(x, training=training, mask=mask)
        return y


def _kernel_name(layer: Layer) -> str | None:
    return next((name for name in ("kernel", "embeddings") if hasattr(layer, name)), None)


def _divided(layer: SpectralNormalization, kernel: Array) -> Array:
    """The kernel divided by its largest singular value; `vector_u` becomes its right singular vector."""
    matrix = kernel.reshape((-1, kernel.shape[-1]))  # (n, units)
    u = layer.vector_u.astype(matrix.dtype)  # (1, units)
    for _ in range(layer.power_iterations):
        v = _unit(lax.stop_gradient(u @ matrix.T))  # (1, n)
        u = _unit(lax.stop_gradient(v @ matrix))
    stretch = (v @ matrix @ u.T)[0, 0]
    layer.vector_u.assign(jnp.where(stretch == 0, layer.vector_u.value, u.astype(layer.vector_u.value.dtype)))
    return kernel / jnp.where(stretch == 0, jnp.ones_like(stretch), stretch)


def _unit(vector: Array) -> Array:
    return vector * lax.rsqrt(jnp.maximum(jnp.sum(jnp.square(vector)), jnp.asarray(1e-14, vector.dtype)))
