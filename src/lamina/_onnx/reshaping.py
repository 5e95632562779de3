"""Writes layers that reshape, permute, repeat, crop and pad."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._onnx.graph import Graph, Value
from lamina._onnx.shapes import LAST, either_order, reshaped, scaled
from lamina._onnx.writers import shape_after, writes
from lamina._settings.settings import value_of
from lamina.errors import StackError
from lamina.layers import reshaping


@writes(reshaping.Flatten)
def flatten(graph: Graph, x: Value, layer: Any) -> Value:
    if layer.data_format == "channels_first" and len(x.shape) > 2:
        x = graph.node("Transpose", x, perm=[0, *range(2, len(x.shape)), 1])
    return x if len(x.shape) == 2 else graph.node("Flatten", x, axis=1)


@writes(reshaping.Reshape)
def reshape(graph: Graph, x: Value, layer: Any) -> Value:
    return reshaped(graph, x, shape_after(layer, x.shape))


@writes(reshaping.Permute)
def permute(graph: Graph, x: Value, layer: Any) -> Value:
    return graph.node("Transpose", x, perm=[0, *layer.dims])


@writes(reshaping.RepeatVector)
def repeat(graph: Graph, x: Value, layer: Any) -> Value:
    return graph.node("Tile", graph.node("Unsqueeze", x, np.array([1])), np.array([1, layer.n, 1]))


def _by_axis(layer: Any, name: str, axes: tuple[int, ...]) -> list[Any]:
    value = value_of(layer, name)
    return [value] if len(axes) == 1 else list(value)


@writes(reshaping.Cropping1D, reshaping.Cropping2D, reshaping.Cropping3D)
def crop(graph: Graph, x: Value, layer: Any) -> Value:
    x, axes, result = either_order(graph, x, getattr(layer, "data_format", None))
    pairs = _by_axis(layer, "cropping", axes)
    starts, ends = [before for before, _ in pairs], [-after if after else LAST for _, after in pairs]
    return result(graph.node("Slice", x, np.array(starts), np.array(ends), np.array(axes)))


@writes(reshaping.ZeroPadding1D, reshaping.ZeroPadding2D, reshaping.ZeroPadding3D)
def pad(graph: Graph, x: Value, layer: Any) -> Value:
    x, axes, result = either_order(graph, x, layer.data_format)
    pairs = _by_axis(layer, "padding", axes)
    pads = [before for before, _ in pairs] + [after for _, after in pairs]
    return result(graph.node("Pad", x, np.array(pads), None, np.array(axes)))


@writes(reshaping.UpSampling1D, reshaping.UpSampling2D, reshaping.UpSampling3D)
def up(graph: Graph, x: Value, layer: Any) -> Value:
    x, axes, result = either_order(graph, x, getattr(layer, "data_format", None))
    factors = dict(zip(axes, _by_axis(layer, "size", axes), strict=True))
    how = getattr(layer, "interpolation", "nearest")
    if how != "nearest" and None not in [x.shape[axis] for axis in axes]:
        sizes = {axis: int(x.shape[axis] or 1) * factors[axis] for axis in axes}
        return result(scaled(graph, x, sizes, how))
    scales = np.array([factors.get(axis, 1) for axis in range(len(x.shape))], np.float32)
    told: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    if how in ("bilinear", "bicubic"):
        mode = {"bilinear": "linear", "bicubic": "cubic"}[how]
        told = {"mode": mode, "cubic_coeff_a": -0.5, "exclude_outside": int(mode == "cubic")}
    elif how != "nearest":
        raise StackError(f"{layer.name!r}: {how} needs fixed sizes in ONNX: name them in export(input_signature=...).")
    return result(graph.node("Resize", x, None, scales, **told))
