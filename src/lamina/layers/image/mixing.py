"""Augmentation layers that blend images, paste parts of one into another, or cover parts of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._kernels.images import grid
from lamina._layer.layer import Layer
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import DataFormat
from lamina._settings.converters import above_zero, integer, number, positive, seed_value, short
from lamina._settings.settings import Converted, setting
from lamina.config import data_format
from lamina.errors import ArgumentError
from lamina.layers.image.base import RandomImageLayer, Sizes, happens, uniform
from lamina.layers.image.boxes import box_format, boxes_of
from lamina.layers.image.settings import BYTE, Range, ValueRange, ordered, share

Fill: TypeAlias = Converted[float | Sequence[float] | None, float | tuple[float, ...] | None]


def boxes(key: Array, x_shape: Sizes, shares: Array) -> Array:
    """True in a box with these fractions (batch, 2) of an image's size.  -> (batch, height, width, 1)"""
    y, x = grid(jnp.zeros((1, *x_shape[1:3], 1), jnp.float32))
    covered = []
    for which, (where, length) in enumerate(((x, x_shape[2]), (y, x_shape[1]))):
        size = (shares[:, which] * length)[:, None, None]
        start = uniform(jax.random.fold_in(key, which), (x_shape[0], 1, 1)) * (length - size)
        covered.append((where >= start) & (where < start + size))
    return (covered[0] & covered[1])[..., None]


class MixUp(RandomImageLayer):
    """In training mode, blends each image with another one of the batch: `w x + (1 - w) x'`, w from Beta(alpha, alpha).

    The targets are not blended, since a layer of a stack receives the images only.

    >>> MixUp()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        alpha: the parameter of the Beta distribution, above 0. The smaller it is, the closer w is to 0 or 1.

    Source: Zhang et al., 2018, https://arxiv.org/abs/1710.09412
    """

    alpha: float = setting(above_zero, default=0.2)
    data_format: DataFormat = setting(data_format, default=None)
    seed: int | None = setting(seed_value, default=None)

    _lamina_mixes_rows: ClassVar[bool] = True
    _lamina_alone: ClassVar[bool] = True
    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"mix_weight", "permutation_order"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        first, second = jax.random.split(key)
        weight = jax.random.beta(first, self.alpha, self.alpha, (shape[0],), jnp.float32)
        return {"mix_weight": weight, "permutation_order": jax.random.permutation(second, shape[0])}

    def _lamina_transform(self, x: Array, mix_weight: Array, permutation_order: Array) -> Array:
        weight = mix_weight.reshape(-1, 1, 1, 1).astype(x.dtype)
        return weight * x + (1 - weight) * x[permutation_order]


class CutMix(RandomImageLayer):
    """In training mode, pastes a random box of another image of the batch into each image.

    The box covers the fraction 1 - w of the image. w is drawn from Beta(a, a), with one random a for the batch. The
    targets are not blended, since a layer of a stack receives the images only.

    >>> CutMix()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range of a within 0 to 1, as a pair; one number b means (0, b).

    Source: Yun et al., 2019, https://arxiv.org/abs/1905.04899
    """

    factor: Range = setting(share, default=1.0)
    seed: int | None = setting(seed_value, default=None)

    _lamina_mixes_rows: ClassVar[bool] = True
    data_format: DataFormat = setting(data_format, default=None)

    _lamina_alone: ClassVar[bool] = True
    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"batch_masks", "permutation_order"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        first, second, third, fourth = jax.random.split(key, 4)
        alpha = uniform(first, (), self.factor) + jnp.float32(1e-6)
        weight = jax.random.beta(second, alpha, alpha, (shape[0], 1), jnp.float32)
        box = boxes(third, shape, jnp.sqrt(1 - weight) * jnp.ones(2, jnp.float32))
        return {"batch_masks": box, "permutation_order": jax.random.permutation(fourth, shape[0])}

    def _lamina_transform(self, x: Array, batch_masks: Array, permutation_order: Array) -> Array:
        return jnp.where(batch_masks, x[permutation_order], x)


def fill(value: object) -> float | tuple[float, ...] | None:
    """None for noise, or a number, or three numbers for three channels."""
    if isinstance(value, (tuple, list)):
        if len(value) != 3:
            raise ArgumentError(f"expected a number, three numbers or None, got {value!r}.")
        return tuple(map(number, value))
    return None if value is None else number(value)


class RandomErasing(RandomImageLayer):
    """In training mode, covers a random box of some of the images with noise, or with `fill_value`.

    >>> RandomErasing()(jnp.ones((2, 4, 4, 3)), training=True).shape
    (2, 4, 4, 3)

    Args:
        factor: the range from which the probability is drawn for each image; one number a means (0, a).
        scale: the range from which two numbers are drawn for each image, within 0 to 1. The height and the width of
            the image, times the square roots of these numbers, are the size of the box. One number a means (0, a).
        fill_value: the value of the box: a number, or one for each of three channels. None covers it with normal
            noise.

    Source: Zhong et al., 2017, https://arxiv.org/abs/1708.04896
    """

    factor: Range = setting(share, default=1.0)
    scale: Range = setting(share, default=(0.02, 0.33))
    fill_value: Fill = setting(fill, default=None)
    value_range: ValueRange = setting(ordered, default=BYTE)
    seed: int | None = setting(seed_value, default=None)
    data_format: DataFormat = setting(data_format, default=None)

    _lamina_numbers: ClassVar[frozenset[str]] = frozenset({"apply_erasing", "batch_masks", "fill_value"})

    def _lamina_draw(self, key: Array, shape: Sizes) -> dict[str, Array]:
        first, second, third, fourth = jax.random.split(key, 4)
        if self.fill_value is None:
            patch = jax.random.normal(first, shape, jnp.float32) * self.value_range[1]
        else:
            patch = jnp.asarray(self.fill_value, jnp.float32)
        box = boxes(third, shape, jnp.sqrt(uniform(second, (shape[0], 2), self.scale)))
        return {"fill_value": patch, "batch_masks": box, "apply_erasing": happens(fourth, shape[0], self.factor)}

    def _lamina_transform(self, x: Array, fill_value: Array, batch_masks: Array, apply_erasing: Array) -> Array:
        covered = apply_erasing.reshape(-1, 1, 1, 1) & batch_masks
        return jnp.where(covered, jnp.clip(fill_value, *self.value_range).astype(x.dtype), x)


class MaxNumBoundingBoxes(Layer):
    """Gives each image the same number of boxes, in a dict of "images" and "bounding_boxes": cuts off or pads.

    >>> boxes = {"boxes": jnp.ones((1, 3, 4)), "labels": jnp.ones((1, 3))}
    >>> data = MaxNumBoundingBoxes(5)({"images": jnp.ones((1, 8, 8, 3)), "bounding_boxes": boxes})
    >>> data["bounding_boxes"]["labels"]
    Array([[ 1.,  1.,  1., -1., -1.]], dtype=float32)

    Args:
        max_number: the number of boxes of each image.
        fill_value: the value of added boxes and of their labels.
        bounding_box_format: the format of the boxes, which does not change.
    """

    max_number: int = setting(positive)
    fill_value: int = setting(integer, default=-1)
    bounding_box_format: str | None = setting(box_format, default=None, kw_only=True)

    _lamina_beside: ClassVar[bool] = True

    @user_facing
    def __call__(self, x: Any, *others: Any, **named: Any) -> Any:
        """Returns the dict with `max_number` boxes for each image."""
        if not isinstance(x, Mapping) or not {"images", "bounding_boxes"} <= x.keys():
            raise ArgumentError(f'{self.name} takes a dict of "images" and "bounding_boxes", got {short(x)}.')
        boxes, labels = boxes_of(self, x["bounding_boxes"], jnp.shape(x["images"])[:-3])
        kept = {"boxes": self._lamina_brought(boxes, -2)}
        if labels is not None:
            kept["labels"] = self._lamina_brought(labels, -1)
        return {**x, "bounding_boxes": {**x["bounding_boxes"], **kept}}

    def _lamina_brought(self, values: Array, axis: int) -> Array:
        values = jnp.take(values, jnp.arange(min(self.max_number, values.shape[axis])), axis)
        margins = [(0, 0)] * values.ndim
        margins[axis] = (0, self.max_number - values.shape[axis])
        return jnp.pad(values, margins, constant_values=self.fill_value)
