"""Normalization with the statistics of each sample."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp

from lamina import constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._messages.tracebacks import warn
from lamina._settings.arguments import Config, ConstraintSetting, InitializerSetting, RegularizerSetting
from lamina._settings.converters import flag, integer, number
from lamina._settings.settings import setting
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.normalizations.scaling import Axes, add_scale, feature_axes, kept_sizes, one_or_more, scaled, widened


class _OfSamples(Layer):
    """Base of the layers here. Their input is not cast: in float16, values above 65504 would become infinity."""

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.autocast, self.gamma, self.beta = False, None, None

    def _lamina_arguments(self) -> Config:
        return {name: value for name, value in super()._lamina_arguments().items() if name != "autocast"}

    def _lamina_wide(self, x: Array) -> Array:
        """`x` in at least float32; in float64 for a layer that computes in it."""
        return x.astype(jnp.promote_types(widened(x).dtype, self.compute_dtype))


class LayerNormalization(_OfSamples):
    """Normalizes each sample to mean 0 and variance 1 along `axis`, then scales and shifts it.

    `(x - mean(x)) / sqrt(var(x) + epsilon) * gamma + beta`; gamma and beta have the sizes of `axis`.
    The shape stays the same.

    >>> LayerNormalization()(jnp.array([[1.0, 3.0]])).round(2)
    Array([[-1.,  1.]], dtype=float32)

    Args:
        axis: the axis, or several axes, over which mean and variance are computed together.
        epsilon: a small number added to the variance, which prevents a division by 0.
        center: whether beta is added.
        scale: whether the result is multiplied by gamma.
        beta_initializer, gamma_initializer: the initial values of beta and of gamma.
        beta_regularizer, gamma_regularizer: penalties on beta and on gamma, added to the loss.
        beta_constraint, gamma_constraint: applied to beta and to gamma after each step of training.
        rms_scaling: whether x is only divided by the standard deviation and multiplied by gamma, as in old models. For
            the root mean square use RMSNormalization.

    Source: Ba et al., 2016, https://arxiv.org/abs/1607.06450
    """

    axis: Axes = setting(one_or_more, default=-1)
    epsilon: float = setting(number, default=0.001)
    center: bool = setting(flag, default=True)
    scale: bool = setting(flag, default=True)
    beta_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    gamma_initializer: InitializerSetting = setting(initializers.get, default="ones")
    beta_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    gamma_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    beta_constraint: ConstraintSetting = setting(constraints.get, default=None)
    gamma_constraint: ConstraintSetting = setting(constraints.get, default=None)
    rms_scaling: bool = setting(flag, default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rms_scaling:
            warn(f"{self.name} divides by the deviation, not by the root mean square as RMSNormalization does.")

    def build(self, input_shape: Shape) -> None:
        alone = self.rms_scaling
        add_scale(self, kept_sizes(self, input_shape), self.scale or alone, self.center and not alone)

    def call(self, x: Array) -> Array:
        wide, axes = self._lamina_wide(x), tuple(feature_axes(self.axis, x.shape))
        mean, variance = jnp.mean(wide, axes, keepdims=True), jnp.var(wide, axes, keepdims=True)
        mean = jnp.zeros_like(mean) if self.rms_scaling else mean
        shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
        return scaled(self, wide, mean, variance, shape).astype(self.compute_dtype)


def _groups(value: object) -> int:
    if integer(value) != -1 and integer(value) < 1:
        raise ArgumentError(f"expected a whole number of at least 1, or -1 for one group per channel, got {value!r}.")
    return integer(value)


class GroupNormalization(_OfSamples):
    """Normalizes each group of channels of each sample to mean 0 and variance 1, then scales and shifts it.

    `(x - mean(group)) / sqrt(var(group) + epsilon) * gamma + beta`; a group spans all axes but the batch axis. The
    shape stays the same; gamma and beta have the size of `axis`.

    >>> GroupNormalization(groups=2)(jnp.array([[1.0, 3.0, 10.0, 30.0]])).round(2)
    Array([[-1.,  1., -1.,  1.]], dtype=float32)

    Args:
        groups: the number of groups, a divisor of the number of channels. -1 means one group for each channel, which is
            called instance normalization.
        axis: the axis of the channels.
        epsilon: a small number added to the variance, which prevents a division by 0.
        center: whether beta is added.
        scale: whether the result is multiplied by gamma.
        beta_initializer, gamma_initializer: the initial values of beta and of gamma.
        beta_regularizer, gamma_regularizer: penalties on beta and on gamma, added to the loss.
        beta_constraint, gamma_constraint: applied to beta and to gamma after each step of training.

    Source: Wu and He, 2018, https://arxiv.org/abs/1803.08494
    """

    groups: int = setting(_groups, default=32)
    axis: int = setting(integer, default=-1)
    epsilon: float = setting(number, default=0.001)
    center: bool = setting(flag, default=True)
    scale: bool = setting(flag, default=True)
    beta_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    gamma_initializer: InitializerSetting = setting(initializers.get, default="ones")
    beta_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    gamma_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    beta_constraint: ConstraintSetting = setting(constraints.get, default=None)
    gamma_constraint: ConstraintSetting = setting(constraints.get, default=None)

    def build(self, input_shape: Shape) -> None:
        (axis,) = feature_axes(self.axis, input_shape)
        channels = input_shape[axis]
        if channels is not None and channels % self.groups:
            raise ShapeError(f"expects a number of channels that {self.groups} groups divide, got {channels}")
        add_scale(self, (channels,), self.scale, self.center)
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, x: Array) -> Array:
        axis = self.axis % x.ndim
        groups = x.shape[axis] if self.groups == -1 else self.groups
        parted = (groups, x.shape[axis] // groups)
        wide = self._lamina_wide(x).reshape((*x.shape[:axis], *parted, *x.shape[axis + 1 :]))
        others = tuple(i for i in range(1, wide.ndim) if i != axis)  # all axes but the batch axis and the groups
        mean, variance = jnp.mean(wide, others, keepdims=True), jnp.var(wide, others, keepdims=True)
        shape = [1] * axis + [*parted] + [1] * (x.ndim - axis - 1)
        return scaled(self, wide, mean, variance, shape).astype(self.compute_dtype).reshape(x.shape)
