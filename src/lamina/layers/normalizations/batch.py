"""Layers that bring their input to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina import constraints, initializers, regularizers
from lamina._base.converters import flag, integer, number, optional, rate
from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, Shape
from lamina._kernels.normalization import normalize
from lamina._layer.layer import Layer
from lamina.errors import ArgumentError, ShapeError

Array = jax.Array


def axis(value: Any) -> Any:
    """One axis, or a list of them."""
    return [integer(axis) for axis in value] if isinstance(value, (tuple, list)) else integer(value)


def features(axis: Any, shape: Any) -> list[int]:
    """The axes that a setting names, counted from the front, for an array of `shape`."""
    axes = axis if isinstance(axis, list) else [axis]
    if any(not -len(shape) <= each < len(shape) or each % len(shape) == 0 for each in axes):
        raise ShapeError(f"has axis={axis}, which is no feature axis of {tuple(shape)}")
    return sorted(each % len(shape) for each in axes)


def _clipping(value: Any) -> dict[str, float]:
    limits = {name: number(limit) for name, limit in dict(value).items() if limit is not None}
    if limits.keys() - {"rmin", "rmax", "dmax"}:
        raise ArgumentError(f"expected limits called rmin, rmax and dmax, got {value!r}.")
    if limits.get("rmin", 0) > limits.get("rmax", float("inf")) or limits.get("dmax", 0) < 0:
        raise ArgumentError(f"expected rmin <= rmax and dmax >= 0, got {value!r}.")
    return limits


class Scaled(Layer):
    """A layer with a weight `gamma` that scales its features and a weight `beta` that shifts them."""

    epsilon: float = setting(number, default=0.001)
    center: bool = setting(flag, default=True)
    scale: bool = setting(flag, default=True)
    beta_initializer: Any = setting(initializers.get, default="zeros")
    gamma_initializer: Any = setting(initializers.get, default="ones")
    beta_regularizer: Any = setting(regularizers.get, default=None)
    gamma_regularizer: Any = setting(regularizers.get, default=None)
    beta_constraint: Any = setting(constraints.get, default=None)
    gamma_constraint: Any = setting(constraints.get, default=None)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.gamma: Any = None
        self.beta: Any = None

    def _add_scale(self, shape: Any) -> None:
        if None in shape:
            raise ShapeError("needs to know the size of its feature axis")
        for name, wanted in (("gamma", self.scale), ("beta", self.center)):
            if wanted:
                weight = self.add_weight(
                    shape,
                    getattr(self, f"{name}_initializer"),
                    regularizer=getattr(self, f"{name}_regularizer"),
                    constraint=getattr(self, f"{name}_constraint"),
                    autocast=False,
                    name=name,
                )
                setattr(self, name, weight)

    def _affine(self, x: Array, mean: Any, variance: Array, shape: Any) -> Array:
        """`(x - mean) / sqrt(variance + epsilon) * gamma + beta`, gamma and beta taken as of `shape`."""
        factor = lax.rsqrt(variance + jnp.asarray(self.epsilon, x.dtype))
        if self.scale:
            factor = factor * self.gamma.astype(x.dtype).reshape(shape)
        shift = -mean * factor
        if self.center:
            shift = shift + self.beta.astype(x.dtype).reshape(shape)
        y: Array = x * factor + shift
        return y


class BatchNormalization(Scaled):
    """Brings every feature (`axis`) to mean 0 and variance 1 over the batch, then scales and shifts it.

    Training: `(x - mean(x)) / sqrt(var(x) + epsilon) * gamma + beta`, and the moving statistics follow,
    `moving = momentum * moving + (1 - momentum) * batch`. Otherwise, and where the layer is frozen
    (`trainable = False`), the moving statistics stand in for the batch's. Steps that the mask shuts out count in no
    statistic.

    With `renorm`, `(x - mean) / sqrt(var(x) + epsilon) * r + d` is scaled and shifted instead, where r and d, taken as
    constants and kept within `renorm_clipping` = {rmin, rmax, dmax}, lead to what moving statistics would give.
    Sources: Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167; Ioffe, 2017, https://arxiv.org/abs/1702.03275

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
    renorm: bool = setting(flag, default=False)
    renorm_clipping: Any = setting(optional(_clipping), default=None)
    renorm_momentum: float = setting(rate, default=0.99)
    synchronized: bool = setting(flag, default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.moving_stddev: Any = None
        self.renorm_mean: Any = None
        self.renorm_stddev: Any = None
        if self.renorm and self.renorm_clipping is None:
            self.renorm_clipping = {}

    def build(self, input_shape: Shape) -> None:
        (axis,) = features(self.axis, input_shape)
        shape = (input_shape[axis],)
        self._add_scale(shape)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, trainable=False, autocast=False)
        self.moving_variance = self.add_weight(shape, self.moving_variance_initializer, trainable=False, autocast=False)
        if self.renorm:
            deviation = jnp.sqrt(self.moving_variance.value)
            for name, start in (
                ("moving_stddev", deviation),
                ("renorm_mean", self.moving_mean_initializer),
                ("renorm_stddev", deviation),
            ):
                setattr(self, name, self.add_weight(shape, start, trainable=False, autocast=False, name=name))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def call(self, x: Array, training: bool = False, mask: Any = None) -> Array:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))  # statistics in at least float32
        axis = self.axis % x.ndim
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        if not (training and self.trainable):
            mean, variance = (w.astype(wide.dtype).reshape(shape) for w in (self.moving_mean, self.moving_variance))
            return self._affine(wide, mean, variance, shape).astype(x.dtype)
        gamma = self.gamma.astype(wide.dtype) if self.scale else jnp.ones(x.shape[axis], wide.dtype)
        beta = self.beta.astype(wide.dtype) if self.center else jnp.zeros(x.shape[axis], wide.dtype)
        if mask is None and not self.renorm:
            y, mean, variance = normalize(wide, gamma, beta, axis, self.epsilon)
            self._follow(moving_mean=mean, moving_variance=variance)
            return y.astype(x.dtype)
        mean, variance = _moments(wide, axis, mask)
        deviation = jnp.sqrt(variance + jnp.asarray(self.epsilon, wide.dtype))  # (n,)
        if self.renorm:
            gamma, beta = self._renormed(mean, deviation, gamma, beta)
        else:
            self._follow(moving_mean=mean, moving_variance=variance)
        factor = gamma / deviation
        y = wide * factor.reshape(shape) + (beta - mean * factor).reshape(shape)
        return y.astype(x.dtype)

    def _renormed(self, mean: Array, deviation: Array, gamma: Array, beta: Array) -> tuple[Array, Array]:
        """gamma and beta with which the batch comes out as the moving statistics would bring it; these follow it."""
        limits = {name: jnp.asarray(limit, mean.dtype) for name, limit in self.renorm_clipping.items()}
        floor = jnp.sqrt(jnp.asarray(self.epsilon, mean.dtype))
        known = jnp.maximum(self.renorm_stddev.astype(mean.dtype), floor)
        r = jnp.clip(deviation / known, limits.get("rmin"), limits.get("rmax"))
        d = (mean - self.renorm_mean.astype(mean.dtype)) / known
        if "dmax" in limits:
            d = jnp.clip(d, -limits["dmax"], limits["dmax"])
        r, d = lax.stop_gradient((r, d))
        self._follow(self.renorm_momentum, renorm_mean=mean, renorm_stddev=deviation)
        self._follow(moving_mean=mean, moving_stddev=deviation)
        squared = jnp.square(self.moving_stddev.value)
        self.moving_variance.assign(jnp.maximum(squared - jnp.asarray(self.epsilon, squared.dtype), 0))
        return r * gamma, d * gamma + beta

    def _follow(self, momentum: float | None = None, **batch: Array) -> None:
        """Move the statistics of these names towards those of this batch."""
        for name, value in batch.items():
            weight = getattr(self, name)
            keep = jnp.asarray(self.momentum if momentum is None else momentum, weight.value.dtype)
            weight.assign(weight * keep + lax.stop_gradient(value).astype(keep.dtype) * (1 - keep))


def _moments(x: Array, axis: int, mask: Any) -> tuple[Array, Array]:
    """Mean and variance over all axes but `axis`, of what the mask lets through.  -> (n,), (n,)"""
    others = tuple(i for i in range(x.ndim) if i != axis)
    if mask is None:
        return jnp.mean(x, others), jnp.var(x, others)
    if mask.ndim >= x.ndim or mask.shape[1:] != x.shape[1 : mask.ndim]:
        raise ShapeError(f"wants a mask that begins as its input {x.shape} does, got {mask.shape}")
    kept = jnp.broadcast_to(mask.astype(bool).reshape((*mask.shape, *[1] * (x.ndim - mask.ndim))), x.shape)
    zero = jnp.zeros((), x.dtype)
    count = jnp.sum(kept.astype(x.dtype), others) + jnp.asarray(1e-7, x.dtype)
    mean = jnp.sum(jnp.where(kept, x, zero), others) / count
    centred = x - mean.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    return mean, jnp.sum(jnp.where(kept, jnp.square(centred), zero), others) / count


class LayerNormalization(Scaled):
    """Brings every sample to mean 0 and variance 1 along `axis` (one, or several together), then scales and shifts it.

    `(x - mean(x)) / sqrt(var(x) + epsilon) * gamma + beta`; gamma and beta have the sizes of `axis`.
    Source: Ba et al., 2016, https://arxiv.org/abs/1607.06450

    >>> LayerNormalization()(jnp.array([[1.0, 3.0]])).round(2)
    Array([[-1.,  1.]], dtype=float32)
    """

    axis: Any = setting(axis, default=-1)
    epsilon: float = setting(number, default=0.001)

    _lamina_constants: ClassVar[dict[str, Any]] = {"rms_scaling": False}

    def build(self, input_shape: Shape) -> None:
        axes = features(self.axis, input_shape)
        self._add_scale([input_shape[axis] for axis in axes])
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis] for axis in axes})

    def call(self, x: Array) -> Array:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        axes = tuple(features(self.axis, x.shape))
        mean, variance = jnp.mean(wide, axes, keepdims=True), jnp.var(wide, axes, keepdims=True)
        shape = [size if axis in axes else 1 for axis, size in enumerate(x.shape)]
        return self._affine(wide, mean, variance, shape).astype(x.dtype)


def _groups(value: Any) -> int:
    if integer(value) != -1 and integer(value) < 1:
        raise ArgumentError(f"expected a whole number of at least 1, or -1 for a group a channel, got {value!r}.")
    return integer(value)


class GroupNormalization(Scaled):
    """Brings each of `groups` groups of channels of every sample to mean 0 and variance 1, then scales and shifts.

    The channels stand on `axis`; `groups=-1` makes each channel a group, which is called instance normalization.
    Source: Wu and He, 2018, https://arxiv.org/abs/1803.08494

    >>> GroupNormalization(groups=2)(jnp.array([[1.0, 3.0, 10.0, 30.0]])).round(2)
    Array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    groups: int = setting(_groups, default=32)
    axis: int = setting(integer, default=-1)
    epsilon: float = setting(number, default=0.001)

    def build(self, input_shape: Shape) -> None:
        (axis,) = features(self.axis, input_shape)
        channels = input_shape[axis]
        if channels is not None and channels % self.groups:
            raise ShapeError(f"wants a number of channels that {self.groups} groups divide, got {channels}")
        self._add_scale((channels,))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={self.axis: channels})

    def call(self, x: Array) -> Array:
        axis = self.axis % x.ndim
        groups = x.shape[axis] if self.groups == -1 else self.groups
        parted = (groups, x.shape[axis] // groups)
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        wide = wide.reshape((*x.shape[:axis], *parted, *x.shape[axis + 1 :]))
        others = tuple(i for i in range(1, wide.ndim) if i != axis)  # all but the batch's and the groups'
        mean, variance = jnp.mean(wide, others, keepdims=True), jnp.var(wide, others, keepdims=True)
        shape = [1] * axis + [*parted] + [1] * (x.ndim - axis - 1)
        return self._affine(wide, mean, variance, shape).astype(x.dtype).reshape(x.shape)
