"""Formulas for images (batch, height, width, channels): sampling at moved coordinates, colors, blurs.

Each formula processes a whole batch inside a compiled program, with separate parameters for every image.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array

FILL_MODES = ("reflect", "wrap", "constant", "nearest")


def work_dtype(images: Array) -> DTypeLike:
    """The dtype in which coordinates and colors are computed: at least float32."""
    return jnp.promote_types(images.dtype, jnp.float32)


def inside(index: Array, size: int, mode: str) -> Array:
    """Maps positions beyond the ends of an axis to the positions that are read instead.  int32 -> int32

    For size 4, from -3 to 6: "reflect" 2 1 0 | 0 1 2 3 | 3 2 1, "mirror" 3 2 1 | 0 1 2 3 | 2 1 0,
    "wrap" 1 2 3 | 0 1 2 3 | 0 1 2, "nearest" 0 0 0 | 0 1 2 3 | 3 3 3.
    """
    if mode == "wrap":
        return index % size
    if mode == "reflect":
        folded = index % (2 * size)
        return jnp.minimum(folded, 2 * size - 1 - folded)
    if mode == "mirror" and size > 1:
        folded = index % (2 * size - 2)
        return jnp.minimum(folded, 2 * size - 2 - folded)
    return jnp.clip(index, 0, size - 1)


def sample(images: Array, y: Array, x: Array, interpolation: str, fill_mode: str, fill_value: float) -> Array:
    """The images read at the positions (y, x), each (batch, rows, columns).  -> (batch, rows, columns, channels)"""
    _, height, width, channels = images.shape
    pixels = images.reshape((images.shape[0], height * width, channels))

    def read(row: Array, column: Array) -> Array:
        at = inside(row, height, fill_mode) * width + inside(column, width, fill_mode)
        found: Array = jax.vmap(lambda image, index: image[index])(pixels, at)  # (batch, rows, columns, channels)
        if fill_mode != "constant":
            return found
        known = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        return jnp.where(known[..., None], found, jnp.asarray(fill_value, images.dtype))

    if interpolation == "nearest":
        return read(lax.round(y).astype(jnp.int32), lax.round(x).astype(jnp.int32))
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = (y - top)[..., None], (x - left)[..., None]
    row, column = top.astype(jnp.int32), left.astype(jnp.int32)
    upper = read(row, column) * (1 - right) + read(row, column + 1) * right
    lower = read(row + 1, column) * (1 - right) + read(row + 1, column + 1) * right
    return (upper * (1 - down) + lower * down).astype(images.dtype)


def grid(images: Array) -> tuple[Array, Array]:
    """The row and the column of every pixel.  -> (1, height, width) each"""
    shape = (1, *images.shape[1:3])
    return lax.broadcasted_iota(work_dtype(images), shape, 1), lax.broadcasted_iota(work_dtype(images), shape, 2)


def project(images: Array, matrix: Array, interpolation: str, fill_mode: str, fill_value: float) -> Array:
    """Moves pixels: the pixel (x, y) of each result is read at (u/w, v/w), where `(u, v, w) = matrix @ (x, y, 1)`.

    matrix is (batch, 3, 3). If its last row is 0 0 1, the map is affine.
    """
    y, x = grid(images)
    m = matrix.astype(work_dtype(images))[..., None, None]  # (batch, 3, 3, 1, 1)
    u, v, w = (m[:, i, 0] * x + m[:, i, 1] * y + m[:, i, 2] for i in range(3))  # (batch, height, width) each
    return sample(images, v / w, u / w, interpolation, fill_mode, fill_value)


def affine(across: Sequence[ArrayLike], down: Sequence[ArrayLike]) -> Array:
    """The matrix of `u = across @ (x, y, 1)`, `v = down @ (x, y, 1)`, from (batch,) or numbers.  -> (batch, 3, 3)"""
    rows = jnp.broadcast_arrays(*(jnp.asarray(entry, jnp.float32) for entry in (*across, *down, 0, 0, 1)))
    return jnp.stack(rows, -1).reshape((*rows[0].shape, 3, 3))


def homography(start: Array, end: Array) -> Array:
    """The matrix that maps four points (x, y) of `end` to those of `start`, both (batch, 4, 2).  -> (batch, 3, 3)"""
    one, zero = jnp.ones_like(end[..., :1]), jnp.zeros_like(end)
    first = jnp.concatenate([end, one, zero, zero[..., :1], -start[..., :1] * end], -1)  # (batch, 4, 8)
    second = jnp.concatenate([zero, zero[..., :1], end, one, -start[..., 1:] * end], -1)
    values = jnp.linalg.solve(jnp.concatenate([first, second], 1), jnp.swapaxes(start, 1, 2).reshape((-1, 8, 1)))
    return jnp.concatenate([values, jnp.ones_like(values[:, :1])], 1).reshape((-1, 3, 3))


def blur(images: Array, size: tuple[int, int], sigma: Array) -> Array:
    """A Gaussian blur with zeros around the image; size and sigma, (batch, 2) or (1, 2), are for x and for y."""
    for axis, which in ((2, 0), (1, 1)):
        before = (size[which] - 1) // 2
        offset = jnp.arange(size[which], dtype=sigma.dtype) - (size[which] - 1) / 2
        taps = jnp.exp(-0.5 * jnp.square(offset / sigma[:, which, None]))  # (batch, size)
        taps = (taps / jnp.sum(taps, 1, keepdims=True)).astype(images.dtype)
        room = [(before, size[which] - 1 - before) if i == axis else (0, 0) for i in range(4)]
        padded, length = jnp.pad(images, room), images.shape[axis]
        slices = (lax.slice_in_dim(padded, k, k + length, axis=axis) for k in range(size[which]))
        images = sum((taps[:, k, None, None, None] * part for k, part in enumerate(slices)), jnp.zeros_like(images))
    return images


def smooth(images: Array) -> Array:
    """The 3×3 filter with 5/13 in the middle and 1/13 around it, with zeros around the image."""
    _, height, width, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    columns = padded[:, :height] + padded[:, 1:-1] + padded[:, 2:]
    return (columns[:, :, :width] + columns[:, :, 1:-1] + columns[:, :, 2:] + 4 * images) / 13


def rescaled(x: Array, source: Sequence[float], target: Sequence[float]) -> Array:
    """x, mapped from the range `source` to the range `target`."""
    (low, high), (bottom, top) = source, target
    return x if (low, high) == (bottom, top) else (x - low) / (high - low) * (top - bottom) + bottom


def gray(images: Array) -> Array:
    """The brightness of red, green and blue together; one channel is already gray.  -> (batch, height, width, 1)"""
    if images.shape[-1] == 1:
        return images
    weights = jnp.asarray([0.2989, 0.5870, 0.1140], images.dtype)
    return jnp.sum(images * weights, -1, keepdims=True)


def to_hsv(images: Array) -> tuple[Array, Array, Array]:
    """Hue (from 0 to 1), saturation and value of red, green and blue.  -> three of (batch, height, width)"""
    tiny = jnp.finfo(images.dtype).eps  # type: ignore[no-untyped-call]
    images = jnp.where(jnp.abs(images) < tiny, jnp.zeros((), images.dtype), images)
    r, g, b = images[..., 0], images[..., 1], images[..., 2]
    value = jnp.maximum(jnp.maximum(r, g), b)
    span = value - jnp.minimum(jnp.minimum(r, g), b)
    saturation = jnp.where(value > 0, span / jnp.where(value > 0, value, 1), 0)
    sixth = 1 / (6 * jnp.where(span > 0, span, 1))
    hue = jnp.where(value == g, sixth * (b - r) + 2 / 6, sixth * (r - g) + 4 / 6)
    hue = jnp.where(value == r, sixth * (g - b), hue)
    hue = jnp.where(span > 0, hue, 0)
    return hue + (hue < 0), saturation, value


def from_hsv(hue: Array, saturation: Array, value: Array) -> Array:
    """The inverse of `to_hsv`.  -> (batch, height, width, 3)"""
    turn = hue % 1 * 6
    parts = (jnp.abs(turn - 3) - 1, 2 - jnp.abs(turn - 2), 2 - jnp.abs(turn - 4))
    return jnp.stack([value * (1 - saturation + saturation * jnp.clip(part, 0, 1)) for part in parts], -1)


def equalized(channel: Array, bins: int) -> Array:
    """Values from 0 to 255, replaced by their rank, so that all values are about equally frequent.  any shape"""
    top = bins - 1
    index = jnp.clip((channel * top / 255).astype(jnp.int32), 0, top)
    count = jnp.zeros(bins, jnp.int32).at[index.reshape(-1)].add(1)
    below = jnp.cumsum(count)
    least = below[jnp.argmax(below > 0)]
    room = jnp.maximum(below[-1] - least, 1).astype(channel.dtype)
    table = jnp.clip(jnp.round((below - least).astype(channel.dtype) * 255 / room), 0, 255)
    place = jnp.clip(channel / 255 * top, 0, top).astype(jnp.int32)
    return jnp.where(jnp.sum(count > 0) <= 1, channel, table[place])


def locally_equalized(image: Array, tiles: tuple[int, int], clip_limit: float) -> Array:
    """Equalizes the histogram of each tile, and interpolates between tiles (CLAHE).

    image is (height, width, channels) with values from 0 to 255. The count of a value is limited to `clip_limit` times
    the mean count of a tile. The excess is spread over all values, so that noise is not amplified.
    """
    height, width, channels = image.shape
    rows, columns = tiles
    tall, wide = -(-height // rows), -(-width // columns)
    padded = jnp.pad(image, ((0, tall * rows - height), (0, wide * columns - width), (0, 0)), mode="symmetric")
    pixels = jnp.clip(padded, 0, 255).astype(jnp.int32)
    y, x, c = (jnp.arange(n, dtype=jnp.int32) for n in pixels.shape)
    tile = (y[:, None, None] // tall, x[:, None] // wide, c)
    count = jnp.zeros((rows, columns, channels, 256), image.dtype).at[(*tile, pixels)].add(1)
    if clip_limit > 0:
        kept = jnp.minimum(count, jnp.asarray(clip_limit * tall * wide / 256, image.dtype))
        count = kept + jnp.sum(count - kept, -1, keepdims=True) / 256
    below = jnp.cumsum(count, -1)
    least = below[..., :1]
    room = tall * wide - least
    table = jnp.clip((below - least) * 255 / jnp.where(room == 0, 1, room), 0, 255)
    table = jnp.pad(table, ((1, 1), (1, 1), (0, 0), (0, 0)), mode="edge")  # (rows + 2, columns + 2, channels, 256)
    down, across = (y.astype(image.dtype) / tall + 0.5, x.astype(image.dtype) / wide + 0.5)
    down, across = down[:, None, None], across[:, None]
    above, left = jnp.floor(down).astype(jnp.int32), jnp.floor(across).astype(jnp.int32)
    below_share, right_share = down - above, across - left
    upper, lower = (
        table[above + i, left, c, pixels] * (1 - right_share) + table[above + i, left + 1, c, pixels] * right_share
        for i in (0, 1)
    )
    return (upper * (1 - below_share) + lower * below_share)[:height, :width]
