"""Bounding boxes, labels and masks, changed together with the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import shape_of
from lamina._kernels.boxes import FORMATS, clipped, from_corners, moved, to_corners
from lamina._layer.forward import by_itself, key_alone
from lamina._layer.passes import Pass
from lamina._settings.converters import checked, one_of, short
from lamina._settings.settings import value_of
from lamina._weights.weight import under_way
from lamina.errors import ArgumentError
from lamina.random import Draws

if TYPE_CHECKING:
    from lamina._layer.layer import Layer
    from lamina.layers.image.base import ImageLayer

_known = one_of(*FORMATS)


def box_format(value: object) -> str | None:
    """The name of a format of boxes, in any case."""
    return None if value is None else str(_known(value.lower() if isinstance(value, str) else value))


def changed_together(layer: ImageLayer, data: Mapping[str, Any], training: bool | None = None) -> dict[str, Any]:
    """Applies one change of the layer to a dict of images, boxes, labels and masks."""
    _follows(layer, "bounding_boxes" in data)
    if layer._lamina.running is not None:
        return _changed(layer, data, layer._lamina.running.training if training is None else training)
    around = under_way.get()
    images = jnp.asarray(data["images"])
    layer._lamina_build(shape_of(images[None] if images.ndim == 3 else images))
    training = getattr(around, "training", None) if training is None else training
    key, draws = key_alone(layer, around), None if isinstance(around, Pass) else Draws(by_itself(layer))
    with Pass({}, training=training, key=key, draws=draws) as now:
        return _changed(now.copy_of(layer), data, training)


def _follows(layer: ImageLayer, has_boxes: bool) -> None:
    if layer._lamina_alone:
        raise ArgumentError(f"{layer.name} ({type(layer).__name__}) takes images alone, not in a dict.")
    if has_boxes and layer.bounding_box_format is None:
        raise ArgumentError(
            f"{layer.name} is given bounding_boxes and does not know their format: "
            f"{type(layer).__name__}(..., bounding_box_format='xyxy')."
        )


def drawn_by(layer: ImageLayer, transformation: Any) -> Any:
    """The key in the result of `get_random_transformation`, or the numbers in Keras's dict."""
    if isinstance(transformation, Mapping):
        if "key" in transformation:
            return transformation["key"]
        if layer._lamina_numbers and layer._lamina_numbers <= transformation.keys():
            return {name: with_axes(layer, jnp.asarray(transformation[name])) for name in layer._lamina_numbers}
    numbers = f", or a dict of Keras's {sorted(layer._lamina_numbers)}" if layer._lamina_numbers else ""
    raise ArgumentError(f"expected what get_random_transformation returned{numbers}.")


def with_axes(layer: ImageLayer, number: Array, back: bool = False) -> Array:
    """A random number with its channels last, or `back` where the layer's images have them, if it has these axes."""
    if number.ndim < 4 or value_of(layer, "data_format") == "channels_last":
        return number
    return jnp.moveaxis(number, 3, 1) if back else jnp.moveaxis(number, 1, 3)


def batch_shape(layer: ImageLayer, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of images, or of one image, with a batch axis and the channels last."""
    shape = (1, *map(int, shape))[-4:]
    return (shape[0], *shape[2:], shape[1]) if value_of(layer, "data_format") == "channels_first" else shape


def boxes_after(layer: ImageLayer, given: Any, transformation: Any) -> dict[str, Any]:
    """The boxes after the change that `transformation` describes."""
    _follows(layer, True)

    def places(transformation: Any) -> tuple[Array | None, tuple[int, ...]]:
        drawn = drawn_by(layer, transformation)
        shape = batch_shape(layer, transformation["input_shape"])
        return layer._lamina_places(drawn, shape), shape

    where = f"{layer.name}.transform_bounding_boxes"
    matrix, shape = checked(where, "transformation", places, transformation)
    one = shape[0] == 1 and isinstance(given, Mapping) and np.ndim(given.get("boxes", 0)) == 2
    return _boxes(layer, given, matrix, shape, one)


def _changed(layer: ImageLayer, data: Mapping[str, Any], training: bool | None) -> dict[str, Any]:
    images, result = jnp.asarray(data["images"]), dict(data)
    one = images.ndim == 3
    x, shape = images[None] if one else images, batch_shape(layer, images.shape)
    key = layer._lamina_key() if training is None or training else None
    matrix = layer._lamina_places(key, shape)
    result["images"] = _one_or_all(layer._lamina_with(key, x), one)
    if "segmentation_masks" in data and matrix is not None:
        result["segmentation_masks"] = _masks(layer, jnp.asarray(data["segmentation_masks"]), key, images.ndim)
    if "bounding_boxes" in data:
        result["bounding_boxes"] = _boxes(layer, data["bounding_boxes"], matrix, shape, one)
    return result


def _masks(layer: ImageLayer, masks: Array, key: Array | None, rank: int) -> Array:
    """The masks after the change of the images, with or without an axis of channels; classes are not interpolated."""
    x = masks if masks.ndim == rank else masks[..., None]
    usual = vars(layer).get("interpolation")
    vars(layer).update({} if usual is None else {"interpolation": "nearest"})
    y = _one_or_all(layer._lamina_with(key, x[None] if rank == 3 else x), rank == 3).astype(masks.dtype)
    vars(layer).update({} if usual is None else {"interpolation": usual})
    return y if masks.ndim == rank else y[..., 0]


def _one_or_all(x: Array, one: bool) -> Array:
    return x[0] if one else x


def _boxes(layer: ImageLayer, given: Any, matrix: Array | None, shape: tuple[int, ...], one: bool) -> dict[str, Any]:
    one = one or (isinstance(given, Mapping) and np.ndim(given.get("boxes", 0)) == 2)  # the same in each image
    boxes, labels = boxes_of(layer, given, () if one else shape[:1])
    if matrix is not None:
        name, (tall, wide) = str(layer.bounding_box_format), layer._lamina_size(shape)
        matrix = matrix.reshape(-1, 3, 3)  # one for each image, or one for all
        batch = len(matrix) if one else len(boxes)
        corners = jnp.broadcast_to(to_corners(boxes, name, shape[1], shape[2]), (batch, *boxes.shape[-2:]))
        corners = _one_or_all(moved(corners, jnp.broadcast_to(matrix, (batch, 3, 3))), one and batch == 1)
        corners, labels = clipped(corners, labels, tall, wide)
        boxes = from_corners(corners, name, tall, wide)
    return {**given, "boxes": boxes, **({} if labels is None else {"labels": labels})}


def boxes_of(layer: Layer, given: Any, batch: tuple[int, ...]) -> tuple[Array, Array | None]:
    """The boxes (*batch, n, 4) and their labels; n may be 0."""
    if not isinstance(given, Mapping) or "boxes" not in given:
        raise ArgumentError(f'{layer.name}: bounding_boxes is a dict with "boxes" and "labels", got {short(given)}.')
    boxes, labels = jnp.asarray(given["boxes"], "float32"), given.get("labels")
    if boxes.ndim < 2 or (boxes.shape[:-2], boxes.shape[-1]) != (batch, 4):
        wanted = f"({', '.join(map(str, (*batch, 'n', 4)))})"
        raise ArgumentError(f"{layer.name}: boxes beside these images are {wanted}, got {boxes.shape}.")
    return boxes, None if labels is None else jnp.asarray(labels)
