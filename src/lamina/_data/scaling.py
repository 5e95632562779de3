"""Scales images and resamples sounds on the host, because JAX would compile a program for each size of a file."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lamina._arrays.arrays import HostArray


def _lanczos(radius: int) -> Callable[[HostArray], HostArray]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


def _cubic(b: float, c: float) -> Callable[[HostArray], HostArray]:
    """The family of cubic filters (Mitchell and Netravali 1988, "Reconstruction filters in computer graphics")."""
    near = np.polynomial.Polynomial([6 - 2 * b, 0, 12 * b + 6 * c - 18, 12 - 9 * b - 6 * c])
    far = np.polynomial.Polynomial([8 * b + 24 * c, -12 * b - 48 * c, 6 * b + 30 * c, -b - 6 * c])
    return lambda x: np.where(x < 1, near(x), np.where(x < 2, far(x), 0)) / 6


FILTERS: dict[str, tuple[int, Callable[[HostArray], HostArray]]] = {
    "bilinear": (1, lambda x: np.maximum(1 - x, 0)),
    "bicubic": (2, _cubic(0, 0.5)),
    "mitchellcubic": (2, _cubic(1 / 3, 1 / 3)),
    "lanczos3": (3, _lanczos(3)),
    "lanczos5": (5, _lanczos(5)),
    "gaussian": (2, lambda x: np.where(x < 1.5, np.exp(-2 * x**2), 0)),
}
"""For each interpolation: the radius in which pixels have a weight, and the weight as a function of the distance."""
INTERPOLATIONS = ("nearest", "area", *FILTERS)


def scaled(image: HostArray, height: int, width: int, interpolation: str) -> HostArray:
    """Scale an image (rows, columns, channels) to `height` rows and `width` columns, as float32."""
    pixels = image.astype(np.float32, copy=False)
    for axis, size in enumerate((height, width)):
        if pixels.shape[axis] == size:
            continue
        if interpolation == "nearest":
            places = np.floor((np.arange(size, dtype=np.float32) + 0.5) * pixels.shape[axis] / size)
            pixels = pixels.take(places.astype(np.int64), axis)
        else:
            taps = zip(*_taps(pixels.shape[axis], size, interpolation), strict=True)
            last = (-1,) + (1,) * (2 - axis)  # the axis is the first or the second of three
            pixels = sum((pixels.take(at, axis) * w.reshape(last) for at, w in taps), np.zeros(1, np.float32))
    return pixels


def fitted(image: HostArray, height: int, width: int) -> HostArray:
    """Cut the largest window with the aspect ratio `width / height` from the middle of an image.  -> (rows, cols, c)"""
    rows, columns = image.shape[:2]
    tall, wide = max(min(rows, columns * height // width), 1), max(min(columns, rows * width // height), 1)
    top, left = (rows - tall) // 2, (columns - wide) // 2
    return image[top : top + tall, left : left + wide]


def padded(image: HostArray, height: int, width: int) -> HostArray:
    """Add zeros around an image (rows, columns, channels), so that its aspect ratio is `width / height`."""
    rows, columns = image.shape[:2]
    above = (max(rows, columns * height // width) - rows) // 2
    beside = (max(columns, rows * width // height) - columns) // 2
    return np.pad(image, ((above, above), (beside, beside), (0, 0)))


def resampled(sound: HostArray, size: int) -> HostArray:
    """Resample a sound (samples, channels) to `size` samples with its Fourier series.

    Frequencies that are too high for the new rate are removed. The series treats the sound as periodic.
    """
    count = len(sound)
    if size == count:
        return sound
    series, kept = np.fft.rfft(sound, axis=0), min(count, size) // 2 + 1
    series = series[:kept]
    if min(count, size) % 2 == 0:  # the highest coefficient stands for a positive and a negative frequency
        series[-1] *= 0.5 if size > count else 2
    return (np.fft.irfft(series, size, axis=0) * (size / count)).astype(sound.dtype)


def _taps(old: int, new: int, interpolation: str) -> tuple[HostArray, HostArray]:
    """The places and the weights of the old pixels that make each new pixel.  -> two arrays of (taps, new)"""
    scale = old / new
    if interpolation == "area":
        begin = np.arange(new) * scale
        places = np.floor(begin) + np.arange(math.ceil(scale) + 1)[:, None]
        weights = np.maximum(np.minimum(begin + scale, places + 1) - np.maximum(begin, places), 0)
    else:
        radius, weigh = FILTERS[interpolation]
        middle = (np.arange(new) + 0.5) * scale - 0.5
        places = np.floor(middle) + np.arange(1 - radius, radius + 1)[:, None]
        weights = weigh(np.abs(middle - places))
    weights = np.where((places >= 0) & (places < old), weights, 0)
    return places.clip(0, old - 1).astype(np.int64), np.asarray(weights / weights.sum(0), np.float32)
