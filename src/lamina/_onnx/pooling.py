"""Writes the pooling layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._arrays.shapes import spatial_axes
from lamina._kernels import pooling
from lamina._onnx.graph import Graph, Value
from lamina._onnx.shapes import channels_first, either_order, products
from lamina._onnx.writers import layers_in, writes
from lamina.errors import StackError
from lamina.layers.pooling import adaptive, global_pooling, windows


@writes(*layers_in(windows))
def window(graph: Graph, x: Value, layer: Any) -> Value:
    x, result = channels_first(graph, x, layer.data_format)
    op = "MaxPool" if isinstance(layer, windows._MaxPooling) else "AveragePool"
    padding: dict[str, Any] = {"auto_pad": "SAME_UPPER"} if layer.padding == "same" else {}
    return result(graph.node(op, x, kernel_shape=list(layer.pool_size), strides=list(layer.strides), **padding))


@writes(*layers_in(global_pooling))
def whole(graph: Graph, x: Value, layer: Any) -> Value:
    keep = int(layer.keepdims)
    if isinstance(layer, global_pooling.GlobalAveragePooling1D) and x.mask is not None:
        (axis,) = spatial_axes(3, layer.data_format)
        kept = graph.node("Unsqueeze", x.mask, np.array([3 - axis]))
        zeros = graph.node("Where", kept, x, np.float32(0))
        total = graph.node("ReduceSum", zeros, np.array([axis]), keepdims=keep)
        count = graph.node("ReduceSum", graph.cast(kept, np.float32), np.array([axis]), keepdims=keep)
        return graph.node("Div", total, graph.node("Max", count, np.float32(1)))
    op = "ReduceMax" if isinstance(layer, global_pooling._GlobalMaxPooling) else "ReduceMean"
    x, axes, result = either_order(graph, x, layer.data_format)
    y = graph.node(op, x, np.array(axes), keepdims=keep)
    return result(y) if keep else y


@writes(*layers_in(adaptive))
def of_output_size(graph: Graph, x: Value, layer: Any) -> Value:
    x, axes, result = either_order(graph, x, layer.data_format)
    if any(x.shape[axis] is None for axis in axes):
        raise StackError(f"{layer.name!r} needs fixed sizes in ONNX: name them in export(input_signature=...).")
    counts = zip(axes, layer.output_size, strict=True)
    windows_of = [list(zip(*pooling.windows(x.shape[axis] or 0, count), strict=True)) for axis, count in counts]
    if isinstance(layer, adaptive._AdaptiveAveragePooling):
        matrices = []
        for axis, several in zip(axes, windows_of, strict=True):
            matrix = np.zeros((int(x.shape[axis] or 0), len(several)), np.float32)
            for at, (start, end) in enumerate(several):
                matrix[start:end, at] = 1 / (end - start)
            matrices.append(matrix)
        return result(products(graph, x, axes, matrices))
    for axis, several in zip(axes, windows_of, strict=True):
        widest = max(end - start for start, end in several)
        places = np.array([[min(start + i, end - 1) for i in range(widest)] for start, end in several])
        x = graph.node("ReduceMax", graph.node("Gather", x, places, axis=axis), np.array([axis + 1]), keepdims=0)
    return result(x)
