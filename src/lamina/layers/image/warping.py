"""Augmentation that moves the pixels of an image: flips, turns, zooms, shifts, shears, perspective, ripples."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from lamina._base.converters import number, one_of, optional, rate, seed_value
from lamina._base.settings import setting
from lamina._kernels.images import FILL_MODES, affine, blur, grid, homography, project, sample
from lamina.config import data_format
from lamina.errors import ArgumentError
from lamina.layers.image.resizing import RandomImageLayer, happens, interval, ordered, uniform

Array = jax.Array
interpolations = one_of("bilinear", "nearest")
within = interval(-1, 1)
share = interval(0, 1)


def shift(value: Any) -> Any:
    """A share of the image, or a pair of them; kept as it was given."""
    within(value)
    return value


def zoom(value: Any) -> Any:
    """As `shift`, but what is left of the image must not be nothing."""
    within(value)
    if (min(value) if isinstance(value, (tuple, list)) else value) <= -1:
        raise ArgumentError(f"expected a number or a pair of numbers above -1 and up to 1, got {value!r}.")
    return value


class RandomFlip(RandomImageLayer):
    """While training, mirrors each image or not, with even chances: left to right, upside down, or each by itself.

    >>> RandomFlip("horizontal")(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    mode: str = setting(one_of("horizontal_and_vertical", "horizontal", "vertical"), default="horizontal_and_vertical")
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        across, down = uniform(key, (2, shape[0], 1, 1, 1)) < 0.5
        return {"across": across, "down": down}

    def transform(self, x: Array, across: Array, down: Array) -> Array:  # type: ignore[override]  # (batch, 1, 1, 1)
        if self.mode != "vertical":
            x = jnp.where(across, x[:, :, ::-1], x)
        return x if self.mode == "horizontal" else jnp.where(down, x[:, ::-1], x)


class WarpLayer(RandomImageLayer):
    """Reads each pixel from another place of the image.

    `fill_mode` says what lies beyond the edge of (a b c d): "reflect" d c b a | a b c d | d c b a, "wrap"
    a b c d | a b c d | a b c d, "nearest" a a a a | a b c d | d d d d, "constant" `fill_value`.
    """

    fill_mode: str = setting(one_of(*FILL_MODES), default="reflect", kw_only=True)
    interpolation: str = setting(interpolations, default="bilinear", kw_only=True)
    fill_value: float = setting(number, default=0.0, kw_only=True)

    def warped(self, x: Array, matrix: Array) -> Array:
        return project(x, matrix, self.interpolation, self.fill_mode, self.fill_value)


class RandomRotation(WarpLayer):
    """While training, turns each image by an angle from `2π * factor[0]` to `2π * factor[1]`, about its middle.

    Positive is counter-clockwise; one number f stands for (-f, f).

    >>> RandomRotation(0.1)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(within)  # type: ignore[misc]
    fill_mode: str = setting(one_of(*FILL_MODES), default="reflect")
    interpolation: str = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    fill_value: float = setting(number, default=0.0)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        return {"angle": uniform(key, (shape[0],), self.factor) * (2 * math.pi)}

    def transform(self, x: Array, angle: Array) -> Array:  # type: ignore[override]  # (batch,)
        middle_x, middle_y = (x.shape[2] - 1) / 2, (x.shape[1] - 1) / 2
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        across = (cos, -sin, middle_x - middle_x * cos + middle_y * sin)
        down = (sin, cos, middle_y - middle_x * sin - middle_y * cos)
        return self.warped(x, affine(across, down))


class RandomTranslation(WarpLayer):
    """While training, shifts each image down and to the right by shares of its size.

    One number f stands for the range (-f, f).

    >>> RandomTranslation(0.1, 0.2)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    height_factor: Any = setting(shift)  # type: ignore[misc]
    width_factor: Any = setting(shift)  # type: ignore[misc]
    fill_mode: str = setting(one_of(*FILL_MODES), default="reflect")
    interpolation: str = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    fill_value: float = setting(number, default=0.0)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second = jax.random.split(key)
        down = uniform(first, (shape[0],), within(self.height_factor)) * shape[1]
        return {"down": down, "right": uniform(second, (shape[0],), within(self.width_factor)) * shape[2]}

    def transform(self, x: Array, down: Array, right: Array) -> Array:  # type: ignore[override]  # (batch,), pixels
        return self.warped(x, affine((1, 0, -right), (0, 1, -down)))


class RandomZoom(WarpLayer):
    """While training, zooms each image about its middle: by +0.2 so that 20 % more is seen, by -0.2 so that less is.

    One number f stands for the range (-f, f); without `width_factor` the image keeps its proportions.

    >>> RandomZoom(0.1)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    height_factor: Any = setting(zoom)  # type: ignore[misc]
    width_factor: Any = setting(optional(zoom), default=None)
    fill_mode: str = setting(one_of(*FILL_MODES), default="reflect")
    interpolation: str = setting(interpolations, default="bilinear")
    seed: int | None = setting(seed_value, default=None)
    fill_value: float = setting(number, default=0.0)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second = jax.random.split(key)
        tall = 1 + uniform(first, (shape[0],), within(self.height_factor))
        if self.width_factor is None:
            return {"tall": tall, "wide": tall}
        return {"tall": tall, "wide": 1 + uniform(second, (shape[0],), within(self.width_factor))}

    def transform(self, x: Array, tall: Array, wide: Array) -> Array:  # type: ignore[override]  # (batch,)
        left, top = (x.shape[2] - 1) / 2 * (1 - wide), (x.shape[1] - 1) / 2 * (1 - tall)
        return self.warped(x, affine((wide, 0, left), (0, tall, top)))


class RandomShear(WarpLayer):
    """While training, slants each image: a pixel (x, y) comes from `(x + a y, y + b x)`.

    a is drawn from `x_factor` and b from `y_factor`, and both change their sign for every second image or so; one
    number f stands for (-f, f).

    >>> RandomShear(0.1, 0.1)(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    x_factor: Any = setting(within, default=0.0)
    y_factor: Any = setting(within, default=0.0)
    interpolation: str = setting(interpolations, default="bilinear")
    fill_mode: str = setting(one_of(*FILL_MODES), default="reflect")
    fill_value: float = setting(number, default=0.0)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        coin, first, second = jax.random.split(key, 3)
        sign = jnp.where(uniform(coin, (shape[0],)) > 0.5, jnp.float32(-1), jnp.float32(1))
        x = uniform(first, (shape[0],), self.x_factor)
        return {"x_shear": x * sign, "y_shear": uniform(second, (shape[0],), self.y_factor) * sign}

    def transform(self, x: Array, x_shear: Array, y_shear: Array) -> Array:  # type: ignore[override]  # (batch,)
        return self.warped(x, affine((1, x_shear, 0), (y_shear, 1, 0)))


class RandomPerspective(RandomImageLayer):
    """While training, looks at each image askew: its corners move by up to `scale / 2` of their coordinates.

    The chance is drawn from `factor` for each image; one number f stands for (0, f). The corner (0, 0) stays.

    >>> RandomPerspective()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share, default=1.0)
    scale: float = setting(rate, default=1.0)
    interpolation: str = setting(interpolations, default="bilinear")
    fill_value: float = setting(number, default=0.0)
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second = jax.random.split(key)
        right, bottom = shape[2] - 1, shape[1] - 1
        start = jnp.asarray([[0, 0], [right, 0], [0, bottom], [right, bottom]], jnp.float32)
        moved = uniform(second, (shape[0], 4, 2), (-0.5 * self.scale, 0.5 * self.scale))
        return {"apply": happens(first, shape[0], self.factor), "start": start + 0 * moved, "end": start * (1 + moved)}

    def transform(self, x: Array, apply: Array, start: Array, end: Array) -> Array:  # type: ignore[override]
        warped = project(x, homography(start, end), self.interpolation, "constant", self.fill_value)
        return jnp.where(apply, warped, x)


class RandomElasticTransform(WarpLayer):
    """While training, ripples each image: smooth noise says for every pixel where it is read.

    For a strength f, drawn from `scale` for each image, the noise is `blur(normal * s, s)` with
    `s = 0.05 f min(height, width)`, times `0.1 f max(height, width)` pixels. The chance is drawn from `factor`; one
    number f stands for (0, f).
    Source: Simard, Steinkraus and Platt, 2003, https://doi.org/10.1109/ICDAR.2003.1227801

    >>> RandomElasticTransform()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share, default=1.0)
    scale: Any = setting(share, default=1.0)
    interpolation: str = setting(interpolations, default="bilinear")
    fill_mode: str = setting(one_of(*FILL_MODES, "mirror"), default="reflect")
    fill_value: float = setting(number, default=0.0)
    value_range: Any = setting(ordered, default=(0, 255))
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second, third = jax.random.split(key, 3)
        return {
            "apply": happens(first, shape[0], self.factor),
            "strength": uniform(second, (shape[0],), self.scale),
            "noise": jax.random.normal(third, (*shape[:3], 2), jnp.float32),
        }

    def transform(self, x: Array, apply: Array, strength: Array, noise: Array) -> Array:  # type: ignore[override]
        short, long = min(x.shape[1:3]), max(x.shape[1:3])
        sigma = jnp.maximum(0.05 * short * strength, 1e-6)  # (batch,)
        size = int(6 * 0.05 * short * self.scale[1]) | 1
        smooth = blur(noise * sigma[:, None, None, None], (size, size), jnp.stack([sigma, sigma], 1))
        y, x_ = grid(x)
        moved = smooth * (0.1 * long * strength)[:, None, None, None]  # (batch, height, width, 2)
        rippled = sample(x, y + moved[..., 1], x_ + moved[..., 0], self.interpolation, self.fill_mode, self.fill_value)
        return jnp.clip(jnp.where(apply, rippled, x), *self.value_range)
