"""Bounding boxes in images: formats, transformations, overlaps, and deltas to anchors.

A box is four numbers in one of these formats: "xyxy" (left, top, right, bottom), "yxyx", "xywh" (left, top, width,
height), "center_xywh" or "center_yxhw". The prefix "rel_" means fractions of the image's width and height. Boxes are an
array (n, 4) or (batch, n, 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
from numpy.typing import ArrayLike, DTypeLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._imports.public import public
from lamina._kernels.boxes import FORMATS, around, clipped, from_corners, sizes, to_corners
from lamina._kernels.images import affine
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import checked, short, word
from lamina.errors import ArgumentError

__all__ = [
    "affine_transform", "clip_to_image_size", "compute_ciou", "compute_iou", "convert_format", "crop",
    "decode_deltas_to_boxes", "encode_box_to_deltas", "pad",
]  # fmt: skip

ImageShape: TypeAlias = Sequence[Any] | None
Size: TypeAlias = tuple[Any, Any] | None
CENTERED = ("center_xywh", "center_yxhw")


def _array(function: str, name: str, value: Any, dtype: Any = None) -> Array:
    try:
        x = jnp.asarray(value, dtype)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"{function}: {name} are an array (n, 4) or (batch, n, 4), got {short(value)}. If the images have "
            "different numbers of boxes, fill them up to one number, as layers.MaxNumBoundingBoxes does."
        ) from None
    if x.shape[-1:] != (4,):
        raise ArgumentError(f"{function}: {name} are four numbers each, (..., 4), got {x.shape}.")
    return x


def _size(function: str, image_shape: ImageShape) -> Size:
    if image_shape is None:
        return None
    if len(image_shape) != 3:
        raise ArgumentError(f"{function}: image_shape is (height, width, channels), got {short(image_shape)}.")
    return image_shape[0], image_shape[1]


def _converted(
    function: str, boxes: Any, source: str, target: str, image_size: Size, dtype: DTypeLike = "float32"
) -> Array:
    if image_size is None and (source.startswith("rel_") or target.startswith("rel_")):
        size = "height=..., width=..." if function == "convert_format" else "image_shape=(height, width, channels)"
        raise ArgumentError(f"{function}: {source!r} to {target!r} needs the size of the image: give {size}.")
    x, (height, width) = _array(function, "boxes", boxes, dtype), image_size or (None, None)
    return x if source == target else from_corners(to_corners(x, source, height, width), target, height, width)


@user_facing
def convert_format(
    boxes: ArrayLike | Mapping[Any, Any], source: str, target: str, height: Any = None, width: Any = None,
    dtype: DTypeLike = "float32",
) -> Any:  # fmt: skip
    """The same boxes in another format.

    >>> convert_format([[10, 20, 30, 50]], "xyxy", "center_xywh")
    Array([[20., 35., 20., 30.]], dtype=float32)

    Args:
        boxes: an array (n, 4) or (batch, n, 4), or a dict with such an array as "boxes". The result is a new dict;
            Keras changes the given dict.
        source, target: the names of the formats, in upper or lower case.
        height, width: the size of the image, which formats with "rel_" need.
        dtype: the dtype of the result.

    Raises:
        ArgumentError: a format is unknown, a box does not have four numbers, or the size of the image is missing.
    """
    here = "convert_format"
    if isinstance(boxes, Mapping):
        if "boxes" not in boxes:
            raise ArgumentError(f'{here}: a dict of boxes has "boxes", and may have "labels", got {short(boxes)}.')
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    source, target = checked(here, "source", word(*FORMATS), source), checked(here, "target", word(*FORMATS), target)
    size = None if height is None or width is None else (height, width)
    return _converted(here, boxes, source, target, size, dtype)


@user_facing
def clip_to_image_size(
    bounding_boxes: Mapping[Any, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[Any, Any]:
    """The part of each box inside the image; a box that is entirely outside gets the label -1.

    >>> clip_to_image_size({"boxes": [[-1, 2, 3, 9], [8, 0, 9, 1]], "labels": [5, 6]}, height=6, width=7)["labels"]
    Array([ 5, -1], dtype=int32)

    Args:
        bounding_boxes: a dict of "boxes", (n, 4) or (batch, n, 4), and optionally "labels", (n,) or (batch, n).
        height, width: the size of the image; "rel_xyxy" does not need it.
        bounding_box_format: "xyxy" or "rel_xyxy".

    Raises:
        ArgumentError: there are no boxes, or the size of the image is missing.
    """
    here = "clip_to_image_size"
    if checked(here, "bounding_box_format", word("xyxy", "rel_xyxy"), bounding_box_format) == "rel_xyxy":
        height = width = 1
    if not isinstance(bounding_boxes, Mapping) or "boxes" not in bounding_boxes:
        raise ArgumentError(f'{here} takes a dict of "boxes" and "labels", got {short(bounding_boxes)}.')
    if height is None or width is None:
        raise ArgumentError(f"{here}: boxes in pixels ('xyxy') need the size of the image: give height=, width=.")
    labels = None if bounding_boxes.get("labels") is None else jnp.asarray(bounding_boxes["labels"])
    boxes, labels = clipped(_array(here, "boxes", bounding_boxes["boxes"]), labels, height, width)
    return {**bounding_boxes, "boxes": boxes, **({} if labels is None else {"labels": labels})}


@user_facing
def affine_transform(
    boxes: ArrayLike, angle: ArrayLike, translate_x: ArrayLike, translate_y: ArrayLike, scale: ArrayLike,
    shear_x: ArrayLike, shear_y: ArrayLike, height: Any, width: Any, center_x: ArrayLike | None = None,
    center_y: ArrayLike | None = None, bounding_box_format: str = "xyxy",
) -> Array:  # fmt: skip
    """The boxes around the corners of boxes after a rotation, a shear, a scaling and a shift.

    A corner p moves to `c + scale * A⁻¹ (p - c + t)`, as in Keras: c is the center, t the shift, and A rotates and
    shears.

    >>> affine_transform([[[0, 0, 2, 1]]], 90.0, 0.0, 0.0, 1.0, 0.0, 0.0, height=5, width=5).round()
    Array([[[0., 2., 1., 4.]]], dtype=float32)

    Args:
        boxes: (n, 4) or (batch, n, 4).
        angle: the rotation in degrees. This argument and the next five are numbers, or arrays (batch,).
        translate_x, translate_y: the shift, as fractions of `width - 1` and `height - 1`.
        scale: the factor by which sizes are multiplied.
        shear_x, shear_y: the shear in degrees.
        height, width: the size of the image.
        center_x, center_y: the center, as fractions of `width - 1` and `height - 1`; None is the middle.
        bounding_box_format: "xyxy".
    """
    here = "affine_transform"
    checked(here, "bounding_box_format", word("xyxy"), bounding_box_format)
    x, scale = _array(here, "boxes", boxes, "float32"), jnp.asarray(scale, "float32")
    turn, across, down = (-jnp.radians(jnp.asarray(each, "float32")) for each in (angle, shear_x, shear_y))
    cx, cy = ((0.5 if at is None else jnp.asarray(at)) * (n - 1) for at, n in ((center_x, width), (center_y, height)))
    tx, ty = (jnp.asarray(t) * (n - 1) for t, n in ((translate_x, width), (translate_y, height)))
    a, c = jnp.cos(turn - down) / jnp.cos(down), -jnp.sin(turn - down) / jnp.cos(down)
    b, d = a * jnp.tan(across) + jnp.sin(turn), jnp.cos(turn) - c * jnp.tan(across)
    inverse = affine((scale * d, -scale * b, 0), (-scale * c, scale * a, 0))  # (3, 3) or (batch, 3, 3)
    matrix = affine((1, 0, cx), (0, 1, cy)) @ inverse @ affine((1, 0, tx - cx), (0, 1, ty - cy))
    batch = x.reshape(-1, *x.shape[-2:])
    return around(batch, jnp.broadcast_to(matrix, (len(batch), 3, 3))).reshape(x.shape)


def _shifted(function: str, boxes: ArrayLike, top: Any, left: Any, bounding_box_format: str) -> Array:
    checked(function, "bounding_box_format", word("xyxy"), bounding_box_format)
    x = _array(function, "boxes", boxes)
    x = x.astype(jnp.result_type(x, top, left))
    return x + sizes(top, left, x)


@user_facing
def crop(boxes: ArrayLike, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> Array:
    """The boxes in a part of the image: the part's corner becomes (0, 0), and the boxes are clipped to the part.

    >>> crop([[10, 20, 50, 60]], top=10, left=20, height=40, width=30)
    Array([[ 0, 10, 30, 40]], dtype=int32)

    Args:
        boxes: (n, 4) or (batch, n, 4).
        top, left: the corner of the part.
        height, width: the size of the part.
        bounding_box_format: "xyxy".
    """
    return clipped(_shifted("crop", boxes, -top, -left, bounding_box_format), None, height, width)[0]


@user_facing
def pad(
    boxes: ArrayLike, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> Array:
    """The boxes after rows were added above the image and columns to its left.

    >>> pad([[10, 20, 50, 60]], top=1, left=2)
    Array([[12, 21, 52, 61]], dtype=int32)

    Args:
        boxes: (n, 4) or (batch, n, 4).
        top, left: the number of added rows and columns.
        height, width: not used, as in Keras.
        bounding_box_format: "xyxy".
    """
    return _shifted("pad", boxes, top, left, bounding_box_format)


def _variance(function: str, variance: ArrayLike | None) -> Array:
    return _array(function, "variance", jnp.ones(4) if variance is None else variance, "float32")


@user_facing
def encode_box_to_deltas(
    anchors: ArrayLike, boxes: ArrayLike, anchor_format: str, box_format: str, encoding_format: str = "center_yxhw",
    variance: ArrayLike | None = None, image_shape: ImageShape = None,
) -> Array:  # fmt: skip
    """The regression targets for boxes: the distance of each box from its anchor, and the ratio of their sizes.

    With the center c and the size s of a box, and those of its anchor, C and S: `((c - C) / S, log(s / S)) / variance`.

    >>> encode_box_to_deltas([[0, 0, 10, 10]], [[5, 0, 15, 10]], "xyxy", "xyxy")
    Array([[0. , 0.5, 0. , 0. ]], dtype=float32)

    Args:
        anchors: (n, 4).
        boxes: (n, 4) or (batch, n, 4).
        anchor_format, box_format: the formats of the anchors and of the boxes.
        encoding_format: "center_yxhw" or "center_xywh", the order of the four deltas.
        variance: four numbers by which the deltas are divided.
        image_shape: (height, width, channels), which formats with "rel_" need.
    """
    here, least = "encode_box_to_deltas", dtypes.epsilon()
    image_size, target = _size(here, image_shape), checked(here, "encoding_format", word(*CENTERED), encoding_format)
    source = checked(here, "anchor_format", word(*FORMATS), anchor_format)
    anchor = _converted(here, anchors, source, target, image_size)
    box = _converted(here, boxes, checked(here, "box_format", word(*FORMATS), box_format), target, image_size)
    anchor_size, box_size = jnp.maximum(anchor[..., 2:], least), jnp.maximum(box[..., 2:], least)
    place = (box[..., :2] - anchor[..., :2]) / anchor_size
    return jnp.concatenate([place, jnp.log(box_size / anchor_size)], -1) / _variance(here, variance)


@user_facing
def decode_deltas_to_boxes(
    anchors: ArrayLike | Mapping[Any, Any], boxes_delta: ArrayLike | Mapping[Any, Any], anchor_format: str,
    box_format: str, encoded_format: str = "center_yxhw", variance: ArrayLike | None = None,
    image_shape: ImageShape = None,
) -> Any:  # fmt: skip
    """The boxes for deltas to anchors: the inverse of `encode_box_to_deltas`.

    >>> decode_deltas_to_boxes([[0, 0, 10, 10]], [[0, 0.5, 0, 0]], "xyxy", "xyxy")
    Array([[ 5.,  0., 15., 10.]], dtype=float32)

    Args:
        anchors: (n, 4), or a dict of such arrays, one for each level.
        boxes_delta: (n, 4) or (batch, n, 4), or a dict with the same keys.
        anchor_format, box_format: the formats of the anchors and of the result.
        encoded_format: "center_yxhw" or "center_xywh", the order of the four deltas.
        variance: four numbers by which the deltas are multiplied.
        image_shape: (height, width, channels), which formats with "rel_" need.
    """
    here = "decode_deltas_to_boxes"
    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        if anchors.keys() - boxes_delta.keys():
            raise ArgumentError(f"{here}: anchors has {list(anchors)}, and boxes_delta has {list(boxes_delta)}.")
        told = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {key: decode_deltas_to_boxes(each, boxes_delta[key], *told) for key, each in anchors.items()}
    middle = checked(here, "encoded_format", word(*CENTERED), encoded_format)
    source = checked(here, "anchor_format", word(*FORMATS), anchor_format)
    target, image_size = checked(here, "box_format", word(*FORMATS), box_format), _size(here, image_shape)
    anchor = _converted(here, anchors, source, middle, image_size)
    delta = _array(here, "boxes_delta", boxes_delta, "float32") * _variance(here, variance)
    place, size = delta[..., :2] * anchor[..., 2:] + anchor[..., :2], jnp.exp(delta[..., 2:]) * anchor[..., 2:]
    return _converted(here, jnp.concatenate([place, size], -1), middle, target, image_size)


def _pair(function: str, boxes: tuple[ArrayLike, ArrayLike], name: str, image_shape: ImageShape) -> list[Array]:
    source = checked(function, "bounding_box_format", word(*FORMATS), name)
    return [_converted(function, each, source, "xyxy", _size(function, image_shape)) for each in boxes]


def _overlap(first: Array, second: Array) -> tuple[Array, Array]:
    """The area of the intersection, and that of the union: "xyxy" (..., 4), (..., 4) -> two of (...)"""
    shared = jnp.minimum(first[..., 2:], second[..., 2:]) - jnp.maximum(first[..., :2], second[..., :2])
    one, other = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    both = jnp.prod(jnp.maximum(shared, 0), -1)
    return both, jnp.prod(one, -1) + jnp.prod(other, -1) - both


@user_facing
def compute_iou(
    boxes1: ArrayLike, boxes2: ArrayLike, bounding_box_format: str, use_masking: bool = False, mask_val: float = -1,
    image_shape: ImageShape = None,
) -> Array:  # fmt: skip
    """Intersection over union of each box of one set with each box of the other: the shared area over the total area.

    >>> compute_iou([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]], "xyxy").round(3)
    Array([[1.   , 0.333, 0.   ]], dtype=float32)

    Args:
        boxes1: (m, 4) or (batch, m, 4).
        boxes2: (n, 4) or (batch, n, 4). One of the two may have a batch axis and the other not.
        bounding_box_format: the format of both.
        use_masking: whether the result is `mask_val` for a box with all four numbers below 0.
        mask_val: the result for such a box.
        image_shape: (height, width, channels), which formats with "rel_" need.

    Returns:
        (m, n) or (batch, m, n)
    """
    first, second = _pair("compute_iou", (boxes1, boxes2), bounding_box_format, image_shape)
    if {first.ndim, second.ndim} - {2, 3}:
        raise ArgumentError(f"compute_iou: boxes are (n, 4) or (batch, n, 4), got {first.shape} and {second.shape}.")
    first, second = first[..., :, None, :], second[..., None, :, :]
    shared, together = _overlap(first, second)  # (..., m, n)
    iou, nowhere = shared / (together + dtypes.epsilon()), (first.max(-1) < 0) | (second.max(-1) < 0)
    return jnp.where(nowhere, jnp.asarray(mask_val, iou.dtype), iou) if use_masking else iou


@user_facing
def compute_ciou(
    boxes1: ArrayLike, boxes2: ArrayLike, bounding_box_format: str, image_shape: ImageShape = None
) -> Array:
    """Complete intersection over union of pairs of boxes; it also distinguishes between pairs that do not overlap.

    `iou - (distance of the centers / diagonal of the box around both)² - v² / (v - iou + 1)`, where v is
    `(2 / π * (atan(w2 / h2) - atan(w1 / h1)))²` for their widths and heights.

    >>> compute_ciou([[0, 0, 2, 2]], [[1, 0, 3, 2]], "xyxy").round(3)
    Array([0.256], dtype=float32)

    Args:
        boxes1, boxes2: (..., 4), in pairs.
        bounding_box_format: the format of both.
        image_shape: (height, width, channels), which formats with "rel_" need. Keras does not support these here.

    Source: Zheng et al., 2020, https://arxiv.org/abs/1911.08287
    """
    least = dtypes.epsilon()
    first, second = _pair("compute_ciou", (boxes1, boxes2), bounding_box_format, image_shape)
    shared, together = _overlap(first, second)
    iou = shared / (together + 2 * least)
    outer = jnp.maximum(first[..., 2:], second[..., 2:]) - jnp.minimum(first[..., :2], second[..., :2])
    centers = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    distance = jnp.sum(centers**2, -1) / (jnp.sum(outer**2, -1) + least)
    angles = [jnp.arctan((x[..., 2] - x[..., 0]) / (x[..., 3] - x[..., 1] + least)) for x in (first, second)]
    v = 4 / math.pi**2 * (angles[1] - angles[0]) ** 2
    return iou - (distance + v * v / (v - iou + 1 + least))


public(__name__, __all__)
