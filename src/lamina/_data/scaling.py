"""Scales images, and resamples sounds, on the host: files have many sizes, for each of which JAX would compile anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lamina._data.arrays import HostArray


def _lanczos(radius: int) -> Callable[[HostArray], HostArray]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


def _cubic(b: float, c: float) -> Callable[[HostArray], HostArray]:
    """The family of cubic filters (Mitchell and Netravali 1988, "Reconstruction filters in computer graphics")."""
    near = np.polynomial.Polynomial([6 - 2 * b, 0, 12 * b + 6 * c - 18, 12 - 9 * b - 6 * c])
    far = np.polynomial.Polynomial([8 * b + 24 * c, -12 * b - 48 * c, 6 * b + 30 * c, -b - 6 * c])
    return lambda x: np.where(x < 1, near(x), np.where(x < 2, far(x), 0)) / 6


FILTERS: dict[str, Callable[[HostArray], HostArray]] = {
    "bilinear": lambda x: np.maximum(1 - x, 0),
    "bicubic": _cubic(0, 0.5),
    "mitchellcubic": _cubic(1 / 3, 1 / 3),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
    "gaussian": lambda x: np.where(x < 1.5, np.exp(-2 * x**2), 0),
}
"""How much a pixel counts at a distance from the place that is read."""
INTERPOLATIONS = ("nearest", "area", *FILTERS)


def scaled(image: HostArray, height: int, width: int, interpolation: str) -> HostArray:
    """The image (rows, columns, channels) with `height` rows and `width` columns, float32."""
    pixels = image.astype(np.float32, copy=False)
    for axis, size in enumerate((height, width)):
        if pixels.shape[axis] == size:
            continue
        if interpolation == "nearest":
            places = np.floor((np.arange(size, dtype=np.float32) + 0.5) * pixels.shape[axis] / size)
            pixels = pixels.take(places.astype(np.int64), axis)
        else:
            weights = _weights(pixels.shape[axis], size, interpolation)
            used = weights.any(0)  # few pixels count where an image becomes much smaller
            product = np.tensordot(weights[:, used], np.compress(used, pixels, axis), (1, axis))
            pixels = np.moveaxis(product, 0, axis)
    return np.ascontiguousarray(pixels)


def fitted(image: HostArray, height: int, width: int) -> HostArray:
    """The largest window in the middle of an image (rows, columns, channels) with the aspect ratio `width / height`."""
    rows, columns = image.shape[:2]
    tall, wide = max(min(rows, columns * height // width), 1), max(min(columns, rows * width // height), 1)
    top, left = (rows - tall) // 2, (columns - wide) // 2
    return image[top : top + tall, left : left + wide]


def padded(image: HostArray, height: int, width: int) -> HostArray:
    """An image (rows, columns, channels) with zeros around it, so that its aspect ratio is `width / height`."""
    rows, columns = image.shape[:2]
    above = (max(rows, columns * height // width) - rows) // 2
    beside = (max(columns, rows * width // height) - columns) // 2
    return np.pad(image, ((above, above), (beside, beside), (0, 0)))


def resampled(sound: HostArray, size: int) -> HostArray:
    """A sound (samples, channels) of another rate, with `size` samples, by its Fourier series.

    What is too high for the new rate is left out. At both ends the sound counts as if it went on with its other end.
    """
    count = len(sound)
    if size == count:
        return sound
    series, kept = np.fft.rfft(sound, axis=0), min(count, size) // 2 + 1
    series = series[:kept]
    if min(count, size) % 2 == 0:  # the highest frequency stands for two
        series[-1] *= 0.5 if size > count else 2
    return (np.fft.irfft(series, size, axis=0) * (size / count)).astype(sound.dtype)


def _weights(old: int, new: int, interpolation: str) -> HostArray:
    """How much each old pixel counts for each new one.  -> (new, old)"""
    scale = old / new
    if interpolation == "area":
        begin = np.arange(new)[:, None] * scale
        overlap = np.minimum(begin + scale, np.arange(old) + 1) - np.maximum(begin, np.arange(old))
        return np.asarray(np.maximum(overlap, 0) / scale, np.float32)
    places = (np.arange(new)[:, None] + 0.5) * scale - 0.5
    weights = FILTERS[interpolation](np.abs(places - np.arange(old)))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
