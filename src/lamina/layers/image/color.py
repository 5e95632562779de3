"""Augmentation of colours."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import dtypes
from lamina._base.converters import integer, rate, seed_value
from lamina._base.settings import setting
from lamina._kernels.images import from_hsv, gray, rescaled, to_hsv, work_dtype
from lamina.config import data_format
from lamina.layers.image.resizing import RandomImageLayer, happens, interval, ordered, uniform

Array = jax.Array
BYTE = (0, 255)
share = interval(0, 1)
bits = interval(1, 8)


def whole_bits(value: Any) -> tuple[int, int]:
    """A number of bits from 1 to 8, or a pair; one number n stands for (1, n)."""
    low, high = bits(value)
    return integer(low), integer(high)


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
