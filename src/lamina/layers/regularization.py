"""Layers that disturb their input while training, and pass it on unchanged otherwise."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import regularizers
from lamina._base.converters import not_negative, rate, seed_value
from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, Shape, spatial_axes
from lamina._kernels.bits import bernoulli, fold
from lamina._layer.forward import random_key
from lamina._layer.layer import Layer
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError
from lamina.random import key_of

Array = jax.Array


class Noise(Layer):
    """What the layers share that draw random numbers while training, and pass their input on otherwise."""

    supports_masking: ClassVar[bool] = True

    def noise_key(self, seed: int | None) -> Array:
        """This layer's key in this step; one with a seed has a key of its own."""
        key = random_key(self)
        return key if seed is None else fold(key_of(seed), key[0])

    def dropped(self, x: Array, rate: float, shape: Any, seed: int | None) -> Array:
        """x with 0 where one of the draws, of `shape`, falls below `rate`, and divided by `1 - rate` elsewhere."""
        if rate == 1:
            return jnp.zeros_like(x)
        kept = bernoulli(self.noise_key(seed), 1.0 - rate, shape)
        return jnp.where(kept, x / jnp.asarray(1.0 - rate, x.dtype), jnp.zeros((), x.dtype))


def _sizes(value: Any) -> Any:
    """A shape of draws: whole numbers of at least 1, or None for the input's own size."""
    sizes = value if value is None else tuple(value) if isinstance(value, (tuple, list)) else ("",)
    if any(size is not None and (not isinstance(size, int) or size < 1) for size in sizes or ()):
        raise ArgumentError("expected whole numbers of at least 1, or None, one for each axis, as in (None, 1, 8).")
    return sizes


def _drawn(noise_shape: Any, shape: Any) -> Any:
    if noise_shape is None:
        return shape
    if len(noise_shape) != len(shape):
        raise ShapeError(f"has noise_shape={noise_shape}, and wants {len(noise_shape)} dimensions, got {len(shape)}")
    for axis, (own, size) in enumerate(zip(noise_shape, shape, strict=True)):
        if own not in (None, 1, size) and isinstance(size, int):
            raise ShapeError(f"has noise_shape={noise_shape}, and wants size {own} on axis {axis}, got {size}")
    return tuple(own if own is not None else size for own, size in zip(noise_shape, shape, strict=True))


class Dropout(Noise):
    """While training, sets each element to 0 with probability `rate` and divides the others by `1 - rate`.

    The mask is a pure function of (seed, step, layer); `seed` gives this layer bits of its own, whatever the
    model's seed. `noise_shape` has 1 (or None for the input's own size) where one draw serves a whole axis.
    Source: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    >>> Dropout(0.5)(jnp.ones((1, 4)))
    Array([[1., 1., 1., 1.]], dtype=float32)
    """

    rate: float = setting(rate)
    noise_shape: Any = setting(_sizes, default=None)
    seed: int | None = setting(seed_value, default=None)

    def build(self, input_shape: Shape) -> None:
        _drawn(self.noise_shape, input_shape)

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or not self.rate:
            return x
        return self.dropped(x, self.rate, _drawn(self.noise_shape, x.shape), self.seed)


class SpatialDropout(Noise):
    """What the layers share that drop a whole channel of a sample at once, along all spatial axes."""

    rate: float = setting(rate)
    seed: int | None = setting(seed_value, default=None)

    rank: ClassVar[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, x: Array, training: bool = False) -> Array:
        axes = spatial_axes(x.ndim, getattr(self, "data_format", None))
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        return self.dropped(x, self.rate, shape, self.seed) if training and self.rate else x

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["trainable"]  # Keras's classes of these names do not take it
        return config


class SpatialDropout1D(SpatialDropout):
    """While training, sets whole channels of (batch, steps, channels) to 0, and scales up the others, as Dropout does.

    Source: Tompson et al., 2014, https://arxiv.org/abs/1411.4280

    >>> SpatialDropout1D(0.5)(jnp.ones((2, 5, 3))).shape
    (2, 5, 3)
    """

    rank: ClassVar[int] = 1


class SpatialDropout2D(SpatialDropout):
    """While training, sets whole channels of images to 0, and scales up the others, as Dropout does.

    >>> SpatialDropout2D(0.5)(jnp.ones((2, 5, 5, 3))).shape
    (2, 5, 5, 3)
    """

    rate: float = setting(rate)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    rank: ClassVar[int] = 2


class SpatialDropout3D(SpatialDropout):
    """While training, sets whole channels of volumes to 0, and scales up the others, as Dropout does.

    >>> SpatialDropout3D(0.5)(jnp.ones((2, 5, 5, 5, 3))).shape
    (2, 5, 5, 5, 3)
    """

    rate: float = setting(rate)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    rank: ClassVar[int] = 3


ALPHA = -1.6732632423543772 * 1.0507009873554805
"""What SELU gives far to the left."""


class AlphaDropout(Noise):
    """While training, drops elements to SELU's lower limit, then scales and shifts so that mean and variance stay.

    Source: Klambauer et al., 2017, https://arxiv.org/abs/1706.02515

    >>> AlphaDropout(0.5)(jnp.ones((1, 3)))
    Array([[1., 1., 1.]], dtype=float32)
    """

    rate: float = setting(rate)
    noise_shape: Any = setting(_sizes, default=None)
    seed: int | None = setting(seed_value, default=None)

    def build(self, input_shape: Shape) -> None:
        _drawn(self.noise_shape, input_shape)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate == 1:
            raise ArgumentError("AlphaDropout(rate=1): nothing would be left to scale; expected a rate below 1.")

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or not self.rate:
            return x
        kept = bernoulli(self.noise_key(self.seed), 1.0 - self.rate, _drawn(self.noise_shape, x.shape))
        factor = ((1 - self.rate) * (1 + self.rate * ALPHA**2)) ** -0.5
        y = jnp.where(kept, x, jnp.asarray(ALPHA, x.dtype))
        return y * jnp.asarray(factor, x.dtype) - jnp.asarray(factor * ALPHA * self.rate, x.dtype)


class GaussianDropout(Noise):
    """While training, multiplies by noise of mean 1 and deviation `sqrt(rate / (1 - rate))`, element by element.

    Source: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    >>> GaussianDropout(0.5)(jnp.ones((1, 3)))
    Array([[1., 1., 1.]], dtype=float32)
    """

    rate: float = setting(rate)
    seed: int | None = setting(seed_value, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate == 1:
            raise ArgumentError("GaussianDropout(rate=1): the noise would be infinite; expected a rate below 1.")

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or not self.rate:
            return x
        deviation = jnp.asarray(math.sqrt(self.rate / (1 - self.rate)), x.dtype)
        return x * (1 + deviation * jax.random.normal(self.noise_key(self.seed), x.shape, x.dtype))


class GaussianNoise(Noise):
    """While training, adds noise of mean 0 and deviation `stddev`, element by element.

    >>> GaussianNoise(0.1)(jnp.ones((1, 3)))
    Array([[1., 1., 1.]], dtype=float32)
    """

    stddev: float = setting(not_negative)
    seed: int | None = setting(seed_value, default=None)

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or not self.stddev:
            return x
        return x + jnp.asarray(self.stddev, x.dtype) * jax.random.normal(self.noise_key(self.seed), x.shape, x.dtype)


class ActivityRegularization(Layer):
    """Passes its input on, and adds `(l1 * sum(|x|) + l2 * sum(x²)) / batch size` to the loss.

    >>> ActivityRegularization(l2=0.1)(jnp.ones((1, 3)))
    Array([[1., 1., 1.]], dtype=float32)
    """

    l1: float = setting(not_negative, default=0.0)
    l2: float = setting(not_negative, default=0.0)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.activity_regularizer = regularizers.L1L2(self.l1, self.l2)

    def call(self, x: Array) -> Array:
        return x

    def _lamina_arguments(self) -> dict[str, Any]:
        return {name: value for name, value in super()._lamina_arguments().items() if name != "activity_regularizer"}
