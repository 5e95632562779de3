"""Writes convolutions. In the graph, their tensors have the channels before the spatial axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._kernels.convolution import transposed_pads
from lamina._kernels.window import spread
from lamina._onnx.graph import Graph, Value
from lamina._onnx.shapes import channels_first
from lamina._onnx.writers import activate, writes
from lamina.layers.convolution.depthwise import DepthwiseConv1D, DepthwiseConv2D
from lamina.layers.convolution.plain import Conv1D, Conv2D, Conv3D
from lamina.layers.convolution.separable import SeparableConv1D, SeparableConv2D
from lamina.layers.convolution.transposed import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose


def filters_first(kernel: HostArray) -> HostArray:
    """(*window, channels, filters) -> (filters, channels, *window)"""
    rank = kernel.ndim - 2
    return np.transpose(kernel, (rank + 1, rank, *range(rank)))


def convolved(graph: Graph, x: Value, layer: Any, kernel: HostArray, bias: Any, groups: int = 1) -> Value:
    """Convolve x, (batch, channels, *sizes), with a kernel (*window, channels of a group, filters)."""
    padding: dict[str, Any] = {}
    if layer.padding == "same" and max(layer.strides) == 1:
        more = [span - 1 for span in spread(layer.kernel_size, layer.dilation_rate)]
        padding = {"pads": [each // 2 for each in more] + [each - each // 2 for each in more]}
    elif layer.padding == "same":
        padding = {"auto_pad": "SAME_UPPER"}  # the amount of padding depends on the size of x
    elif layer.padding == "causal":
        padding = {"pads": [layer.dilation_rate[0] * (layer.kernel_size[0] - 1), 0]}
    told = {"strides": list(layer.strides), "dilations": list(layer.dilation_rate), "group": groups, **padding}
    filters = graph.constant(filters_first(kernel), "kernel")
    return graph.node("Conv", x, filters, graph.optional(bias, "bias"), **told)


@writes(Conv1D, Conv2D, Conv3D)
def convolution(graph: Graph, x: Value, layer: Any) -> Value:
    x, result = channels_first(graph, x, layer.data_format)
    kernel = graph.weight(layer, "kernel")
    return activate(graph, layer.activation, result(convolved(graph, x, layer, kernel, layer.bias, layer.groups)))


def _by_channel(graph: Graph, x: Value, layer: Any, name: str, bias: Any) -> Value:
    kernel = graph.weight(layer, name)  # (*window, channels, multiplier)
    *window, channels, multiplier = kernel.shape
    return convolved(graph, x, layer, kernel.reshape(*window, 1, channels * multiplier), bias, channels)


@writes(DepthwiseConv1D, DepthwiseConv2D)
def depthwise(graph: Graph, x: Value, layer: Any) -> Value:
    x, result = channels_first(graph, x, layer.data_format)
    return activate(graph, layer.activation, result(_by_channel(graph, x, layer, "kernel", layer.bias)))


@writes(SeparableConv1D, SeparableConv2D)
def separable(graph: Graph, x: Value, layer: Any) -> Value:
    x, result = channels_first(graph, x, layer.data_format)
    y = _by_channel(graph, x, layer, "depthwise_kernel", None)
    mixed = graph.constant(filters_first(graph.weight(layer, "pointwise_kernel")), "pointwise")
    y = graph.node("Conv", y, mixed, graph.optional(layer.bias, "bias"))
    return activate(graph, layer.activation, result(y))


@writes(Conv1DTranspose, Conv2DTranspose, Conv3DTranspose)
def transposed(graph: Graph, x: Value, layer: Any) -> Value:
    x, result = channels_first(graph, x, layer.data_format)
    begins, ends, more = [], [], []
    for axis, (k, stride) in enumerate(zip(spread(layer.kernel_size, layer.dilation_rate), layer.strides, strict=True)):
        told = None if layer.output_padding is None else layer.output_padding[axis]
        before, over = transposed_pads(k, stride, layer.padding, told)
        begins.append(before)
        ends.append(max(-over - before, 0))
        more.append(over + begins[-1] + ends[-1])
    kernel = graph.constant(filters_first(graph.weight(layer, "kernel")), "kernel")  # (*window, filters, channels)
    told = {"strides": list(layer.strides), "dilations": list(layer.dilation_rate), "pads": begins + ends}
    y = graph.node("ConvTranspose", x, kernel, graph.optional(layer.bias, "bias"), output_padding=more, **told)
    return activate(graph, layer.activation, result(y))
