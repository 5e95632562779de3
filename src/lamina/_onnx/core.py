"""Writes Dense, EinsumDense, layers that do nothing in inference, and layers that hold another layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lamina._onnx.graph import Graph, Value
from lamina._onnx.writers import activate, layers_in, shape_after, write_layer, writes
from lamina.layers import regularization
from lamina.layers.core import Activation, Dense, InputLayer
from lamina.layers.einsum import EinsumDense
from lamina.layers.embeddings import Embedding, ReversibleEmbedding
from lamina.layers.features.numbers import Rescaling
from lamina.layers.masks import Identity, Masking
from lamina.layers.normalizations.spectral import SpectralNormalization
from lamina.layers.wrappers import TimeDistributed


@writes(Identity, InputLayer, *layers_in(regularization))
def nothing(graph: Graph, x: Value, layer: Any) -> Value:
    return x


@writes(Dense)
def dense(graph: Graph, x: Value, layer: Dense) -> Value:
    kernel, bias = graph.constant(layer.kernel, "kernel"), graph.optional(layer.bias, "bias")
    if len(x.shape) == 2:
        y = graph.node("Gemm", x, kernel, bias)
    else:
        y = graph.node("MatMul", x, kernel)
        y = y if bias is None else graph.node("Add", y, bias)
    return activate(graph, layer.activation, y)


@writes(EinsumDense)
def einsum_dense(graph: Graph, x: Value, layer: EinsumDense) -> Value:
    y = graph.node("Einsum", x, graph.constant(layer.kernel, "kernel"), equation=layer.equation)
    y = y if layer.bias is None else graph.node("Add", y, graph.constant(layer.bias, "bias"))
    return activate(graph, layer.activation, y)


@writes(Activation)
def activation(graph: Graph, x: Value, layer: Activation) -> Value:
    return activate(graph, layer.activation, x)


@writes(Rescaling)
def rescaling(graph: Graph, x: Value, layer: Rescaling) -> Value:
    y = graph.cast(x, np.float32)
    scale, offset = np.asarray(layer.scale, np.float32), np.asarray(layer.offset, np.float32)
    y = graph.node("Mul", y, scale) if (scale != 1).any() else y
    return graph.node("Add", y, offset) if offset.any() else y


@writes(Masking)
def masking(graph: Graph, x: Value, layer: Masking) -> Value:
    other = graph.node("Not", graph.node("Equal", x, np.asarray(layer.mask_value, x.dtype)))
    kept = graph.node("ReduceMax", graph.cast(other, np.int32), np.array([-1]), keepdims=1)
    kept = graph.cast(kept, bool)
    y = graph.node("Where", kept, x, np.zeros((), x.dtype))
    return replace(y, mask=graph.node("Squeeze", kept, np.array([-1])))


@writes(Embedding, ReversibleEmbedding)
def embedding(graph: Graph, x: Value, layer: Embedding) -> Value:
    places = x if x.dtype in (np.int32, np.int64) else graph.cast(x, np.int64)
    y = graph.node("Gather", graph.constant(graph.weight(layer, "embeddings"), "embeddings"), places)
    if not layer.mask_zero or isinstance(layer, ReversibleEmbedding):
        return y
    return replace(y, mask=graph.node("Not", graph.node("Equal", places, np.zeros((), places.dtype))))


@writes(SpectralNormalization)
def wrapped(graph: Graph, x: Value, layer: SpectralNormalization) -> Any:
    return write_layer(graph, layer.layer, x)


@writes(TimeDistributed)
def time_distributed(graph: Graph, x: Value, layer: TimeDistributed) -> Value:
    steps = graph.node("Reshape", x, np.array([-1, *(int(size or -1) for size in x.shape[2:])]))
    y = write_layer(graph, layer.layer, replace(steps, shape=(None, *x.shape[2:]), mask=None))
    after = np.array([int(size or -1) for size in y.shape[1:]], np.int64)
    whole = graph.node("Concat", graph.node("Shape", x, start=0, end=2), after, axis=0)
    y = graph.node("Reshape", y, whole)
    return replace(y, shape=shape_after(layer, x.shape), mask=x.mask)
