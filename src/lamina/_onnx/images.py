"""Writes image layers. Layers that change images at random do nothing in inference."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._onnx.graph import Graph, Value
from lamina._onnx.shapes import channels_first, either_order, scaled
from lamina._onnx.writers import layers_in, writes
from lamina.errors import StackError
from lamina.layers.image import chains, color, mixing, sharpness, warping
from lamina.layers.image.base import ImageLayer, RandomImageLayer
from lamina.layers.image.histograms import AutoContrast, Equalization
from lamina.layers.image.resizing import CenterCrop, RandomCrop, Resizing, margins_of, window
from lamina.layers.image.settings import BYTE

MODES = {"nearest": "nearest", "bilinear": "linear"}
"""ONNX's names of interpolations for images of any size. onnxruntime's "cubic" cannot make images smaller."""


RANDOM = [each for each in layers_in(chains, color, mixing, sharpness, warping) if issubclass(each, RandomImageLayer)]


@writes(Equalization, *RANDOM)
def unchanged(graph: Graph, x: Value, layer: Any) -> Value:
    return graph.cast(x, np.float32)


def _sizes(layer: ImageLayer, x: Value, axes: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The sizes of images in the order that the functions of image layers take: (batch, height, width, channels)."""
    tall, wide = (x.shape[axis] for axis in axes)
    if tall is None or wide is None:
        raise StackError(f"{layer.name!r} needs fixed sizes in ONNX: name them in export(input_signature=...).")
    return 1, tall, wide, 1


def _cut(graph: Graph, x: Value, axes: tuple[int, ...], part: tuple[int, int, int, int]) -> Value:
    """Cut a window out of the images; `part` is its top, its left edge, its height and its width."""
    top, left, tall, wide = part
    return graph.node("Slice", x, np.array([top, left]), np.array([top + tall, left + wide]), np.array(axes))


def _scaled(graph: Graph, x: Value, axes: tuple[int, ...], size: tuple[int, int], layer: Any) -> Value:
    """Scale images to a size, by a choice of pixels or by products with the matrices of `jax.image.resize`."""
    how, smooth = getattr(layer, "interpolation", "bilinear"), getattr(layer, "antialias", False)
    if how == "nearest":
        for axis, new in zip(axes, size, strict=True):
            old = int(x.shape[axis] or 1)
            x = graph.node("Gather", x, np.floor((np.arange(new) + 0.5) * old / new).astype(np.int64), axis=axis)
        return x
    return scaled(graph, x, dict(zip(axes, size, strict=True)), how, smooth)


@writes(Resizing)
def resizing(graph: Graph, x: Value, layer: Resizing) -> Value:
    kind, size = x.dtype, (layer.height, layer.width)
    x = graph.cast(x, np.float32)
    y, axes, result = either_order(graph, x, layer.data_format)
    how, smooth = layer.interpolation, layer.antialias and layer.interpolation != "nearest"
    if layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio or smooth or how not in MODES:
        sizes = _sizes(layer, y, axes)
        if layer.crop_to_aspect_ratio:
            y = _cut(graph, y, axes, window(sizes, *size))
        if layer.pad_to_aspect_ratio:
            margins = np.array(margins_of(sizes, *size) * 2)
            y = graph.node("Pad", y, margins, np.float32(layer.fill_value), np.array(axes))
    if None in [y.shape[axis] for axis in axes]:
        y, result = channels_first(graph, x, layer.data_format)
        told = {"nearest_mode": "round_prefer_ceil"} if how == "nearest" else {}
        whole = graph.node("Concat", graph.node("Shape", y, start=0, end=2), np.array(size, np.int64), axis=0)
        y = graph.node("Resize", y, None, None, whole, mode=MODES[how], **told)
    else:
        y = _scaled(graph, y, axes, size, layer)
    y = result(y)
    if kind.kind == "f":
        return y
    limits = np.iinfo(kind)
    y = graph.node("Clip", graph.node("Round", y), np.float32(limits.min), np.float32(limits.max))
    return graph.cast(y, kind)


@writes(CenterCrop, RandomCrop)
def crop(graph: Graph, x: Value, layer: Any) -> Value:
    x, axes, result = either_order(graph, graph.cast(x, np.float32), layer.data_format)
    sizes, (tall, wide) = _sizes(layer, x, axes), (layer.height, layer.width)
    if isinstance(layer, CenterCrop) and sizes[1] >= tall and sizes[2] >= wide:
        return result(_cut(graph, x, axes, ((sizes[1] - tall) // 2, (sizes[2] - wide) // 2, tall, wide)))
    return result(_scaled(graph, _cut(graph, x, axes, window(sizes, tall, wide)), axes, (tall, wide), layer))


def _rescaled(graph: Graph, x: Value, source: tuple[float, float], target: tuple[float, float]) -> Value:
    """Map x linearly from one range to another."""
    (low, high), (bottom, top) = source, target
    if (low, high) == (bottom, top):
        return x
    shares = graph.node("Div", graph.node("Sub", x, np.float32(low)), np.float32(high - low))
    return graph.node("Add", graph.node("Mul", shares, np.float32(top - bottom)), np.float32(bottom))


@writes(AutoContrast)
def auto_contrast(graph: Graph, x: Value, layer: AutoContrast) -> Value:
    x, axes, result = either_order(graph, graph.cast(x, np.float32), layer.data_format)
    y = _rescaled(graph, x, layer.value_range, BYTE)
    low, high = (graph.node(op, y, np.array(axes), keepdims=1) for op in ("ReduceMin", "ReduceMax"))
    varies, span = graph.node("Greater", high, low), graph.node("Sub", high, low)
    scale = graph.node("Div", np.float32(255), graph.node("Where", varies, span, np.float32(1)))
    wide = graph.node("Sub", graph.node("Mul", y, scale), graph.node("Mul", low, scale))
    wide = graph.node("Clip", wide, np.float32(BYTE[0]), np.float32(BYTE[1]))
    return result(graph.node("Where", varies, _rescaled(graph, wide, BYTE, layer.value_range), x))
