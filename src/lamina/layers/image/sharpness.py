"""Augmentation layers that sharpen or blur images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._kernels.images import blur, smooth
from lamina._settings.arguments import DataFormat
from lamina._settings.converters import integer, seed_value
from lamina._settings.settings import Converted, setting
from lamina.config import data_format
from lamina.errors import ArgumentError
from lamina.layers.image.base import RandomImageLayer, Sizes, happens, uniform
from lamina.layers.image.color import FactorPerImage
from lamina.layers.image.settings import BYTE, Range, ValueRange, ordered, share

OddSizes: TypeAlias = Converted[int | Sequence[int], tuple[int, int]]


def odd_sizes(value: object) -> tuple[int, int]:
    """An odd size, or two odd sizes."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(sizes) != 2 or any(integer(size) < 1 or size % 2 == 0 for size in sizes):
        raise ArgumentError(f"expected an odd number of at least 1, or a pair of them, got {value!r}.")
    return sizes


class RandomSharpness(FactorPerImage):
    """In training mode, makes `x + (1 - 2 f) * (smooth(x) - x)` of an image, with a random f for each image.

    f = 0.5 changes nothing, and f = 1 sharpens. `smooth` is the weighted mean of 3 × 3 pixels, in which the middle
    pixel has weight 5. The result is clipped to the `value_range`.

    >>> RandomSharpness(0.5)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range of f within 0 to 1, as a pair; one number a means (0, a).
    """

    factor: Range = setting(share)
    value_range: ValueRange = setting(ordered, default=BYTE)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    def _lamina_transform(self, x: Array, factor: Array) -> Array:  # (batch, 1, 1, 1)
        return jnp.clip(x + (1 - 2 * factor).astype(x.dtype) * (smooth(x) - x), *self.value_range)


class RandomGaussianBlur(RandomImageLayer):
    """In training mode, blurs some of the images with a Gaussian kernel, and clips the result to the `value_range`.

    >>> RandomGaussianBlur()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range from which the probability is drawn for each image; one number a means (0, a).
        kernel_size: the size of the kernel in pixels, an odd number or two of them: across and down.
        sigma: the range of the standard deviation in pixels, within 0 to 1; one number a means (0, a).
    """

    factor: Range = setting(share, default=1.0)
    kernel_size: OddSizes = setting(odd_sizes, default=3)
    sigma: Range = setting(share, default=1.0)
    value_range: ValueRange = setting(ordered, default=BYTE)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"should_apply_blur", "blur_factor"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        first, second = jax.random.split(key)
        sigma = uniform(second, (shape[0], 2), self.sigma) + jnp.float32(1e-6)
        return {"should_apply_blur": happens(first, shape[0], self.factor), "blur_factor": sigma}

    def _lamina_transform(self, x: Array, should_apply_blur: Array, blur_factor: Array) -> Array:
        sigma = jnp.broadcast_to(blur_factor, (len(x), 2))  # Keras draws one pair for all images
        chosen = should_apply_blur.reshape(-1, 1, 1, 1)
        return jnp.clip(jnp.where(chosen, blur(x, self.kernel_size, sigma), x), *self.value_range)
