"""Normalization with the statistics of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax.numpy as jnp

from lamina import constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._kernels.blocks import cast
from lamina._kernels.convolution import rescaled
from lamina._kernels.normalization import normalize
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.arguments import ConstraintSetting, InitializerSetting, RegularizerSetting
from lamina._settings.converters import flag, integer, number, optional, rate
from lamina._settings.settings import Converted, setting, value_of
from lamina._weights.weight import under_way
from lamina.errors import ShapeError
from lamina.layers.normalizations.renorm import add_statistics, clipping, move, renormalized
from lamina.layers.normalizations.scaling import add_scale, factor_and_shift, feature_axes, widened


class BatchNormalization(Layer):
    """Normalizes each feature to mean 0 and variance 1 over the batch, then scales and shifts it.

    Training computes `(x - mean(x)) / sqrt(var(x) + epsilon) * gamma + beta`, and updates the moving mean and variance
    by `moving = momentum * moving + (1 - momentum) * batch`. Inference, and a frozen layer (`trainable = False`), use
    the moving mean and variance instead of the batch's. Steps whose mask is False do not count in the statistics. The
    shape stays the same.

    With `renorm`, training computes `((x - mean(x)) / sqrt(var(x) + epsilon) * r + d) * gamma + beta`, where r and d
    turn the batch's statistics into moving ones: `r = stddev / renorm_stddev` and
    `d = (mean - renorm_mean) / renorm_stddev`, without a gradient.

    >>> BatchNormalization()(jnp.array([[1.0], [3.0]]), training=True).round(2)
    Array([[-1.],
           [ 1.]], dtype=float32)

    Args:
        axis: the axis of the features.
        momentum: the fraction of the moving mean and variance that each step keeps.
        epsilon: a small number added to the variance, which prevents a division by 0.
        center: whether beta is added.
        scale: whether the result is multiplied by gamma.
        beta_initializer, gamma_initializer: the initial values of beta and of gamma.
        moving_mean_initializer, moving_variance_initializer: the initial values of the moving mean and variance.
        beta_regularizer, gamma_regularizer: penalties on beta and on gamma, added to the loss.
        beta_constraint, gamma_constraint: applied to beta and to gamma after each step of training.
        renorm: whether to use batch renormalization.
        renorm_clipping: limits of r and d, {"rmin": ..., "rmax": ..., "dmax": ...}; each may be omitted.
        renorm_momentum: the fraction of `renorm_mean` and `renorm_stddev` that each step keeps.
        synchronized: whether devices share their statistics. It has no effect, since a program runs on one device.

    Sources: Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167; Ioffe, 2017, https://arxiv.org/abs/1702.03275
    """

    axis: int = setting(integer, default=-1)
    momentum: float = setting(rate, default=0.99)
    epsilon: float = setting(number, default=0.001)
    center: bool = setting(flag, default=True)
    scale: bool = setting(flag, default=True)
    beta_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    gamma_initializer: InitializerSetting = setting(initializers.get, default="ones")
    moving_mean_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    moving_variance_initializer: InitializerSetting = setting(initializers.get, default="ones")
    beta_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    gamma_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    beta_constraint: ConstraintSetting = setting(constraints.get, default=None)
    gamma_constraint: ConstraintSetting = setting(constraints.get, default=None)
    renorm: bool = setting(flag, default=False)
    renorm_clipping: Converted[Mapping[str, float | None] | None, dict[str, float]] = setting(
        optional(clipping), default=None
    )
    renorm_momentum: float = setting(rate, default=0.99)
    synchronized: bool = setting(flag, default=False)

    supports_masking: ClassVar[bool] = True
    _lamina_makes_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gamma: Any = None
        self.beta: Any = None
        self.moving_stddev = self.renorm_mean = self.renorm_stddev = None
        if self.renorm:
            self.renorm_clipping = value_of(self, "renorm_clipping") or {}

    def build(self, input_shape: Shape) -> None:
        (axis,) = feature_axes(self.axis, input_shape)
        shape = (input_shape[axis],)
        add_scale(self, shape, self.scale, self.center)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, autocast=False)
        self.moving_variance = self.add_weight(shape, self.moving_variance_initializer, trainable=False, autocast=False)
        if self.renorm:
            add_statistics(self, shape)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def call(self, x: Array, training: bool = False, mask: Array | None = None) -> Array:
        wide, axis = widened(x), self.axis % x.ndim
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        if not (training and self.trainable):
            mean, variance = (w.astype(wide.dtype) for w in (self.moving_mean, self.moving_variance))
            return rescaled(x, *factor_and_shift(self, mean, variance, [-1]), axis)
        gamma = self.gamma.astype(wide.dtype) if self.scale else jnp.ones(x.shape[axis], wide.dtype)
        beta = self.beta.astype(wide.dtype) if self.center else jnp.zeros(x.shape[axis], wide.dtype)
        rows = scope.rows if (scope := under_way.get()) else None
        if mask is None and not self.renorm:
            y, mean, variance = normalize(wide, gamma, beta, axis, self.epsilon, rows)
            _move_moments(self, mean, variance)
            return cast(y, x.dtype)
        if rows is not None:
            counts = jnp.arange(len(x)) < rows
            mask = counts if mask is None else mask.astype(bool) & counts.reshape([-1] + [1] * (mask.ndim - 1))
        mean, variance = _moments(wide, axis, mask)
        deviation = jnp.sqrt(variance + jnp.asarray(self.epsilon, wide.dtype))  # (n,)
        if self.renorm:
            gamma, beta = renormalized(self, mean, deviation, gamma, beta)
        else:
            _move_moments(self, mean, variance)
        factor = gamma / deviation
        y = wide * factor.reshape(shape) + (beta - mean * factor).reshape(shape)
        return y.astype(x.dtype)


def _move_moments(layer: BatchNormalization, mean: Array, variance: Array) -> None:
    move(layer.moving_mean, mean, layer.momentum)
    move(layer.moving_variance, variance, layer.momentum)


def _moments(x: Array, axis: int, mask: Array | None) -> tuple[Array, Array]:
    """Mean and variance over all axes but `axis`, for the steps whose mask is True.  -> (n,), (n,)"""
    others = tuple(i for i in range(x.ndim) if i != axis)
    if mask is None:
        return jnp.mean(x, others), jnp.var(x, others)
    if mask.ndim >= x.ndim or any(one not in (1, size) for one, size in zip(mask.shape, x.shape, strict=False)):
        raise ShapeError(f"expects a mask that begins as its input {x.shape} does, got {mask.shape}")
    kept = jnp.broadcast_to(mask.astype(bool).reshape((*mask.shape, *[1] * (x.ndim - mask.ndim))), x.shape)
    zero = jnp.zeros((), x.dtype)
    count = jnp.sum(kept.astype(x.dtype), others) + jnp.asarray(1e-7, x.dtype)
    mean = jnp.sum(jnp.where(kept, x, zero), others) / count
    centred = x - mean.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return mean, jnp.sum(jnp.where(kept, jnp.square(centred), zero), others) / count
