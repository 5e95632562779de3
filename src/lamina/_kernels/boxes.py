"""Bounding boxes in images: their formats, and their positions after an image was changed."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from lamina._arrays.arrays import Array

KINDS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw")
FORMATS = (*KINDS, *(f"rel_{kind}" for kind in KINDS))
"""The four numbers of a box: two corners, or a corner or the center and the size. With "rel_" they are fractions of the
image's width and height."""


def to_corners(boxes: Array, source: str, height: Any, width: Any) -> Array:
    """Boxes of any format as left, top, right and bottom in pixels.  (..., 4) -> (..., 4)"""
    if _begins_with_y(source):
        boxes = boxes[..., jnp.array([1, 0, 3, 2])]
    first, second = boxes[..., :2], boxes[..., 2:]
    if "center" in source:
        first = first - second / 2
    if source.endswith(("wh", "hw")):
        second = first + second
    corners = jnp.concatenate([first, second], -1)
    return corners * sizes(height, width, corners) if source.startswith("rel") else corners


def from_corners(corners: Array, target: str, height: Any, width: Any) -> Array:
    """Converts left, top, right and bottom in pixels to boxes of a format.  (..., 4) -> (..., 4)"""
    if target.startswith("rel"):
        corners = corners / sizes(height, width, corners)
    first, second = corners[..., :2], corners[..., 2:]
    if target.endswith(("wh", "hw")):
        second = second - first
    if "center" in target:
        first = first + second / 2
    boxes = jnp.concatenate([first, second], -1)
    return boxes[..., jnp.array([1, 0, 3, 2])] if _begins_with_y(target) else boxes


def _begins_with_y(name: str) -> bool:
    return name.rpartition("_")[2].startswith("y")


def sizes(height: Any, width: Any, like: Array) -> Array:
    """The largest value of each of the four numbers of a box: numbers -> (4,), arrays (..., 1) -> (..., 4)"""
    both = [jnp.atleast_1d(jnp.asarray(each, like.dtype)) for each in (width, height)]
    return jnp.concatenate(jnp.broadcast_arrays(*both, *both), -1)


def clipped(corners: Array, labels: Array | None, height: Any, width: Any) -> tuple[Array, Array | None]:
    """The part of each box inside the image; a box that is entirely outside gets the label -1."""
    corners = jnp.clip(corners, 0, sizes(height, width, corners))
    seen = jnp.prod(corners[..., 2:] - corners[..., :2], -1) > 0
    return corners, None if labels is None else jnp.where(seen, labels, jnp.asarray(-1, labels.dtype))


def moved(corners: Array, matrix: Array) -> Array:
    """The boxes around the moved corners of boxes. Each pixel of the new image was read at `matrix @ position`.

    (batch, n, 4), (batch, 3, 3) -> (batch, n, 4)
    """
    return around(corners, jnp.linalg.inv(matrix))


def around(corners: Array, matrix: Array) -> Array:
    """The boxes around `matrix @ position` for the four corners of each box.

    (batch, n, 4), (batch, 3, 3) -> (batch, n, 4)
    """
    x, y = corners[..., jnp.array([0, 2, 0, 2])], corners[..., jnp.array([1, 1, 3, 3])]  # (batch, n, 4)
    places = jnp.stack([x, y, jnp.ones_like(x)], -1)
    u, v, w = jnp.moveaxis(jnp.einsum("bij,bnkj->bnki", matrix, places), -1, 0)
    x, y = u / w, v / w
    return jnp.stack([x.min(-1), y.min(-1), x.max(-1), y.max(-1)], -1)
