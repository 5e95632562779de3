"""Layers that bring their input to mean 0 and variance 1."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina import constraints, initializers, regularizers
from lamina.errors import ArgumentError, ShapeError
from lamina.kernels.normalization import normalize
from lamina.layer import Layer
from lamina.layers.wrappers import Wrapper
from lamina.settings import flag, integer, number, optional, positive, rate, setting
from lamina.shapes import InputSpec, Shape

Array = jax.Array


def _axis(value: Any) -> Any:
    """One axis, or a list of them."""
    return [integer(axis) for axis in value] if isinstance(value, (tuple, list)) else integer(value)


def _features(axis: Any, shape: Any) -> list[int]:
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

    def prepare(self) -> None:
        super().prepare()
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

    def prepare(self) -> None:
        super().prepare()
        self.moving_stddev: Any = None
        self.renorm_mean: Any = None
        self.renorm_stddev: Any = None

    def validate(self) -> None:
        super().validate()
        if self.renorm and self.renorm_clipping is None:
            self.renorm_clipping = {}

    def build(self, input_shape: Shape) -> None:
        (axis,) = _features(self.axis, input_shape)
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
        if not (training and self._trainable):
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

    axis: Any = setting(_axis, default=-1)
    epsilon: float = setting(number, default=0.001)

    lacks: ClassVar[dict[str, Any]] = {"rms_scaling": False}

    def build(self, input_shape: Shape) -> None:
        axes = _features(self.axis, input_shape)
        self._add_scale([input_shape[axis] for axis in axes])
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis] for axis in axes})

    def call(self, x: Array) -> Array:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        axes = tuple(_features(self.axis, x.shape))
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
        (axis,) = _features(self.axis, input_shape)
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


class RMSNormalization(Layer):
    """Divides every sample by the root of its mean square along `axis`: `x / sqrt(mean(x²) + epsilon) * scale`.

    Source: Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467

    >>> RMSNormalization()(jnp.array([[3.0, -3.0]])).round(2)
    Array([[ 1., -1.]], dtype=float32)
    """

    axis: Any = setting(_axis, default=-1)
    epsilon: float = setting(number, default=1e-6)

    def build(self, input_shape: Shape) -> None:
        axes = _features(self.axis, input_shape)
        self.scale = self.add_weight([input_shape[axis] for axis in axes], "ones")
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis] for axis in axes})

    def call(self, x: Array) -> Array:
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        axes = tuple(_features(self.axis, x.shape))
        mean = jnp.mean(jnp.square(wide), axes, keepdims=True)
        scale = self.scale.astype(wide.dtype).reshape([n if i in axes else 1 for i, n in enumerate(x.shape)])
        return (wide * lax.rsqrt(mean + jnp.asarray(self.epsilon, wide.dtype)) * scale).astype(x.dtype)  # type: ignore[no-any-return]


class UnitNormalization(Layer):
    """Divides every sample by its Euclidean length along `axis`: `x / max(sqrt(sum(x²)), 1e-12)`.

    >>> UnitNormalization()(jnp.array([[3.0, 4.0]]))
    Array([[0.6, 0.8]], dtype=float32)
    """

    axis: Any = setting(_axis, default=-1)

    supports_masking: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        axes = tuple(_features(self.axis, x.shape))
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
