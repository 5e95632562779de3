"""Augmentation that puts images together: parts of others, patches of noise."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lamina._base.converters import above_zero, integer, number, optional, seed_value
from lamina._base.settings import setting
from lamina._kernels.images import grid
from lamina._layer.layer import Layer
from lamina.config import data_format
from lamina.errors import ArgumentError, StackError
from lamina.layers.image.color import BYTE
from lamina.layers.image.resizing import RandomImageLayer, happens, interval, ordered, uniform

Array = jax.Array
share = interval(0, 1)


def boxes(key: Array, x_shape: tuple[int, ...], shares: Array) -> Array:
    """True in a box in each image, of these shares (batch, 2) of its width and height.  -> (batch, height, width, 1)"""
    y, x = grid(jnp.zeros((1, *x_shape[1:3], 1), jnp.float32))
    covered = []
    for which, (where, length) in enumerate(((x, x_shape[2]), (y, x_shape[1]))):
        size = (shares[:, which] * length)[:, None, None]
        start = uniform(jax.random.fold_in(key, which), (x_shape[0], 1, 1)) * (length - size)
        covered.append((where >= start) & (where < start + size))
    return (covered[0] & covered[1])[..., None]


class MixUp(RandomImageLayer):
    """While training, blends each image with another of the batch: `w x + (1 - w) x'`, w from Beta(alpha, alpha).

    The targets are not blended: a stack's layers see images alone.
    Source: Zhang et al., 2018, https://arxiv.org/abs/1710.09412

    >>> MixUp()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    alpha: float = setting(above_zero, default=0.2)
    data_format: str | None = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second = jax.random.split(key)
        weight = jax.random.beta(first, self.alpha, self.alpha, (shape[0], 1, 1, 1), jnp.float32)
        return {"weight": weight, "other": jax.random.permutation(second, shape[0])}

    def transform(self, x: Array, weight: Array, other: Array) -> Array:  # type: ignore[override]
        weight = weight.astype(x.dtype)
        return weight * x + (1 - weight) * x[other]


class CutMix(RandomImageLayer):
    """While training, pastes a box of another image of the batch into each: a share 1 - w of it.

    w is from Beta(a, a), with a drawn from `factor` for the batch; one number f stands for (0, f). The targets are not
    blended: a stack's layers see images alone.
    Source: Yun et al., 2019, https://arxiv.org/abs/1905.04899

    >>> CutMix()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share, default=1.0)
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second, third, fourth = jax.random.split(key, 4)
        alpha = uniform(first, (), self.factor) + jnp.float32(1e-6)
        weight = jax.random.beta(second, alpha, alpha, (shape[0], 1), jnp.float32)
        box = boxes(third, shape, jnp.sqrt(1 - weight) * jnp.ones(2, jnp.float32))
        return {"box": box, "other": jax.random.permutation(fourth, shape[0])}

    def transform(self, x: Array, box: Array, other: Array) -> Array:  # type: ignore[override]
        return jnp.where(box, x[other], x)


def fill(value: Any) -> Any:
    """None for noise, a number, or one for each of three channels."""
    if isinstance(value, (tuple, list)):
        if len(value) != 3:
            raise ArgumentError(f"expected a number, three numbers or None, got {value!r}.")
        return tuple(map(number, value))
    return optional(number)(value)


class RandomErasing(RandomImageLayer):
    """While training, covers a box of some images with noise, or with `fill_value`.

    Its height and width are the roots of numbers drawn from `scale`, as shares of the image's. The chance is drawn
    from `factor` for each image; one number f stands for (0, f), in `scale` as well.
    Source: Zhong et al., 2017, https://arxiv.org/abs/1708.04896

    >>> RandomErasing()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)
    """

    factor: Any = setting(share, default=1.0)
    scale: Any = setting(share, default=(0.02, 0.33))
    fill_value: Any = setting(fill, default=None)
    value_range: Any = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: str | None = setting(data_format, default=None)

    def draw(self, key: Array, shape: tuple[int, ...]) -> dict[str, Any]:
        first, second, third, fourth = jax.random.split(key, 4)
        if self.fill_value is None:
            patch = jax.random.normal(first, shape, jnp.float32) * self.value_range[1]
        else:
            patch = jnp.asarray(self.fill_value, jnp.float32)
        box = boxes(third, shape, jnp.sqrt(uniform(second, (shape[0], 2), self.scale)))
        return {"patch": patch, "box": box, "apply": happens(fourth, shape[0], self.factor)}

    def transform(self, x: Array, patch: Array, box: Array, apply: Array) -> Array:  # type: ignore[override]
        return jnp.where(apply & box, jnp.clip(patch, *self.value_range).astype(x.dtype), x)


class MaxNumBoundingBoxes(Layer):
    """Not for a stack: it changes boxes that come beside the images, and a stack takes one tensor."""

    max_number: int = setting(integer)
    fill_value: int = setting(integer, default=-1)

    def __post_init__(self) -> None:
        raise StackError(
            "MaxNumBoundingBoxes changes boxes that come beside the images, and a stack takes one tensor: cut and "
            "fill the boxes where the data is prepared."
        )
