"""Layers that raise the contrast of images by means of the histogram of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._kernels.images import equalized, locally_equalized, rescaled, work_dtype
from lamina._settings.arguments import DataFormat
from lamina._settings.converters import number, positive
from lamina._settings.settings import Converted, setting
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.image.base import ImageLayer
from lamina.layers.image.settings import BYTE, ValueRange, ordered

Grid: TypeAlias = Converted[Sequence[int], tuple[int, int]]


def two_sizes(value: object) -> tuple[int, int]:
    """Two whole numbers of at least 1."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentError(f"expected two whole numbers, as (8, 8), got {value!r}.")
    return positive(value[0]), positive(value[1])


class AutoContrast(ImageLayer):
    """Scales each channel of each image to the whole `value_range`; a constant channel stays unchanged.

    >>> AutoContrast()(jnp.array([[[[1.0], [2.0], [3.0]]]]))[0, 0, :, 0]
    Array([  0. , 127.5, 255. ], dtype=float32)
    """

    value_range: ValueRange = setting(ordered, default=BYTE)
    data_format: DataFormat = setting(data_format, default=None, kw_only=True)

    def _lamina_transform(self, x: Array) -> Array:
        y = rescaled(x, self.value_range, BYTE)
        low, high = jnp.min(y, (1, 2), keepdims=True), jnp.max(y, (1, 2), keepdims=True)
        scale = 255 / jnp.where(high > low, high - low, 1)
        stretched = rescaled(jnp.clip(y * scale - low * scale, *BYTE), BYTE, self.value_range)
        return jnp.where(high > low, stretched, x)


class Equalization(ImageLayer):
    """In training mode, equalizes the histogram of each channel: every value becomes about equally frequent.

    As in Keras, all images of the batch share one histogram.

    >>> Equalization(bins=4)(jnp.array([[[[0.0], [100.0], [255.0]]]]), training=True)[0, 0, :, 0]
    Array([  0., 128., 255.], dtype=float32)

    Args:
        bins: the number of bins of the histogram.
    """

    value_range: ValueRange = setting(ordered, default=BYTE)
    bins: int = setting(positive, default=256)
    data_format: DataFormat = setting(data_format, default=None)

    def call(self, x: Array, training: bool = False) -> Array:
        return super().call(x).astype(self.compute_dtype) if training else x.astype(self.compute_dtype)

    def _lamina_transform(self, x: Array) -> Array:
        y = rescaled(x.astype(work_dtype(x)), self.value_range, BYTE)
        y = jax.vmap(lambda channel: equalized(channel, self.bins), in_axes=-1, out_axes=-1)(y)
        return rescaled(y, BYTE, self.value_range)


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """Equalizes the histogram of each tile of an image, and interpolates between the tiles (CLAHE).

    >>> ContrastLimitedAdaptiveHistogramEqualization()(jnp.ones((1, 16, 16, 1))).shape
    (1, 16, 16, 1)

    Args:
        clip_limit: the greatest count of a histogram bin, as a multiple of the mean count; 0 sets no limit.
        tile_grid_size: the number of tiles down and across.

    Source: Zuiderveld, "Contrast limited adaptive histogram equalization", Graphics Gems IV, 1994
    """

    value_range: ValueRange = setting(ordered, default=BYTE)
    clip_limit: float = setting(number, default=4.0)
    tile_grid_size: Grid = setting(two_sizes, default=(8, 8))
    data_format: DataFormat = setting(data_format, default=None)

    def _lamina_transform(self, x: Array) -> Array:
        if any(isinstance(n, int) and n < tiles for n, tiles in zip(x.shape[1:3], self.tile_grid_size, strict=True)):
            raise ShapeError(f"expects a pixel or more for each tile of tile_grid_size={self.tile_grid_size}")
        y = rescaled(x.astype(work_dtype(x)), self.value_range, BYTE)
        y = jax.vmap(lambda image: locally_equalized(image, self.tile_grid_size, self.clip_limit))(y)
        return rescaled(y, BYTE, self.value_range).astype(x.dtype)
