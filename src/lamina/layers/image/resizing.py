"""Layers that change the size of images: scaling and cropping."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina._arrays.arrays import Array
from lamina._kernels.images import affine
from lamina._settings.arguments import DataFormat, Name
from lamina._settings.converters import flag, number, one_of, positive, seed_value
from lamina._settings.settings import setting, value_of
from lamina.config import data_format
from lamina.errors import ArgumentError
from lamina.layers.image.base import Drawn, ImageLayer, RandomImageLayer, Sizes, channels_last

Method: TypeAlias = Literal["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"]


def window(shape: Sizes, height: int, width: int) -> tuple[int, int, int, int]:
    """The top, the left edge, the height and the width of the window in the middle."""
    tall = max(min(shape[1], shape[2] * height // width), 1)
    wide = max(min(shape[2], shape[1] * width // height), 1)
    return (shape[1] - tall) // 2, (shape[2] - wide) // 2, tall, wide


def read_from(part: tuple[int, int, int, int], height: int, width: int) -> Array:
    """The matrix that scales a part of the images to `height` × `width`; the part may extend beyond the images."""
    top, left, tall, wide = part
    return affine((wide / width, 0, left), (0, tall / height, top))


def fitted(x: Array, height: int, width: int) -> Array:
    """The largest window in the middle of the images that has the aspect ratio `width / height`."""
    top, left, tall, wide = window(x.shape, height, width)
    return x[:, top : top + tall, left : left + wide]


def padded(x: Array, height: int, width: int, fill_value: float) -> Array:
    """The images, padded with `fill_value` to the aspect ratio `width / height`."""
    above, beside = margins_of(x.shape, height, width)
    margins = ((0, 0), (above, above), (beside, beside), (0, 0))
    return jnp.pad(x, margins, constant_values=jnp.asarray(fill_value, x.dtype))


def margins_of(shape: Sizes, height: int, width: int) -> tuple[int, int]:
    """The number of rows and columns of padding on each side."""
    above = (max(shape[1], shape[2] * height // width) - shape[1]) // 2
    return above, (max(shape[2], shape[1] * width // height) - shape[2]) // 2


def resized(x: Array, height: int, width: int, method: str = "bilinear", antialias: bool = False) -> Array:
    """Images scaled to `height` × `width` pixels."""
    y: Array = jax.image.resize(x, (x.shape[0], height, width, x.shape[3]), method=method, antialias=antialias)
    return y


class SizedLayer(ImageLayer):
    """Base of the layers whose output has a given size.

    Args:
        height: the height of the output in pixels.
        width: the width of the output in pixels.
    """

    def _lamina_size(self, shape: Sizes) -> tuple[int, int]:
        return value_of(self, "height"), value_of(self, "width")


class Resizing(SizedLayer):
    """Scales images to `height` × `width`; integer images are rounded to integers.

    >>> Resizing(8, 8)(jnp.ones((1, 32, 32, 3))).shape
    (1, 8, 8, 3)

    Args:
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: whether to crop the image first to the largest window with the output's aspect ratio.
        pad_to_aspect_ratio: whether to pad the image first to the output's aspect ratio.
        fill_mode: "constant", the only supported padding.
        fill_value: the value of the padding.
        antialias: whether to smooth an image before it gets smaller.
    """

    height: int = setting(positive)
    width: int = setting(positive)
    interpolation: Method = setting(one_of(*get_args(Method)), default="bilinear")
    crop_to_aspect_ratio: bool = setting(flag, default=False)
    pad_to_aspect_ratio: bool = setting(flag, default=False)
    fill_mode: Literal["constant"] = setting(one_of("constant"), default="constant")
    fill_value: float = setting(number, default=0.0)
    antialias: bool = setting(flag, default=False)
    data_format: DataFormat = setting(data_format, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ArgumentError("Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio cannot both be True.")

    def _lamina_matrix(self, shape: Sizes) -> Array:
        part = (0, 0, shape[1], shape[2])
        if self.crop_to_aspect_ratio:
            part = window(shape, self.height, self.width)
        if self.pad_to_aspect_ratio:
            above, beside = margins_of(shape, self.height, self.width)
            part = (-above, -beside, shape[1] + 2 * above, shape[2] + 2 * beside)
        return read_from(part, self.height, self.width)

    def _lamina_with(self, key: Array | None, x: Array) -> Array:
        y = channels_last(self, self._lamina_transform, x)
        if jnp.issubdtype(x.dtype, jnp.integer):
            limits = np.iinfo(x.dtype)
            y = jnp.clip(jnp.round(y), limits.min, limits.max)
        return y.astype(x.dtype)

    def _lamina_transform(self, x: Array) -> Array:
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
        if self.crop_to_aspect_ratio:
            x = fitted(x, self.height, self.width)
        if self.pad_to_aspect_ratio:
            x = padded(x, self.height, self.width, self.fill_value)
        return resized(x, self.height, self.width, self.interpolation, self.antialias)


class CenterCrop(SizedLayer):
    """Crops images to the `height` × `width` pixels in the middle.

    If the image is smaller, the largest window with that aspect ratio is scaled up.

    >>> CenterCrop(2, 2)(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    Array([[ 5.,  6.],
           [ 9., 10.]], dtype=float32)
    """

    height: int = setting(positive)
    width: int = setting(positive)
    data_format: DataFormat = setting(data_format, default=None)

    def _lamina_transform(self, x: Array) -> Array:
        top, left = (x.shape[1] - self.height) // 2, (x.shape[2] - self.width) // 2
        if top < 0 or left < 0:
            return resized(fitted(x, self.height, self.width), self.height, self.width)
        return x[:, top : top + self.height, left : left + self.width]

    def _lamina_matrix(self, shape: Sizes) -> Array:
        top, left = (shape[1] - self.height) // 2, (shape[2] - self.width) // 2
        inside = (top, left, self.height, self.width)
        part = window(shape, self.height, self.width) if top < 0 or left < 0 else inside
        return read_from(part, self.height, self.width)


class RandomCrop(RandomImageLayer, SizedLayer):
    """In training mode, crops each image to `height` × `width` pixels at a random place.

    In inference, and if the image is smaller, the largest window in the middle with that aspect ratio is scaled.

    >>> RandomCrop(8, 8)(jnp.ones((1, 32, 32, 3)), training=True).shape
    (1, 8, 8, 3)
    """

    name: Name = setting(init=False)
    height: int = setting(positive)
    width: int = setting(positive)
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)
    _lamina_name: Name = setting(default=None, alias="name")

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        room = jnp.asarray([shape[1] - self.height + 1, shape[2] - self.width + 1], jnp.int32)
        return {"corner": jax.random.randint(key, (shape[0], 2), 0, room, jnp.int32)}

    def _lamina_transform(self, x: Array, corner: Array) -> Array:  # (batch, 2)
        size = (self.height, self.width, x.shape[3])
        return jax.vmap(lambda image, at: lax.dynamic_slice(image, (at[0], at[1], jnp.zeros_like(at[0])), size))(
            x, corner
        )

    def _lamina_matrix(self, shape: Sizes, **drawn: Array) -> Array:
        top, left = jnp.moveaxis(drawn["corner"], -1, 0)
        return affine((1, 0, left), (0, 1, top))

    def _lamina_places(self, key: Drawn | None, shape: Sizes) -> Array | None:
        if key is not None and shape[1] >= self.height and shape[2] >= self.width:
            return super()._lamina_places(key, shape)
        return read_from(window(shape, self.height, self.width), self.height, self.width)

    def _lamina_with(self, key: Array | None, x: Array) -> Array:
        tall, wide = x.shape[2:] if self.data_format == "channels_first" else x.shape[1:3]
        if key is not None and tall >= self.height and wide >= self.width:
            return super()._lamina_with(key, x)
        scaled = lambda images: resized(fitted(images, self.height, self.width), self.height, self.width)  # noqa: E731
        return channels_last(self, scaled, x.astype(self.compute_dtype))
