"""Writes normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._onnx.graph import Graph, Value
from lamina._onnx.writers import writes
from lamina.config import epsilon
from lamina.layers.features.numbers import Normalization, statistics
from lamina.layers.normalizations.batch import BatchNormalization
from lamina.layers.normalizations.norms import RMSNormalization, UnitNormalization
from lamina.layers.normalizations.samples import GroupNormalization, LayerNormalization
from lamina.layers.normalizations.scaling import feature_axes


def _along(values: HostArray, axes: Sequence[int], rank: int) -> HostArray:
    """Values for some axes, in a shape that can be broadcast to all."""
    sizes = iter(values.shape)
    return values.reshape([next(sizes) if axis in axes else 1 for axis in range(rank)])


@writes(BatchNormalization)
def batch(graph: Graph, x: Value, layer: Any) -> Value:
    mean, variance = graph.weight(layer, "moving_mean"), graph.weight(layer, "moving_variance")
    gamma = graph.weight(layer, "gamma") if layer.scale else np.ones_like(mean)
    beta = graph.weight(layer, "beta") if layer.center else np.zeros_like(mean)
    axis = layer.axis % len(x.shape)
    last = axis == len(x.shape) - 1 and x.channels_first
    if last or axis == 1:
        y = graph.channels_first(x) if last else x
        weights = (
            graph.constant(w, n) for w, n in ((gamma, "gamma"), (beta, "beta"), (mean, "mean"), (variance, "variance"))
        )
        y = graph.node("BatchNormalization", y, *weights, epsilon=float(layer.epsilon))
        return graph.held(y) if last else y
    factor = gamma / np.sqrt(variance.astype(np.float64) + layer.epsilon)
    factor, shift = (_along(each.astype(np.float32), [axis], len(x.shape)) for each in (factor, beta - mean * factor))
    return graph.node("Add", graph.node("Mul", x, factor), shift)


def _by_root(graph: Graph, x: Value, y: Value, axes: Sequence[int], epsilon: float) -> Value:
    """x divided by the root of the mean of y²."""
    mean = graph.node("ReduceMean", graph.node("Mul", y, y), np.array(axes), keepdims=1)
    return graph.node("Div", x, graph.node("Sqrt", graph.node("Add", mean, np.float32(epsilon))))


@writes(LayerNormalization)
def layer_normalization(graph: Graph, x: Value, layer: Any) -> Value:
    rank, axes = len(x.shape), feature_axes(layer.axis, x.shape)
    gamma = None if layer.gamma is None else graph.weight(layer, "gamma")
    beta = None if layer.beta is None else graph.weight(layer, "beta")
    if axes == list(range(axes[0], rank)) and not layer.rms_scaling:
        sizes = [int(x.shape[axis] or 1) for axis in axes]
        scale = (np.ones(sizes, np.float32) if gamma is None else gamma).reshape(sizes)
        beta = None if beta is None else beta.reshape(sizes)
        return graph.node("LayerNormalization", x, scale, beta, axis=axes[0], epsilon=float(layer.epsilon))
    mean = graph.node("ReduceMean", x, np.array(axes), keepdims=1)
    centered = graph.node("Sub", x, mean)
    y = _by_root(graph, x if layer.rms_scaling else centered, centered, axes, layer.epsilon)
    y = y if gamma is None else graph.node("Mul", y, _along(gamma, axes, rank))
    return y if beta is None else graph.node("Add", y, _along(beta, axes, rank))


@writes(GroupNormalization)
def group(graph: Graph, x: Value, layer: Any) -> Value:
    rank, axis = len(x.shape), layer.axis % len(x.shape)
    order = (0, axis, *(each for each in range(1, rank) if each != axis))
    first = axis == rank - 1
    x = graph.channels_first(x) if first else x if axis == 1 else graph.node("Transpose", x, perm=list(order))
    channels = int(x.shape[1] or 1)
    groups = channels if layer.groups == -1 else layer.groups
    rest = int(np.prod([1 if size is None else size for size in x.shape[2:]]))
    parted = [0, groups, channels // groups * rest if None not in x.shape[2:] else -1]
    y = graph.node("Reshape", x, np.array(parted))
    ones, zeros = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    y = graph.node("InstanceNormalization", y, ones, zeros, epsilon=float(layer.epsilon))
    y = graph.node("Reshape", y, graph.node("Shape", x))
    y = Value(y.name, y.dtype, x.shape)
    if layer.gamma is not None:
        y = graph.node("Mul", y, _along(graph.weight(layer, "gamma"), [1], rank))
    if layer.beta is not None:
        y = graph.node("Add", y, _along(graph.weight(layer, "beta"), [1], rank))
    if first:
        return graph.held(y) if rank > 2 else y
    return y if axis == 1 else graph.node("Transpose", y, perm=np.argsort(order).tolist())


@writes(RMSNormalization)
def rms(graph: Graph, x: Value, layer: Any) -> Value:
    axes = feature_axes(layer.axis, x.shape)
    y = _by_root(graph, x, x, axes, layer.epsilon)
    return graph.node("Mul", y, _along(graph.weight(layer, "scale"), axes, len(x.shape)))


@writes(UnitNormalization)
def unit(graph: Graph, x: Value, layer: Any) -> Value:
    length = graph.node("ReduceL2", x, np.array(feature_axes(layer.axis, x.shape)), keepdims=1)
    return graph.node("Div", x, graph.node("Max", length, np.float32(1e-12)))


@writes(Normalization)
def normalization(graph: Graph, x: Value, layer: Any) -> Value:
    mean, variance = (np.asarray(each, np.float32) for each in statistics(layer))
    width = np.maximum(np.sqrt(variance), np.float32(epsilon()))
    if layer.invert:
        return graph.node("Add", graph.node("Mul", x, width), mean)
    return graph.node("Div", graph.node("Sub", x, mean), width)
