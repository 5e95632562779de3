"""Augmentation of colours, and the layers that spread an image's brightness."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import dtypes
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError
from lamina.kernels.images import (
    blur,
    equalized,
    from_hsv,
    gray,
    locally_equalized,
    rescaled,
    smooth,
    to_hsv,
    work_dtype,
)
from lamina.layers.images import ImageLayer, RandomImageLayer, happens, interval, ordered, uniform
from lamina.settings import integer, number, positive, rate, seed_value, setting

Array = jax.Array
BYTE = (0, 255)
share = interval(0, 1)
bits = interval(1, 8)


def odd_sizes(value: Any) -> tuple[int, int]:
    """An odd size, or two."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(sizes) != 2 or any(integer(size) < 1 or size % 2 == 0 for size in sizes):
        raise ArgumentError(f"expected an odd number of at least 1, or a pair of them, got {value!r}.")
    return sizes


def whole_bits(value: Any) -> tuple[int, int]:
    """A number of bits from 1 to 8, or a pair; one number n stands for (1, n)."""
    low, high = bits(value)
    return integer(low), integer(high)


def two_sizes(value: Any) -> tuple[int, int]:
    """Two whole numbers of at least 1."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentError(f"expected two whole numbers, as (8, 8), got {value!r}.")
    return positive(value[0]), positive(value[1])


class PerImage(RandomImageLayer):
    """Draws one number for each image, `factor`, from a range; a single number f stands for (-f, f) or (0, f)."""

    factor: Any = setting(interval(-1, 1))

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        return {"factor": uniform(key, (shape[0], 1, 1, 1), self.factor)}


class RandomBrightness(PerImage):
    """While training, adds the same to all pixels of an image: `factor * (high - low)` of the `value_range`.

    One number f stands for the range (-f, f). What leaves the `value_range` is clipped.

    >>> RandomBrightness(0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(interval(-1, 1))  # type: ignore[misc]
    value_range: Any = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)

    def transform(self, x: Array, factor: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        low, high = self.value_range
        return jnp.clip(x + (factor * (high - low)).astype(x.dtype), low, high)


class RandomContrast(RandomImageLayer):
    """While training, makes `(x - mean) * c + mean` of each channel of an image, c from 1 - lower to 1 + upper.

    `factor` is (lower, upper), each from 0 to 1; one number f stands for (0, f), as in Keras's code: write (f, f) for
    less contrast as well as more. What leaves the `value_range` is clipped.

    >>> RandomContrast((0.2, 0.2))(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share)  # type: ignore[misc]
    value_range: Any = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        lower, upper = self.factor
        return {"contrast": uniform(key, (shape[0], 1, 1, 1), (1 - lower, 1 + upper))}

    def transform(self, x: Array, contrast: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        mean = jnp.mean(x, (1, 2), keepdims=True)
        return jnp.clip((x - mean) * contrast.astype(x.dtype) + mean, *self.value_range)


class RandomHue(RandomImageLayer):
    """While training, turns the hue of each image by `±factor / 2` of the circle of colours.

    `factor` is a range within 0 to 1; one number f stands for (0, f).

    >>> RandomHue(0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share)  # type: ignore[misc]
    value_range: Any = setting(ordered, default=BYTE)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    channels: ClassVar[tuple[int, ...]] = (3,)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        coin, second = jax.random.split(key)
        sign = jnp.where(uniform(coin, (shape[0], 1, 1)) > 0.5, jnp.float32(-0.5), jnp.float32(0.5))
        return {"turn": uniform(second, (shape[0], 1, 1), self.factor) * sign}

    def transform(self, x: Array, turn: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1)
        hue, saturation, value = to_hsv(rescaled(x.astype(work_dtype(x)), self.value_range, (0, 1)))
        return rescaled(jnp.clip(from_hsv(hue + turn, saturation, value), 0, 1), (0, 1), self.value_range)


class RandomSaturation(PerImage):
    """While training, multiplies each image's saturation by `f / (1 - f)`: 0.5 changes nothing, 0 makes it gray.

    f is drawn from `factor`; one number stands for (-factor, factor), and what is below 0 counts as 0.

    >>> RandomSaturation((0.4, 0.6))(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(interval(-1, 1))  # type: ignore[misc]
    value_range: Any = setting(ordered, default=BYTE)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    channels: ClassVar[tuple[int, ...]] = (3,)

    def transform(self, x: Array, factor: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        times = (factor / (1 - factor + dtypes.epsilon()))[..., 0]
        hue, saturation, value = to_hsv(x.astype(work_dtype(x)))
        return from_hsv(hue, jnp.clip(saturation * times, *self.value_range), value)


class RandomColorDegeneration(PerImage):
    """While training, fades each image to gray: `x + f * (gray(x) - x)`, f drawn from `factor`.

    One number stands for (-factor, factor): below 0 colours grow stronger. What leaves the `value_range` is clipped.

    >>> RandomColorDegeneration(0.5)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(interval(-1, 1))  # type: ignore[misc]
    value_range: Any = setting(ordered, default=BYTE)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    channels: ClassVar[tuple[int, ...]] = (1, 3)

    def transform(self, x: Array, factor: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        return jnp.clip(x + factor.astype(x.dtype) * (gray(x) - x), *self.value_range)


class RandomGrayscale(RandomImageLayer):
    """While training, turns an image gray with probability `factor`; it keeps its channels.

    >>> RandomGrayscale(1.0)(jnp.array([[[[100.0, 0.0, 0.0]]]]), training=True).round()
    Array([[[[30., 30., 30.]]]], dtype=float32)
    """

    factor: float = setting(rate, default=0.5)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    channels: ClassVar[tuple[int, ...]] = (1, 3)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        return {"apply": uniform(key, (shape[0], 1, 1, 1)) < self.factor}

    def transform(self, x: Array, apply: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        return jnp.where(apply, gray(x), x)


class RandomInvert(RandomImageLayer):
    """While training, replaces x by `high - x`, high being the top of the `value_range`, in some images.

    The chance is drawn from `factor` for each image; one number f stands for (0, f).

    >>> RandomInvert((1.0, 1.0))(jnp.zeros((1, 1, 1, 1)), training=True)
    Array([[[[255.]]]], dtype=float32)
    """

    factor: Any = setting(share, default=1.0)
    value_range: Any = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        return {"apply": happens(key, shape[0], self.factor)}

    def transform(self, x: Array, apply: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        return jnp.where(apply, self.value_range[1] - x, x)


class RandomPosterization(RandomImageLayer):
    """While training, keeps only the highest bits of each byte of an image: a number from factor[0] below factor[1].

    One number n stands for (1, n), and a pair of equal numbers for just that many bits.

    >>> RandomPosterization((2, 2))(jnp.array([[[[200.0]]]]), training=True)
    Array([[[[192.]]]], dtype=float32)
    """

    factor: Any = setting(whole_bits)  # type: ignore[misc]
    value_range: Any = setting(ordered, default=BYTE)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        low, high = self.factor
        return {"shift": 8 - jax.random.randint(key, (shape[0], 1, 1, 1), low, max(high, low + 1), jnp.int32)}

    def transform(self, x: Array, shift: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        byte = jnp.clip(rescaled(x, self.value_range, BYTE), *BYTE).astype(jnp.int32)
        return rescaled((byte >> shift << shift).astype(x.dtype), BYTE, self.value_range)


class Solarization(RandomImageLayer):
    """While training, adds a random number to each image, then inverts what is not below a random threshold.

    With x from 0 to 255 both are drawn for each image, from `addition_factor` and `threshold_factor`, whose upper ends
    count 255 times; one number f stands for (0, f). So the defaults invert everything.

    >>> Solarization()(jnp.array([[[[0.0, 200.0, 255.0]]]]), training=True)
    Array([[[[255.,  55.,   0.]]]], dtype=float32)
    """

    addition_factor: Any = setting(share, default=0.0)
    threshold_factor: Any = setting(share, default=0.0)
    value_range: Any = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        spans = ((low, high * 255) for low, high in (self.addition_factor, self.threshold_factor))
        each = zip(jax.random.split(key), spans, strict=True)
        addition, threshold = (uniform(k, (shape[0], 1, 1, 1), span) for k, span in each)
        return {"addition": addition, "threshold": threshold}

    def transform(self, x: Array, addition: Array, threshold: Array) -> Array:  # type: ignore[override]
        y = jnp.clip(rescaled(x, self.value_range, BYTE) + addition.astype(x.dtype), *BYTE)
        return rescaled(jnp.where(y < threshold, y, 255 - y), BYTE, self.value_range)


class RandomSharpness(PerImage):
    """While training, makes `x + (1 - 2 f) * (smooth(x) - x)` of each image: f = 0.5 changes nothing, 1 sharpens.

    f is drawn from `factor`; one number stands for (0, factor). `smooth` averages 3 × 3 pixels, the middle one five
    times. What leaves the `value_range` is clipped.

    >>> RandomSharpness(0.5)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share)  # type: ignore[misc]
    value_range: Any = setting(ordered, default=BYTE)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    def transform(self, x: Array, factor: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        return jnp.clip(x + (1 - 2 * factor).astype(x.dtype) * (smooth(x) - x), *self.value_range)


class RandomGaussianBlur(RandomImageLayer):
    """While training, blurs some images with a Gaussian of `kernel_size` pixels, its width drawn from `sigma`.

    The chance is drawn from `factor` for each image; one number f stands for (0, f), in `sigma` as well.

    >>> RandomGaussianBlur()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        kernel_size: an odd number, or two: across and down.
    """

    factor: Any = setting(share, default=1.0)
    kernel_size: Any = setting(odd_sizes, default=3)
    sigma: Any = setting(share, default=1.0)
    value_range: Any = setting(ordered, default=BYTE)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second = jax.random.split(key)
        sigma = uniform(second, (shape[0], 2), self.sigma) + jnp.float32(1e-6)
        return {"apply": happens(first, shape[0], self.factor), "sigma": sigma}

    def transform(self, x: Array, apply: Array, sigma: Array) -> Array:  # type: ignore[override]  # sigma (batch, 2)
        return jnp.clip(jnp.where(apply, blur(x, self.kernel_size, sigma), x), *self.value_range)


class AutoContrast(ImageLayer):
    """Stretches each channel of each image over the whole `value_range`; one that is even stays as it is.

    >>> AutoContrast()(jnp.array([[[[1.0], [2.0], [3.0]]]]))[0, 0, :, 0]
    Array([  0. , 127.5, 255. ], dtype=float32)
    """

    value_range: Any = setting(ordered, default=BYTE)

    def transform(self, x: Array) -> Array:
        y = rescaled(x, self.value_range, BYTE)
        low, high = jnp.min(y, (1, 2), keepdims=True), jnp.max(y, (1, 2), keepdims=True)
        scale = 255 / jnp.where(high > low, high - low, 1)
        stretched = rescaled(jnp.clip(y * scale - low * scale, *BYTE), BYTE, self.value_range)
        return jnp.where(high > low, stretched, x)


class Equalization(ImageLayer):
    """While training, replaces each pixel by its rank, so that every brightness is as frequent, in each channel.

    As in Keras the pixels of the whole batch are ranked together.

    >>> Equalization(bins=4)(jnp.array([[[[0.0], [100.0], [255.0]]]]), training=True)[0, 0, :, 0]
    Array([  0., 128., 255.], dtype=float32)

    Args:
        bins: how many levels are told apart.
    """

    value_range: Any = setting(ordered, default=BYTE)
    bins: int = setting(positive, default=256)
    data_format: str | None = setting(data_format, default=None)

    def call(self, x: Array, training: bool = False) -> Array:
        return super().call(x).astype(self.compute_dtype) if training else x.astype(self.compute_dtype)

    def transform(self, x: Array) -> Array:
        y = rescaled(x.astype(work_dtype(x)), self.value_range, BYTE)
        y = jax.vmap(lambda channel: equalized(channel, self.bins), in_axes=-1, out_axes=-1)(y)
        return rescaled(y, BYTE, self.value_range)


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Spreads the brightness of each part of an image: equalization in `tile_grid_size` tiles, blended (CLAHE).

    No level counts more than `clip_limit` times the mean; 0 sets no limit.
    Source: Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994

    >>> ContrastLimitedAdaptiveHistogramEqualization()(jnp.ones((1, 16, 16, 1))).shape
    (1, 16, 16, 1)
    """

    value_range: Any = setting(ordered, default=BYTE)
    clip_limit: float = setting(number, default=4.0)
    tile_grid_size: Any = setting(two_sizes, default=(8, 8))
    data_format: str | None = setting(data_format, default=None)

    def transform(self, x: Array) -> Array:
        if any(isinstance(n, int) and n < tiles for n, tiles in zip(x.shape[1:3], self.tile_grid_size, strict=True)):
            raise ShapeError(f"wants a pixel or more for each tile of tile_grid_size={self.tile_grid_size}")
        y = rescaled(x.astype(work_dtype(x)), self.value_range, BYTE)
        y = jax.vmap(lambda image: locally_equalized(image, self.tile_grid_size, self.clip_limit))(y)
        return rescaled(y, BYTE, self.value_range).astype(x.dtype)
