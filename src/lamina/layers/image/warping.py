"""Augmentation layers that move the pixels of an image: flip, rotation, zoom, shift, shear, perspective, waves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._kernels.images import FILL_MODES, affine, blur, grid, homography, project, sample
from lamina._settings.arguments import DataFormat
from lamina._settings.converters import number, one_of, optional, rate, seed_value
from lamina._settings.settings import setting, value_of
from lamina.config import data_format
from lamina.errors import ArgumentError
from lamina.layers.image.base import RandomImageLayer, Sizes, happens, uniform
from lamina.layers.image.settings import (
    BYTE,
    Interpolation,
    Range,
    ValueRange,
    interpolations,
    ordered,
    share,
    signed_share,
)

fill_modes = one_of(*FILL_MODES)
FillMode: TypeAlias = Literal["reflect", "wrap", "constant", "nearest"]
FlipMode: TypeAlias = Literal["horizontal_and_vertical", "horizontal", "vertical"]
Shift: TypeAlias = float | Sequence[float]


def shift(value: Any) -> Shift:
    """A fraction of the size of an image, or a pair of them; stored as given."""
    signed_share(value)
    return value  # type: ignore[no-any-return]


def zoom(value: Any) -> Shift:
    """A `shift` above -1, since -1 would shrink the image to nothing."""
    signed_share(value)
    if (min(value) if isinstance(value, (tuple, list)) else value) <= -1:
        raise ArgumentError(f"expected a number or a pair of numbers above -1 and up to 1, got {value!r}.")
    return value  # type: ignore[no-any-return]


class RandomFlip(RandomImageLayer):
    """In training mode, mirrors each image with probability 1/2: left to right, upside down, or each independently.

    >>> RandomFlip("horizontal")(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        mode: "horizontal" for left to right, "vertical" for upside down, or "horizontal_and_vertical".
    """

    mode: FlipMode = setting(one_of(*get_args(FlipMode)), default="horizontal_and_vertical")
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)

    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"flips"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        return {"flips": uniform(key, (2, shape[0])) < 0.5}  # horizontal, then vertical

    def _lamina_transform(self, x: Array, flips: Array) -> Array:  # (2, batch), or for both ways as one
        across, down = jnp.broadcast_to(flips.reshape(-1, len(x), 1, 1, 1), (2, len(x), 1, 1, 1))
        if self.mode != "vertical":
            x = jnp.where(across, x[:, :, ::-1], x)
        return x if self.mode == "horizontal" else jnp.where(down, x[:, ::-1], x)

    def _lamina_matrix(self, shape: Sizes, **drawn: Array) -> Array:
        across, down = jnp.broadcast_to(drawn["flips"].reshape(-1, shape[0]), (2, shape[0]))
        across, down = across & (self.mode != "vertical"), down & (self.mode != "horizontal")
        left, top = jnp.where(across, shape[2], 0), jnp.where(down, shape[1], 0)
        return affine((jnp.where(across, -1, 1), 0, left), (0, jnp.where(down, -1, 1), top))


class WarpLayer(RandomImageLayer):
    """Base of the layers that move the pixels of an image: each output pixel is read from another place.

    Args:
        fill_mode: the values read beyond the edges of a row (a b c d): "reflect" d c b a | a b c d | d c b a, "wrap"
            a b c d | a b c d | a b c d, "nearest" a a a a | a b c d | d d d d; "constant" reads the `fill_value`.
        interpolation: how values between pixels are read, "bilinear" or "nearest".
        fill_value: the value beyond the edges for the `fill_mode` "constant".
    """

    def _lamina_transform(self, x: Array, **drawn: Any) -> Array:
        matrix = self._lamina_matrix(x.shape, **drawn)
        assert matrix is not None, "each of these layers moves pixels"
        return project(x, matrix, *(value_of(self, name) for name in ("interpolation", "fill_mode", "fill_value")))


class RandomRotation(WarpLayer):
    """In training mode, rotates each image about its middle by a random angle.

    The angle lies between `2π * factor[0]` and `2π * factor[1]`. Positive angles are counter-clockwise.

    >>> RandomRotation(0.1)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range of the angle in turns, within -1 to 1; one number a means (-a, a).
    """

    factor: Range = setting(signed_share)
    fill_mode: FillMode = setting(fill_modes, default="reflect")
    interpolation: Interpolation = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    fill_value: float = setting(number, default=0.0)
    data_format: DataFormat = setting(data_format, default=None)

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        return {"angle": uniform(key, (shape[0],), self.factor) * (2 * math.pi)}

    def _lamina_matrix(self, shape: Sizes, **drawn: Array) -> Array:
        middle_x, middle_y = (shape[2] - 1) / 2, (shape[1] - 1) / 2
        cos, sin = jnp.cos(drawn["angle"]), jnp.sin(drawn["angle"])  # (batch,)
        across = (cos, -sin, middle_x - middle_x * cos + middle_y * sin)
        down = (sin, cos, middle_y - middle_x * sin - middle_y * cos)
        return affine(across, down)


class RandomTranslation(WarpLayer):
    """In training mode, shifts each image by random fractions of its height and width.

    >>> RandomTranslation(0.1, 0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        height_factor: the range of the shift down, in fractions of the height, within -1 to 1. One number a means
            (-a, a).
        width_factor: the range of the shift to the right, in fractions of the width, in the same form.
    """

    height_factor: Shift = setting(shift)
    width_factor: Shift = setting(shift)
    fill_mode: FillMode = setting(fill_modes, default="reflect")
    interpolation: Interpolation = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    fill_value: float = setting(number, default=0.0)
    data_format: DataFormat = setting(data_format, default=None)

    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"translations"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        first, second = jax.random.split(key)
        down = uniform(first, (shape[0],), signed_share(self.height_factor)) * shape[1]
        right = uniform(second, (shape[0],), signed_share(self.width_factor)) * shape[2]
        return {"translations": jnp.stack([right, down], -1)}

    def _lamina_matrix(self, shape: Sizes, **drawn: Array) -> Array:
        right, down = jnp.moveaxis(drawn["translations"], -1, 0)
        return affine((1, 0, -right), (0, 1, -down))


class RandomZoom(WarpLayer):
    """In training mode, zooms each image about its middle by random numbers.

    With a number f, the visible part becomes `1 + f` times as high or wide: 0.2 zooms out, and -0.2 zooms in.

    >>> RandomZoom(0.1)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        height_factor: the range of f for the height, above -1 and up to 1; one number a means (-a, a).
        width_factor: the same for the width. None uses the number drawn for the height, which keeps the aspect ratio.
    """

    height_factor: Shift = setting(zoom)
    width_factor: Shift | None = setting(optional(zoom), default=None)
    fill_mode: FillMode = setting(fill_modes, default="reflect")
    interpolation: Interpolation = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    fill_value: float = setting(number, default=0.0)
    data_format: DataFormat = setting(data_format, default=None)

    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"height_zoom", "width_zoom"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        first, second = jax.random.split(key)
        tall = 1 + uniform(first, (shape[0],), signed_share(self.height_factor))
        if self.width_factor is None:
            return {"height_zoom": tall, "width_zoom": tall}
        return {"height_zoom": tall, "width_zoom": 1 + uniform(second, (shape[0],), signed_share(self.width_factor))}

    def _lamina_matrix(self, shape: Sizes, **drawn: Array) -> Array:
        tall, wide = drawn["height_zoom"].reshape(-1), drawn["width_zoom"].reshape(-1)  # (batch,)
        left, top = (shape[2] - 1) / 2 * (1 - wide), (shape[1] - 1) / 2 * (1 - tall)
        return affine((wide, 0, left), (0, tall, top))


class RandomShear(WarpLayer):
    """In training mode, shears each image: the pixel (x, y) is read at `(x + a y, y + b x)`.

    a and b are random numbers for each image. Both change their sign with probability 1/2.

    >>> RandomShear(0.1, 0.1)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        x_factor: the range of a within -1 to 1, as a pair; one number c means (-c, c).
        y_factor: the range of b, in the same form.
    """

    x_factor: Range = setting(signed_share, default=0.0)
    y_factor: Range = setting(signed_share, default=0.0)
    interpolation: Interpolation = setting(interpolations, default="bilinear")
    fill_mode: FillMode = setting(fill_modes, default="reflect")
    fill_value: float = setting(number, default=0.0)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"shear_factor"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        coin, first, second = jax.random.split(key, 3)
        sign = jnp.where(uniform(coin, (shape[0],)) > 0.5, jnp.float32(-1), jnp.float32(1))
        x, y = uniform(first, (shape[0],), self.x_factor), uniform(second, (shape[0],), self.y_factor)
        return {"shear_factor": jnp.stack([x * sign, y * sign], -1)}

    def _lamina_matrix(self, shape: Sizes, **drawn: Array) -> Array:
        x, y = jnp.moveaxis(drawn["shear_factor"], -1, 0)
        return affine((1, x, 0), (y, 1, 0))


class RandomPerspective(RandomImageLayer):
    """In training mode, changes the perspective of some of the images: their corners move to random places.

    Each coordinate of a corner changes by up to `scale / 2` times its value, so the corner (0, 0) stays in place.

    >>> RandomPerspective()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range from which the probability is drawn for each image; one number a means (0, a).
        scale: how far the corners move, from 0 to 1.
        interpolation: how values between pixels are read, "bilinear" or "nearest".
        fill_value: the value beyond the edges of the image.
    """

    factor: Range = setting(share, default=1.0)
    scale: float = setting(rate, default=1.0)
    interpolation: Interpolation = setting(interpolations, default="bilinear")
    fill_value: float = setting(number, default=0.0)
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)

    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"apply_perspective", "start_points", "end_points"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        first, second = jax.random.split(key)
        right, bottom = shape[2] - 1, shape[1] - 1
        start = jnp.asarray([[0, 0], [right, 0], [0, bottom], [right, bottom]], jnp.float32)
        moved = uniform(second, (shape[0], 4, 2), (-0.5 * self.scale, 0.5 * self.scale))
        return {
            "apply_perspective": happens(first, shape[0], self.factor),
            "start_points": start + 0 * moved, "end_points": start * (1 + moved),
        }  # fmt: skip

    def _lamina_matrix(self, shape: Sizes, **drawn: Array) -> Array:
        matrix = homography(drawn["start_points"], drawn["end_points"])
        return jnp.where(drawn["apply_perspective"].reshape(-1, 1, 1), matrix, jnp.eye(3))

    def _lamina_transform(self, x: Array, apply_perspective: Array, start_points: Array, end_points: Array) -> Array:
        matrix = homography(start_points, end_points)
        warped = project(x, matrix, self.interpolation, "constant", self.fill_value)
        return jnp.where(apply_perspective.reshape(-1, 1, 1, 1), warped, x)


class RandomElasticTransform(WarpLayer):
    """In training mode, distorts some of the images: smooth noise moves the place from which each pixel is read.

    The noise is `blur(normal * s, s)` with `s = 0.05 f min(height, width)`, times `0.1 f max(height, width)` pixels,
    with a random strength f for each image. The result is clipped to the `value_range`.

    >>> RandomElasticTransform()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range from which the probability is drawn for each image; one number a means (0, a).
        scale: the range of f within 0 to 1, as a pair; one number a means (0, a).

    Source: Simard, Steinkraus and Platt, 2003, https://doi.org/10.1109/ICDAR.2003.1227801
    """

    factor: Range = setting(share, default=1.0)
    scale: Range = setting(share, default=1.0)
    interpolation: Interpolation = setting(interpolations, default="bilinear")
    fill_mode: FillMode | Literal["mirror"] = setting(one_of(*FILL_MODES, "mirror"), default="reflect")
    fill_value: float = setting(number, default=0.0)
    value_range: ValueRange = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)

    _lamina_alone: ClassVar[bool] = True

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        first, second, third = jax.random.split(key, 3)
        return {
            "apply": happens(first, shape[0], self.factor),
            "strength": uniform(second, (shape[0],), self.scale),
            "noise": jax.random.normal(third, (*shape[:3], 2), jnp.float32),
        }

    def _lamina_transform(self, x: Array, **drawn: Array) -> Array:
        apply, strength, noise = drawn["apply"], drawn["strength"], drawn["noise"]
        short, long = min(x.shape[1:3]), max(x.shape[1:3])
        sigma = jnp.maximum(0.05 * short * strength, 1e-6)  # (batch,)
        size = int(6 * 0.05 * short * self.scale[1]) | 1
        smooth = blur(noise * sigma[:, None, None, None], (size, size), jnp.stack([sigma, sigma], 1))
        y, x_ = grid(x)
        moved = smooth * (0.1 * long * strength)[:, None, None, None]  # (batch, height, width, 2)
        rippled = sample(x, y + moved[..., 1], x_ + moved[..., 0], self.interpolation, self.fill_mode, self.fill_value)
        return jnp.clip(jnp.where(apply, rippled, x), *self.value_range)
