"""Changes one image, (rows, columns, channels) in any order of the axes, with NumPy and SciPy."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from scipy import ndimage

from lamina._arrays.arrays import HostArray
from lamina.errors import ArgumentError

__all__ = [
    "apply_affine_transform", "apply_brightness_shift", "apply_channel_shift", "random_brightness",
    "random_channel_shift", "random_rotation", "random_shear", "random_shift", "random_zoom",
]  # fmt: skip

Image: TypeAlias = HostArray


def apply_affine_transform(
    x: Image, theta: float = 0, tx: float = 0, ty: float = 0, shear: float = 0, zx: float = 1, zy: float = 1,
    row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest", cval: float = 0.0,
    order: int = 1,
) -> Image:  # fmt: skip
    """Rotates, shifts, shears and zooms an image around its middle, in this order.

    Args:
        theta: the angle of the rotation in degrees.
        tx, ty: the shift in pixels, along the axis of the rows and along the axis of the columns.
        shear: the angle of the shear in degrees.
        zx, zy: the share of each axis that is visible; below 1 the image gets larger.
        row_axis, col_axis, channel_axis: the indices of the axes.
        fill_mode: how the area outside of the image is filled: "nearest", "constant", "reflect" or "wrap".
        cval: the value for "constant".
        order: the order of the interpolation, 0 to 5.
    """
    if {row_axis, col_axis, channel_axis} != {0, 1, 2} or x.ndim != 3 or channel_axis == 1:
        raise ArgumentError(
            f"an image has three axes, with the channels first or last; got the shape {x.shape} with the rows on axis "
            f"{row_axis}, the columns on {col_axis} and the channels on {channel_axis}."
        )
    angle, slant = np.deg2rad(theta), np.deg2rad(shear)
    steps = (
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]],
        [[1, 0, tx], [0, 1, ty], [0, 0, 1]],
        [[1, -np.sin(slant), 0], [0, np.cos(slant), 0], [0, 0, 1]],
        [[zx, 0, 0], [0, zy, 0], [0, 0, 1]],
    )
    matrix = functools.reduce(np.matmul, (np.array(step, float) for step in steps))
    if np.array_equal(matrix, np.eye(3)):
        return x
    middle = np.eye(3)
    middle[:2, 2] = [x.shape[row_axis] / 2 - 0.5, x.shape[col_axis] / 2 - 0.5]
    matrix = middle @ matrix @ np.linalg.inv(middle)
    if col_axis > row_axis:  # in the formulas the axis of the columns comes first
        matrix = matrix[[1, 0, 2]][:, [1, 0, 2]]
    channels = [
        ndimage.affine_transform(channel, matrix[:2, :2], matrix[:2, 2], order=order, mode=fill_mode, cval=cval)
        for channel in np.moveaxis(x, channel_axis, 0)
    ]
    return np.stack(channels, channel_axis)


def apply_channel_shift(x: Image, intensity: float, channel_axis: int = 0) -> Image:
    """Adds a number to all channels, and clips the result to the range of the image."""
    shifted: Image = np.clip(x + intensity, x.min(), x.max())
    return shifted


def apply_brightness_shift(x: Image, brightness: float, scale: bool = True) -> Image:
    """Multiplies the brightness. The values are rounded to the 256 levels of a picture.

    Args:
        scale: whether the values are first scaled to the range 0 to 255.
    """
    least, most = x.min(), x.max()
    outside = bool(least < 0 or most > 255)
    if scale or outside:
        x = x - least
        x = x / x.max() * 255 if x.max() else x
    steps = np.clip(np.floor(x.astype(np.uint8) * np.float32(brightness)), 0, 255).astype(np.float32)
    result: Image = steps / 255 * (most - least) + least if outside and not scale else steps
    return result


def random_rotation(
    x: Image, rg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0, fill_mode: str = "nearest",
    cval: float = 0.0, interpolation_order: int = 1,
) -> Image:  # fmt: skip
    """Rotates by up to `rg` degrees."""
    theta = np.random.uniform(-rg, rg)
    return apply_affine_transform(
        x, theta, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode, cval=cval,
        order=interpolation_order,
    )  # fmt: skip


def random_shift(
    x: Image, wrg: float, hrg: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> Image:  # fmt: skip
    """Shifts by up to the fraction `wrg` of the width and `hrg` of the height."""
    tx = np.random.uniform(-hrg, hrg) * x.shape[row_axis]
    ty = np.random.uniform(-wrg, wrg) * x.shape[col_axis]
    return apply_affine_transform(
        x, tx=tx, ty=ty, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode,
        cval=cval, order=interpolation_order,
    )  # fmt: skip


def random_shear(
    x: Image, intensity: float, row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> Image:  # fmt: skip
    """Shears by up to `intensity` degrees."""
    shear = np.random.uniform(-intensity, intensity)
    return apply_affine_transform(
        x, shear=shear, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode,
        cval=cval, order=interpolation_order,
    )  # fmt: skip


def random_zoom(
    x: Image, zoom_range: Sequence[float], row_axis: int = 1, col_axis: int = 2, channel_axis: int = 0,
    fill_mode: str = "nearest", cval: float = 0.0, interpolation_order: int = 1,
) -> Image:  # fmt: skip
    """Zooms each axis by a number from the range."""
    low, high = pair(zoom_range, "zoom_range")
    zx, zy = (1, 1) if low == high == 1 else np.random.uniform(low, high, 2)
    return apply_affine_transform(
        x, zx=zx, zy=zy, row_axis=row_axis, col_axis=col_axis, channel_axis=channel_axis, fill_mode=fill_mode,
        cval=cval, order=interpolation_order,
    )  # fmt: skip


def random_channel_shift(x: Image, intensity_range: float, channel_axis: int = 0) -> Image:
    """Adds up to `intensity_range` to all channels."""
    return apply_channel_shift(x, np.random.uniform(-intensity_range, intensity_range), channel_axis)


def random_brightness(x: Image, brightness_range: Sequence[float], scale: bool = True) -> Image:
    """Multiplies the brightness by a number from the range."""
    return apply_brightness_shift(x, np.random.uniform(*pair(brightness_range, "brightness_range")), scale)


def pair(value: object, name: str) -> tuple[float, float]:
    """Two numbers."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ArgumentError(f"{name}: expected two numbers, as in (0.8, 1.2), got {value!r}.")
    return value[0], value[1]
