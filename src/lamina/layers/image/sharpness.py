"""Augmentation of sharpness: each pixel changes with those around it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lamina._base.converters import integer, seed_value
from lamina._base.settings import setting
from lamina._kernels.images import blur, smooth
from lamina.config import data_format
from lamina.errors import ArgumentError
from lamina.layers.image.color import BYTE, PerImage, share
from lamina.layers.image.resizing import RandomImageLayer, happens, ordered, uniform

Array = jax.Array


def odd_sizes(value: Any) -> tuple[int, int]:
    """An odd size, or two."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(sizes) != 2 or any(integer(size) < 1 or size % 2 == 0 for size in sizes):
        raise ArgumentError(f"expected an odd number of at least 1, or a pair of them, got {value!r}.")
    return sizes


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
