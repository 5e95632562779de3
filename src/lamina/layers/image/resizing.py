"""Images in a stack: what their layers share, and the layers that change an image's size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina._base.converters import flag, number, one_of, positive, seed_value
from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, Shape
from lamina._kernels.bits import fold
from lamina._layer.forward import random_key
from lamina._layer.layer import Layer
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError
from lamina.random import key_of

Array = jax.Array
METHODS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


def interval(lowest: float, highest: float, start: float | None = None) -> Callable[[Any], tuple[float, float]]:
    """A setting that is a pair of numbers, or one number f for the pair (-f, f), cut off at `start` or `lowest`."""
    first = lowest if start is None else start

    def pair(value: Any) -> tuple[float, float]:
        if isinstance(value, (tuple, list)) and len(value) == 2:
            low, high = sorted(map(number, value))
        else:
            low = high = number(value)
        if not lowest <= low <= high <= highest:
            raise ArgumentError(f"expected a number or a pair of numbers from {lowest} to {highest}, got {value!r}.")
        return (low, high) if isinstance(value, (tuple, list)) else (max(-abs(high), first), abs(high))

    return pair


def ordered(value: Any) -> tuple[float, float]:
    """The lowest and the highest value of a pixel."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or number(value[0]) == number(value[1]):
        raise ArgumentError(f"expected the lowest and the highest value of a pixel, as (0, 255), got {value!r}.")
    low, high = sorted(map(number, value))
    return low, high


def uniform(key: Array, shape: tuple[int, ...], span: tuple[float, float] = (0.0, 1.0)) -> Array:
    """Even numbers from `span[0]` to `span[1]`.  -> shape, float32"""
    return jax.random.uniform(key, shape, jnp.float32, *span)


def happens(key: Array, batch: int, factor: tuple[float, float]) -> Array:
    """True for an image with a probability that is itself drawn from the range `factor`.  -> (batch, 1, 1, 1)"""
    chance, threshold = uniform(key, (2, batch, 1, 1, 1))
    applies: Array = threshold < chance * (factor[1] - factor[0]) + factor[0]
    return applies


class ImageLayer(Layer):
    """Takes images (batch, height, width, channels), or (batch, channels, height, width) if "channels_first"."""

    data_format: str | None = setting(data_format, default=None, kw_only=True)

    channels: ClassVar[tuple[int, ...]] = ()
    """How many channels its formula is for; any number if empty."""
    _lamina_instead: ClassVar[dict[str, str]] = {"bounding_box_format": "A stack takes images alone, without boxes."}

    _lamina_trains_by_default: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        self._lamina_check_input(input_shape)  # a layer within another one is built before its input is looked at
        found = input_shape[1 if self.data_format == "channels_first" else 3]
        if self.channels and found not in self.channels:
            raise ShapeError(f"wants {' or '.join(map(str, self.channels))} channels ({self.data_format}), got {found}")

    def transform(self, x: Array) -> Array:
        """What the layer does to images (batch, height, width, channels)."""
        raise NotImplementedError(f"{type(self).__name__} needs a method transform(self, x).")

    def changed(self, key: Array, x: Array) -> Array:
        """`transform`, with what else it takes drawn by means of `key`."""
        return self.transform(x)

    def call(self, x: Array) -> Array:
        return self._turned(self.transform(self._turned(x.astype(self.compute_dtype), 1, 3)), 3, 1)

    def _turned(self, x: Array, source: int, target: int) -> Array:
        return jnp.moveaxis(x, source, target) if self.data_format == "channels_first" else x


class RandomImageLayer(ImageLayer):
    """Changes images while training, each with numbers of its own, and passes them on unchanged otherwise.

    Called by itself, `layer(images)`, it changes them as well, unless it is told `training=False`. The numbers are a
    pure function of (seed, step, layer); `seed` gives this layer numbers of its own, whatever the model's seed. A
    subclass says in `draw` which numbers, and in `transform` what becomes of the images with them.
    """

    seed: int | None = setting(seed_value, default=None, kw_only=True)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        """The random arguments of `transform` for images of `shape`, the channels last."""
        return {}

    def transform(self, x: Array, **drawn: Any) -> Array:
        raise NotImplementedError(f"{type(self).__name__} needs a method transform(self, x, ...).")

    def changed(self, key: Array, x: Array) -> Array:
        return self.transform(x, **self.draw(key, x.shape))

    def call(self, x: Array, training: bool = False) -> Array:
        x = x.astype(self.compute_dtype)
        if not training:
            return x
        key = random_key(self)
        if self.seed is not None:
            key = fold(key_of(self.seed), key[0])
        return self._turned(self.changed(key, self._turned(x, 1, 3)), 3, 1).astype(x.dtype)


def fitted(x: Array, height: int, width: int) -> Array:
    """The largest window in the middle that has the shape of `height` × `width`."""
    tall = max(min(x.shape[1], x.shape[2] * height // width), 1)
    wide = max(min(x.shape[2], x.shape[1] * width // height), 1)
    top, left = (x.shape[1] - tall) // 2, (x.shape[2] - wide) // 2
    return x[:, top : top + tall, left : left + wide]


def resized(x: Array, height: int, width: int, method: str = "bilinear", antialias: bool = False) -> Array:
    """Images of `height` × `width` pixels."""
    y: Array = jax.image.resize(x, (x.shape[0], height, width, x.shape[3]), method=method, antialias=antialias)
    return y


class Resizing(ImageLayer):
    """Scales images to `height` × `width`; whole numbers stay whole numbers, rounded.

    With `crop_to_aspect_ratio` the largest window of the target's shape is taken first, with `pad_to_aspect_ratio`
    the image gets an edge of `fill_value`, so that nothing is distorted.

    >>> Resizing(8, 8)(jnp.ones((1, 32, 32, 3))).shape
    (1, 8, 8, 3)

    Args:
        antialias: whether an image is smoothed before it shrinks.
    """

    height: int = setting(positive)  # type: ignore[misc]
    width: int = setting(positive)  # type: ignore[misc]
    interpolation: str = setting(one_of(*METHODS), default="bilinear")
    crop_to_aspect_ratio: bool = setting(flag, default=False)
    pad_to_aspect_ratio: bool = setting(flag, default=False)
    fill_mode: str = setting(one_of("constant"), default="constant")
    fill_value: float = setting(number, default=0.0)
    antialias: bool = setting(flag, default=False)
    data_format: str | None = setting(data_format, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ArgumentError("Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio cannot both be True.")

    def call(self, x: Array) -> Array:
        y = self._turned(self.transform(self._turned(x, 1, 3)), 3, 1)
        if jnp.issubdtype(x.dtype, jnp.integer):
            limits = np.iinfo(x.dtype)
            y = jnp.clip(jnp.round(y), limits.min, limits.max)
        return y.astype(x.dtype)

    def transform(self, x: Array) -> Array:
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
        if self.crop_to_aspect_ratio:
            x = fitted(x, self.height, self.width)
        if self.pad_to_aspect_ratio:
            _, height, width, _ = x.shape
            above = (max(height, width * self.height // self.width) - height) // 2
            beside = (max(width, height * self.width // self.height) - width) // 2
            fill = jnp.asarray(self.fill_value, x.dtype)
            x = jnp.pad(x, ((0, 0), (above, above), (beside, beside), (0, 0)), constant_values=fill)
        return resized(x, self.height, self.width, self.interpolation, self.antialias)


class CenterCrop(ImageLayer):
    """Cuts `height` × `width` pixels out of the middle.

    From a smaller image it takes the largest window of that shape, and scales it up.

    >>> CenterCrop(2, 2)(jnp.arange(16.0).reshape(1, 4, 4, 1))[0, :, :, 0]
    Array([[ 5.,  6.],
           [ 9., 10.]], dtype=float32)
    """

    height: int = setting(positive)  # type: ignore[misc]
    width: int = setting(positive)  # type: ignore[misc]
    data_format: str | None = setting(data_format, default=None)

    def transform(self, x: Array) -> Array:
        top, left = (x.shape[1] - self.height) // 2, (x.shape[2] - self.width) // 2
        if top < 0 or left < 0:
            return resized(fitted(x, self.height, self.width), self.height, self.width)
        return x[:, top : top + self.height, left : left + self.width]


class RandomCrop(RandomImageLayer):
    """While training, cuts `height` × `width` pixels out of each image, at a place of its own.

    Otherwise, and from smaller images, it takes the largest window of that shape in the middle and scales it.

    >>> RandomCrop(8, 8)(jnp.ones((1, 32, 32, 3)), training=True).shape
    (1, 8, 8, 3)
    """

    height: int = setting(positive)  # type: ignore[misc]
    width: int = setting(positive)  # type: ignore[misc]
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)
    name: Any = setting(default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        room = jnp.asarray([shape[1] - self.height + 1, shape[2] - self.width + 1], jnp.int32)
        return {"corner": jax.random.randint(key, (shape[0], 2), 0, room, jnp.int32)}

    def transform(self, x: Array, corner: Array) -> Array:  # type: ignore[override]  # (batch, 2)
        size = (self.height, self.width, x.shape[3])
        return jax.vmap(lambda image, at: lax.dynamic_slice(image, (at[0], at[1], jnp.zeros_like(at[0])), size))(
            x, corner
        )

    def call(self, x: Array, training: bool = False) -> Array:
        tall, wide = x.shape[2:] if self.data_format == "channels_first" else x.shape[1:3]
        if training and tall >= self.height and wide >= self.width:
            return super().call(x, training=True)
        y = self._turned(x.astype(self.compute_dtype), 1, 3)
        return self._turned(resized(fitted(y, self.height, self.width), self.height, self.width), 3, 1)
