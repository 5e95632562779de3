"""Augmentation layers that change the colors of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import jax
import jax.numpy as jnp

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._kernels.images import from_hsv, gray, rescaled, to_hsv, work_dtype
from lamina._settings.arguments import DataFormat
from lamina._settings.converters import integer, rate, seed_value
from lamina._settings.settings import Converted, setting, value_of
from lamina.config import data_format
from lamina.layers.image.base import RandomImageLayer, Sizes, happens, uniform
from lamina.layers.image.settings import BYTE, Range, ValueRange, interval, ordered, share, signed_share

Bits: TypeAlias = Converted[int | Sequence[int], tuple[int, int]]
bits = interval(1, 8)


def whole_bits(value: object) -> tuple[int, int]:
    """A number of bits from 1 to 8, or a pair; one number n means (1, n)."""
    low, high = bits(value)
    return integer(low), integer(high)


class FactorPerImage(RandomImageLayer):
    """Base of the layers that draw one number for each image from the range `factor`."""

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        return {"factor": uniform(key, (shape[0], 1, 1, 1), value_of(self, "factor"))}


class RandomBrightness(FactorPerImage):
    """In training mode, adds `f * (high - low)` to all pixels of an image, with a random f for each image.

    `low` and `high` are the ends of the `value_range`, and the result is clipped to it.

    >>> RandomBrightness(0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range of f within -1 to 1, as a pair; one number a means (-a, a).
    """

    factor: Range = setting(signed_share)
    value_range: ValueRange = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None, kw_only=True)

    def _lamina_transform(self, x: Array, factor: Array) -> Array:  # (batch, 1, 1, 1)
        low, high = self.value_range
        return jnp.clip(x + (factor * (high - low)).astype(x.dtype), low, high)


class RandomContrast(RandomImageLayer):
    """In training mode, makes `(x - mean) * c + mean` of each channel of an image, with a random c for each image.

    c lies between `1 - lower` and `1 + upper`. The result is clipped to the `value_range`.

    >>> RandomContrast((0.2, 0.2))(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the pair (lower, upper), each from 0 to 1. One number a means (0, a), as in Keras's code: write (a, a)
            to lower the contrast as well as to raise it.
    """

    factor: Range = setting(share)
    value_range: ValueRange = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None, kw_only=True)

    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"contrast_factor"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        lower, upper = self.factor
        return {"contrast_factor": uniform(key, (shape[0], 1, 1, 1), (1 - lower, 1 + upper))}

    def _lamina_transform(self, x: Array, contrast_factor: Array) -> Array:  # (batch, 1, 1, 1)
        mean = jnp.mean(x, (1, 2), keepdims=True)
        return jnp.clip((x - mean) * contrast_factor.astype(x.dtype) + mean, *self.value_range)


class RandomHue(RandomImageLayer):
    """In training mode, adds `f / 2` or `-f / 2` to the hue of an image, with a random f for each image.

    A hue of 1 is the same as a hue of 0.

    >>> RandomHue(0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range of f within 0 to 1, as a pair; one number a means (0, a).
    """

    factor: Range = setting(share)
    value_range: ValueRange = setting(ordered, default=BYTE)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    _lamina_channels: ClassVar[tuple[int, ...]] = (3,)

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        coin, second = jax.random.split(key)
        sign = jnp.where(uniform(coin, (shape[0], 1, 1)) > 0.5, jnp.float32(-0.5), jnp.float32(0.5))
        return {"turn": uniform(second, (shape[0], 1, 1), self.factor) * sign}

    def _lamina_transform(self, x: Array, turn: Array) -> Array:  # (batch, 1, 1)
        hue, saturation, value = to_hsv(rescaled(x.astype(work_dtype(x)), self.value_range, (0, 1)))
        return rescaled(jnp.clip(from_hsv(hue + turn, saturation, value), 0, 1), (0, 1), self.value_range)


class RandomSaturation(FactorPerImage):
    """In training mode, multiplies the saturation of an image by `f / (1 - f)`, with a random f for each image.

    f = 0.5 changes nothing, and f = 0 makes the image gray.

    >>> RandomSaturation((0.4, 0.6))(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range of f, as a pair; one number a means (-a, a). An f below 0 has the effect of 0.
    """

    factor: Range = setting(signed_share)
    value_range: ValueRange = setting(ordered, default=BYTE)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    _lamina_channels: ClassVar[tuple[int, ...]] = (3,)

    def _lamina_transform(self, x: Array, factor: Array) -> Array:  # (batch, 1, 1, 1)
        times = (factor / (1 - factor + dtypes.epsilon()))[..., 0]
        hue, saturation, value = to_hsv(x.astype(work_dtype(x)))
        return from_hsv(hue, jnp.clip(saturation * times, *self.value_range), value)


class RandomColorDegeneration(FactorPerImage):
    """In training mode, blends each image with its gray version: `x + f * (gray(x) - x)`, a random f for each image.

    An f below 0 makes the colors stronger. The result is clipped to the `value_range`.

    >>> RandomColorDegeneration(0.5)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range of f within -1 to 1, as a pair; one number a means (-a, a).
    """

    factor: Range = setting(signed_share)
    value_range: ValueRange = setting(ordered, default=BYTE)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    _lamina_channels: ClassVar[tuple[int, ...]] = (1, 3)

    def _lamina_transform(self, x: Array, factor: Array) -> Array:  # (batch, 1, 1, 1)
        return jnp.clip(x + factor.astype(x.dtype) * (gray(x) - x), *self.value_range)


class RandomGrayscale(RandomImageLayer):
    """In training mode, makes some of the images gray; they keep their number of channels.

    >>> RandomGrayscale(1.0)(jnp.array([[[[100.0, 0.0, 0.0]]]]), training=True).round()
    Array([[[[30., 30., 30.]]]], dtype=float32)

    Args:
        factor: the probability that an image is made gray.
    """

    factor: float = setting(rate, default=0.5)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    _lamina_channels: ClassVar[tuple[int, ...]] = (1, 3)

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        return {"apply": uniform(key, (shape[0], 1, 1, 1)) < self.factor}

    def _lamina_transform(self, x: Array, apply: Array) -> Array:  # (batch, 1, 1, 1)
        return jnp.where(apply, gray(x), x)


class RandomInvert(RandomImageLayer):
    """In training mode, replaces x by `high - x` in some of the images; `high` is the upper end of the `value_range`.

    >>> RandomInvert((1.0, 1.0))(jnp.zeros((1, 1, 1, 1)), training=True)
    Array([[[[255.]]]], dtype=float32)

    Args:
        factor: the range from which the probability is drawn for each image; one number a means (0, a).
    """

    factor: Range = setting(share, default=1.0)
    value_range: ValueRange = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        return {"apply": happens(key, shape[0], self.factor)}

    def _lamina_transform(self, x: Array, apply: Array) -> Array:  # (batch, 1, 1, 1)
        return jnp.where(apply, self.value_range[1] - x, x)


class RandomPosterization(RandomImageLayer):
    """In training mode, keeps the n highest bits of each byte of an image, with a random n for each image.

    >>> RandomPosterization((2, 2))(jnp.array([[[[200.0]]]]), training=True)
    Array([[[[192.]]]], dtype=float32)

    Args:
        factor: the pair (low, high) within 1 to 8: n is drawn from low up to high - 1, and is low if they are equal.
            One number a means (1, a).
    """

    factor: Bits = setting(whole_bits)
    value_range: ValueRange = setting(ordered, default=BYTE)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        low, high = self.factor
        return {"shift": 8 - jax.random.randint(key, (shape[0], 1, 1, 1), low, max(high, low + 1), jnp.int32)}

    def _lamina_transform(self, x: Array, shift: Array) -> Array:  # (batch, 1, 1, 1)
        byte = jnp.clip(rescaled(x, self.value_range, BYTE), *BYTE).astype(jnp.int32)
        return rescaled((byte >> shift << shift).astype(x.dtype), BYTE, self.value_range)


class Solarization(RandomImageLayer):
    """In training mode, adds a random number to each image, then inverts the pixels that reach a random threshold.

    Both numbers are drawn for each image, on the scale from 0 to 255. The default threshold 0 inverts every pixel.

    >>> Solarization()(jnp.array([[[[0.0, 200.0, 255.0]]]]), training=True)
    Array([[[[255.,  55.,   0.]]]], dtype=float32)

    Args:
        addition_factor: the pair (low, high) within 0 to 1: the number that is added lies between low and 255 * high.
            One number a means (0, a).
        threshold_factor: the range of the threshold, in the same form.
    """

    addition_factor: Range = setting(share, default=0.0)
    threshold_factor: Range = setting(share, default=0.0)
    value_range: ValueRange = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None, kw_only=True)

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        spans = ((low, high * 255) for low, high in (self.addition_factor, self.threshold_factor))
        each = zip(jax.random.split(key), spans, strict=True)
        addition, threshold = (uniform(k, (shape[0], 1, 1, 1), span) for k, span in each)
        return {"addition": addition, "threshold": threshold}

    def _lamina_transform(self, x: Array, addition: Array, threshold: Array) -> Array:
        y = jnp.clip(rescaled(x, self.value_range, BYTE) + addition.astype(x.dtype), *BYTE)
        return rescaled(jnp.where(y < threshold, y, 255 - y), BYTE, self.value_range)
