"""Layers that spread an image's brightness over the whole range."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lamina._base.converters import number, positive
from lamina._base.settings import setting
from lamina._kernels.images import equalized, locally_equalized, rescaled, work_dtype
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.image.color import BYTE
from lamina.layers.image.resizing import ImageLayer, ordered

Array = jax.Array


def two_sizes(value: Any) -> tuple[int, int]:
    """Two whole numbers of at least 1."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentError(f"expected two whole numbers, as (8, 8), got {value!r}.")
    return positive(value[0]), positive(value[1])


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
