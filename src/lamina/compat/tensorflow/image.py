"""Images as arrays, (rows, columns, channels) or (batch, rows, columns, channels)."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lamina._arrays.arrays import Array, HostArray
from lamina.compat.operations import array, operation
from lamina.compat.tensorflow.stand_in import StandIn
from lamina.errors import ArgumentError, DataError, MissingPackageError
from lamina.random import key_of, next_seed

GRAY = (0.2989, 0.587, 0.114)
"""The weights of red, green and blue in the brightness."""


class ResizeMethod(metaclass=StandIn):
    """The ways to resize."""

    BILINEAR, NEAREST_NEIGHBOR, BICUBIC, AREA = "bilinear", "nearest", "bicubic", "area"
    LANCZOS3, LANCZOS5 = "lanczos3", "lanczos5"


def resize(
    images: object, size: Sequence[int], method: str = "bilinear", preserve_aspect_ratio: bool = False,
    antialias: bool = False, name: str | None = None,
) -> Array:  # fmt: skip
    """Resize images. The result is float; with "nearest" it has the dtype of the images."""
    images = array(images)
    height, width = (int(side) for side in size)
    rows, columns = images.shape[-3:-1]
    if preserve_aspect_ratio:
        scale = min(height / rows, width / columns)
        height, width = round(rows * scale), round(columns * scale)
    if method == "nearest":
        at = [jnp.floor(jnp.arange(new) * (old / new)).astype(int) for new, old in ((height, rows), (width, columns))]
        return jnp.take(jnp.take(images, at[0], -3), at[1], -2)
    if method not in ("bilinear", "bicubic", "lanczos3", "lanczos5"):
        raise ArgumentError(
            f"resize(method={method!r}): expected 'bilinear', 'nearest', 'bicubic', 'lanczos3' or 'lanczos5'."
        )
    shape = (*images.shape[:-3], height, width, images.shape[-1])
    return jax.image.resize(images.astype(jnp.float32), shape, method, antialias)  # type: ignore[no-any-return]


def resize_with_pad(image: object, target_height: int, target_width: int, method: str = "bilinear") -> Array:
    """Resize images, and pad them with zeros to keep the aspect ratio."""
    found = resize(image, (target_height, target_width), method, preserve_aspect_ratio=True)
    missing = target_height - found.shape[-3], target_width - found.shape[-2]
    around = [(0, 0)] * (found.ndim - 3) + [(n // 2, n - n // 2) for n in missing] + [(0, 0)]
    return jnp.pad(found, around)


def central_crop(image: object, central_fraction: float) -> Array:
    """Crop the middle of images: this fraction of each side."""
    image = array(image)
    cut = [(side - int(side * central_fraction)) // 2 for side in image.shape[-3:-1]]
    rows, columns = image.shape[-3:-1]
    return image[..., cut[0] : rows - cut[0], cut[1] : columns - cut[1], :]


def crop_to_bounding_box(
    image: object, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Array:
    """Crop a window out of images."""
    rows, columns = (
        slice(offset_height, offset_height + target_height),
        slice(offset_width, offset_width + target_width),
    )
    return array(image)[..., rows, columns, :]


def convert_image_dtype(image: object, dtype: DTypeLike, saturate: bool = False, name: str | None = None) -> Array:
    """Convert images to another dtype, and scale them: integers up to the dtype's maximum, floats up to 1."""
    image, dtype = array(image), jnp.dtype(dtype)
    if image.dtype == dtype:
        return image
    if jnp.issubdtype(image.dtype, jnp.integer) and jnp.issubdtype(dtype, jnp.floating):
        return image.astype(dtype) / np.iinfo(image.dtype).max
    if jnp.issubdtype(image.dtype, jnp.floating) and jnp.issubdtype(dtype, jnp.integer):
        top = np.iinfo(dtype).max
        scaled = image * (top + 0.5)
        return (jnp.clip(scaled, 0, top) if saturate else scaled).astype(dtype)
    return image.astype(dtype)


def random_crop(value: object, size: Sequence[int], seed: int | None = None, name: str | None = None) -> Array:
    """Crop a window of this size at a random place."""
    value = array(value)
    key = key_of(next_seed() if seed is None else seed)
    free = jnp.array([have - want for have, want in zip(value.shape, size, strict=True)])
    start = jax.random.randint(key, free.shape, 0, free + 1)
    return jax.lax.dynamic_slice(value, list(start), tuple(int(each) for each in size))


def _standardize(image: Array) -> Array:
    x = image.astype(jnp.float32)
    axes = (-3, -2, -1)
    least = 1 / np.sqrt(np.prod(x.shape[-3:]))
    return (x - x.mean(axes, keepdims=True)) / jnp.maximum(x.std(axes, keepdims=True), least)


def _contrast(images: Array, factor: float | Array) -> Array:
    mean = images.mean((-3, -2), keepdims=True)
    return (images - mean) * factor + mean


def _clipped_like(change: Callable[[Array, Any], Array]) -> Callable[[Array, Any], Array]:
    """Extend a change of floats from 0 to 1 to integers."""

    def run(image: Array, amount: Any) -> Array:
        return convert_image_dtype(change(convert_image_dtype(image, "float32"), amount), image.dtype, saturate=True)

    return run


def _chance(change: Callable[[Array], Array]) -> Callable[..., Array]:
    """Make a change happen with a probability of one half."""

    def run(image: object, seed: int | None = None) -> Array:
        image = array(image)
        drawn = jax.random.bernoulli(key_of(next_seed() if seed is None else seed))
        return jnp.where(drawn, change(image), image)

    return run


def _drawn(change: Callable[[Array, Any], Array]) -> Callable[..., Array]:
    """Make a change whose amount is drawn between two numbers."""

    def run(image: object, lower: float, upper: float, seed: int | None = None) -> Array:
        key = key_of(next_seed() if seed is None else seed)
        return change(array(image), jax.random.uniform(key, (), minval=lower, maxval=upper))

    return run


def _left_right(image: Array) -> Array:
    return jnp.flip(image, -2)


def _up_down(image: Array) -> Array:
    return jnp.flip(image, -3)


_brightness = _clipped_like(lambda image, delta: image + delta)
_bright = _drawn(_brightness)
_functions = {
    "adjust_brightness": operation("tf.image.adjust_brightness", _brightness, "image delta"),
    "adjust_contrast": operation("tf.image.adjust_contrast", _clipped_like(_contrast), "images contrast_factor"),
    "flip_left_right": operation("tf.image.flip_left_right", _left_right, "image"),
    "flip_up_down": operation("tf.image.flip_up_down", _up_down, "image"),
    "grayscale_to_rgb": operation("tf.image.grayscale_to_rgb", lambda x: jnp.repeat(x, 3, -1), "images"),
    "per_image_standardization": operation("tf.image.per_image_standardization", _standardize, "image"),
    "random_brightness": lambda image, max_delta, seed=None: _bright(image, -max_delta, max_delta, seed),
    "random_contrast": _drawn(_clipped_like(_contrast)),
    "random_flip_left_right": _chance(_left_right),
    "random_flip_up_down": _chance(_up_down),
    "rgb_to_grayscale": operation(
        "tf.image.rgb_to_grayscale",
        lambda x: convert_image_dtype(
            (convert_image_dtype(x, "float32") * jnp.array(GRAY)).sum(-1, keepdims=True), x.dtype
        ),
        "images",
    ),
    "rot90": operation("tf.image.rot90", lambda x, k=1: jnp.rot90(x, k, (-3, -2)), "image", "k"),
    "transpose": operation("tf.image.transpose", lambda x: jnp.swapaxes(x, -3, -2), "image"),
}
globals().update(_functions)


def decode_image(contents: bytes, channels: int | None = 0, dtype: DTypeLike = "uint8", **kwargs: object) -> HostArray:
    """Decode the bytes of an image file.  -> (rows, columns, channels)"""
    try:
        from PIL import Image
    except ImportError:
        raise MissingPackageError('images are read with Pillow: pip install "lamina[images]".') from None
    mode = {0: None, None: None, 1: "L", 3: "RGB", 4: "RGBA"}[channels]
    try:
        image = Image.open(io.BytesIO(contents))
        pixels = np.asarray(image if mode is None or image.mode == mode else image.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"the bytes are no image that can be read: {error}") from None
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return pixels if dtype == "uint8" else np.asarray(convert_image_dtype(pixels, dtype))


decode_bmp = decode_gif = decode_jpeg = decode_png = decode_image

__all__ = [
    *_functions, "ResizeMethod", "central_crop", "convert_image_dtype", "crop_to_bounding_box", "decode_bmp",
    "decode_gif", "decode_image", "decode_jpeg", "decode_png", "random_crop", "resize", "resize_with_pad",
]  # fmt: skip
