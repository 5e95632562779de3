"""Layers that add noise to their input or drop parts of it in training, and return it unchanged in inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp

from lamina import dtypes, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape, spatial_axes
from lamina._kernels.bits import bernoulli
from lamina._kernels.numbers import constant
from lamina._layer.keys import drawn_key
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.arguments import Config, DataFormat, Name
from lamina._settings.converters import not_negative, rate, seed_value
from lamina._settings.settings import Converted, setting, value_of
from lamina.config import data_format
from lamina.dtypes import Dtype
from lamina.errors import ArgumentError, ShapeError

NoiseShape: TypeAlias = Converted[Sequence[int | None] | None, Shape | None]


class Noise(Layer):
    """Base of the layers that draw random numbers in training.

    Args:
        rate: the fraction that is dropped, from 0 to 1.
        seed: a seed for this layer alone, which gives the same draws in each model. They depend only on this seed, the
            step and the number of the draw in the step. None derives the seed from the model's.
    """

    supports_masking: ClassVar[bool] = True


def dropped(layer: Any, x: Array, rate: float, shape: tuple[int, ...]) -> Array:
    """0 where a draw is below the rate, else `x / (1 - rate)`; the draws have the shape `shape`.

    The factor is an array. XLA would move a constant factor into the previous layer, and so round differently than a
    sweep, where the rate is an argument of the program.
    """
    if rate == 1:
        return jnp.zeros_like(x)
    kept = bernoulli(drawn_key(layer), 1.0 - rate, shape)
    none = jnp.zeros((), x.dtype)
    factor = jnp.where(kept, 1 / constant(1.0 - rate, x.dtype), none)
    return jnp.where(kept, x, none) * factor


def _noise_shape(value: object) -> Shape | None:
    """A shape of draws: integers of at least 1, or None for the input's size."""
    sizes = value if value is None else tuple(value) if isinstance(value, (tuple, list)) else ("",)
    if any(size is not None and (not isinstance(size, int) or size < 1) for size in sizes or ()):
        raise ArgumentError("expected whole numbers of at least 1, or None, one for each axis, as in (None, 1, 8).")
    return sizes


def _filled(noise_shape: Shape | None, shape: Shape) -> Any:
    """The shape of the draws for an input of `shape`; unknown sizes are symbolic or None."""
    if noise_shape is None:
        return shape
    if len(noise_shape) != len(shape):
        raise ShapeError(f"has noise_shape={noise_shape}, and expects {len(noise_shape)} dimensions, got {len(shape)}")
    for axis, (own, size) in enumerate(zip(noise_shape, shape, strict=True)):
        if own not in (None, 1, size) and isinstance(size, int):
            raise ShapeError(f"has noise_shape={noise_shape}, and expects size {own} on axis {axis}, got {size}")
    return tuple(own if own is not None else size for own, size in zip(noise_shape, shape, strict=True))


class _ElementDropout(Noise):
    """Base of the layers that drop elements, each on its own or with others along some axes."""

    rate: float = setting(rate)
    noise_shape: NoiseShape = setting(_noise_shape, default=None)
    seed: int | None = setting(seed_value, default=None)

    def _lamina_check_input(self, shape: Shape) -> None:
        super()._lamina_check_input(shape)
        _filled(self.noise_shape, shape)


class Dropout(_ElementDropout):
    """In training, sets each element to 0 with probability `rate` and divides the others by `1 - rate`.

    The dropped elements depend only on the seed, the step and the layer.

    >>> Dropout(0.5)(jnp.ones((1, 4)))
    Array([[1., 1., 1., 1.]], dtype=float32)

    Args:
        noise_shape: the shape of the draws: 1 on an axis along which all elements share one draw, None for the input's
            size. By default each element has its own draw.

    Source: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or not self.rate:
            return x
        return dropped(self, x, self.rate, _filled(self.noise_shape, x.shape))


class SpatialDropout(Noise):
    """Base of the layers that drop whole channels of a sample, along 1, 2 or 3 spatial axes.

    Args:
        data_format: "channels_last" or "channels_first"; None for `config.image_data_format()`.
    """

    name: Name = setting(init=False)
    _lamina_dtype: Dtype = setting(init=False, alias="dtype")
    _lamina_rank: ClassVar[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self._lamina_rank + 2)

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or not value_of(self, "rate"):
            return x
        axes = spatial_axes(x.ndim, getattr(self, "data_format", None))
        return dropped(
            self, x, value_of(self, "rate"), tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        )

    def get_config(self) -> Config:
        config = super().get_config()
        del config["trainable"]  # Keras's classes with these names do not take it
        return config | {"dtype": self.dtype_policy.name}


class SpatialDropout1D(SpatialDropout):
    """In training, sets whole channels of (batch, steps, channels) to 0 and divides the others by `1 - rate`.

    >>> SpatialDropout1D(0.5)(jnp.ones((2, 5, 3))).shape
    (2, 5, 3)

    Source: Tompson et al., 2014, https://arxiv.org/abs/1411.4280
    """

    rate: float = setting(rate)
    seed: int | None = setting(seed_value, default=None)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_policy: Dtype = setting(dtypes.get, default=None, alias="dtype")

    _lamina_rank: ClassVar[int] = 1


class SpatialDropoutOfImages(SpatialDropout):
    """The arguments of SpatialDropout2D and of SpatialDropout3D."""

    rate: float = setting(rate)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)
    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_policy: Dtype = setting(dtypes.get, default=None, alias="dtype")


class SpatialDropout2D(SpatialDropoutOfImages):
    """In training, sets whole channels of images to 0 and divides the others by `1 - rate`.

    >>> SpatialDropout2D(0.5)(jnp.ones((2, 5, 5, 3))).shape
    (2, 5, 5, 3)

    Source: Tompson et al., 2014, https://arxiv.org/abs/1411.4280
    """

    _lamina_rank: ClassVar[int] = 2


class SpatialDropout3D(SpatialDropoutOfImages):
    """In training, sets whole channels of volumes to 0 and divides the others by `1 - rate`.

    >>> SpatialDropout3D(0.5)(jnp.ones((2, 5, 5, 5, 3))).shape
    (2, 5, 5, 5, 3)

    Source: Tompson et al., 2014, https://arxiv.org/abs/1411.4280
    """

    _lamina_rank: ClassVar[int] = 3


ALPHA = -1.6732632423543772 * 1.0507009873554805
"""The limit of SELU for very negative x."""


class AlphaDropout(_ElementDropout):
    """In training, sets elements to the lower limit of SELU with probability `rate`, then scales and shifts all.

    Scale and shift keep the mean 0 and the variance 1 of such inputs. The shape stays the same.

    >>> AlphaDropout(0.5)(jnp.ones((1, 3)))
    Array([[1., 1., 1.]], dtype=float32)

    Args:
        noise_shape: the shape of the draws: 1 on an axis along which all elements share one draw, None for the input's
            size. By default each element has its own draw.

    Source: Klambauer et al., 2017, https://arxiv.org/abs/1706.02515
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rate == 1:
            raise ArgumentError("AlphaDropout(rate=1): nothing would be left to scale; expected a rate below 1.")

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or not self.rate:
            return x
        kept = bernoulli(drawn_key(self), 1.0 - self.rate, _filled(self.noise_shape, x.shape))
        factor = ((1 - self.rate) * (1 + self.rate * ALPHA**2)) ** -0.5
        y = jnp.where(kept, x, jnp.asarray(ALPHA, x.dtype))
        return y * constant(factor, x.dtype) - constant(factor * ALPHA * self.rate, x.dtype)


class GaussianDropout(Noise):
    """In training, multiplies each element by normal noise with mean 1; the shape stays the same.

    >>> GaussianDropout(0.5)(jnp.ones((1, 3)))
    Array([[1., 1., 1.]], dtype=float32)

    Args:
        rate: the noise has the standard deviation `sqrt(rate / (1 - rate))`, as dropout with this rate has.

    Source: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html
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
        deviation = constant((self.rate / (1 - self.rate)) ** 0.5, x.dtype)
        return x * (1 + deviation * jax.random.normal(drawn_key(self), x.shape, x.dtype))


class GaussianNoise(Noise):
    """In training, adds normal noise with mean 0 to each element; the shape stays the same.

    >>> GaussianNoise(0.1)(jnp.ones((1, 3)))
    Array([[1., 1., 1.]], dtype=float32)

    Args:
        stddev: the standard deviation of the noise; 0 adds none.
    """

    stddev: float = setting(not_negative)
    seed: int | None = setting(seed_value, default=None)

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or not self.stddev:
            return x
        return x + constant(self.stddev, x.dtype) * jax.random.normal(drawn_key(self), x.shape, x.dtype)


class ActivityRegularization(Layer):
    """Returns its input, and adds `(l1 * sum(|x|) + l2 * sum(x²)) / batch size` to the loss.

    >>> ActivityRegularization(l2=0.1)(jnp.ones((1, 3)))
    Array([[1., 1., 1.]], dtype=float32)

    Args:
        l1: the factor of the sum of absolute values.
        l2: the factor of the sum of squares.
    """

    l1: float = setting(not_negative, default=0.0)
    l2: float = setting(not_negative, default=0.0)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.activity_regularizer = regularizers.L1L2(self.l1, self.l2)

    def call(self, x: Array) -> Array:
        return x

    def _lamina_arguments(self) -> Config:
        return {name: value for name, value in super()._lamina_arguments().items() if name != "activity_regularizer"}
