"""Layers that bring their input to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina import constraints, initializers, regularizers
from lamina.errors import ShapeError
from lamina.kernels.normalization import normalize
from lamina.layer import Layer
from lamina.settings import flag, integer, number, rate, setting
from lamina.shapes import InputSpec, Shape

Array = jax.Array


class BatchNormalization(Layer):
    """Brings every feature (`axis`) to mean 0 and variance 1 over the batch, then scales and shifts it.

    Training: `(x - mean(x)) / sqrt(var(x) + epsilon) * gamma + beta`, and the moving statistics follow,
    `moving = momentum * moving + (1 - momentum) * batch`. Otherwise, and where the layer is frozen
    (`trainable = False`), the moving statistics stand in for the batch's.
    Source: Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167

    >>> BatchNormalization()(jnp.array([[1.0], [3.0]]), training=True).round(2)
    Array([[-1.],
           [ 1.]], dtype=float32)
    """

    axis: int = setting(integer, default=-1)
    momentum: float = setting(rate, default=0.99)
    epsilon: float = setting(number, default=0.001)
    center: bool = setting(flag, default=True)
    scale: bool = setting(flag, default=True)
    beta_initializer: Any = setting(initializers.get, default="zeros")
    gamma_initializer: Any = setting(initializers.get, default="ones")
    moving_mean_initializer: Any = setting(initializers.get, default="zeros")
    moving_variance_initializer: Any = setting(initializers.get, default="ones")
    beta_regularizer: Any = setting(regularizers.get, default=None)
    gamma_regularizer: Any = setting(regularizers.get, default=None)
    beta_constraint: Any = setting(constraints.get, default=None)
    gamma_constraint: Any = setting(constraints.get, default=None)
    synchronized: bool = setting(flag, default=False)

    lacks: ClassVar[dict[str, Any]] = {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}
    supports_masking: ClassVar[bool] = True

    def build(self, input_shape: Shape) -> None:
        if not -len(input_shape) <= self.axis < len(input_shape) or self.axis % len(input_shape) == 0:
            raise ShapeError(f"has axis={self.axis}, which is no feature axis of {input_shape}")
        shape = (input_shape[self.axis],)
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, regularizer=self.gamma_regularizer, constraint=self.gamma_constraint
            )
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, regularizer=self.beta_regularizer, constraint=self.beta_constraint
            )
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, autocast=False)
        self.moving_variance = self.add_weight(shape, self.moving_variance_initializer, trainable=False, autocast=False)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def call(self, x: Array, training: bool = False) -> Array:
        dtype = jnp.promote_types(x.dtype, jnp.float32)  # statistics in at least float32
        axis = self.axis % x.ndim
        features = (x.shape[axis],)
        gamma = self.gamma.astype(dtype) if self.scale else jnp.ones(features, dtype)
        beta = self.beta.astype(dtype) if self.center else jnp.zeros(features, dtype)
        if training and self._trainable:
            y, mean, variance = normalize(x.astype(dtype), gamma, beta, axis, self.epsilon)
            self._follow(mean, variance)
            return y.astype(x.dtype)
        factor = lax.rsqrt(self.moving_variance.astype(dtype) + jnp.asarray(self.epsilon, dtype)) * gamma
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        shift = beta - self.moving_mean.astype(dtype) * factor
        scaled: Array = x.astype(dtype) * factor.reshape(shape) + shift.reshape(shape)
        return scaled.astype(x.dtype)

    def _follow(self, mean: Array, variance: Array) -> None:
        """Move the moving statistics towards those of this batch."""
        for weight, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            keep = jnp.asarray(self.momentum, weight.value.dtype)
            weight.assign(weight * keep + lax.stop_gradient(batch).astype(keep.dtype) * (1 - keep))
