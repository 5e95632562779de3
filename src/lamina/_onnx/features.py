"""Writes layers that map numbers and categories to codes or vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._onnx.graph import Graph, Value
from lamina._onnx.writers import writes
from lamina.layers.features.categories import CategoryEncoding, Discretization


def hot(graph: Graph, places: Value, mode: str, depth: int) -> Value:
    """Map codes to vectors of length `depth`: one vector for each code, or one for each row."""
    if mode == "one_hot" and len(places.shape) > 1 and places.shape[-1] == 1:
        places = graph.node("Squeeze", places, np.array([-1]))
    last = graph.node("Unsqueeze", places, np.array([len(places.shape)]))
    same = graph.node("Equal", last, np.arange(depth, dtype=places.dtype))
    vectors = graph.cast(same, np.float32)
    axis = np.array([min(len(places.shape) - 1, 1)])
    if mode == "multi_hot":
        return graph.node("ReduceMax", vectors, axis, keepdims=0)
    return graph.node("ReduceSum", vectors, axis, keepdims=0) if mode == "count" else vectors


def counted(graph: Graph, places: Value, known: Any) -> Value:
    """How often each index occurs in a row; -1 is left out.  (batch, terms) -> (batch, depth)"""
    rows = graph.node("Shape", places, start=0, end=1)
    zeros = graph.node("ConstantOfShape", graph.node("Concat", rows, np.array([known.depth + 1]), axis=0))
    ones = graph.node("Expand", np.float32(1), graph.node("Shape", places))
    y = graph.node("ScatterElements", zeros, places, ones, axis=1, reduction="add")
    y = graph.node("Slice", y, np.array([0]), np.array([-1]), np.array([1]))
    if known.output_mode == "multi_hot":
        return graph.node("Min", y, np.float32(1))
    return y if known.output_mode == "count" else graph.node("Mul", y, known.weights)


def bins(graph: Graph, x: Value, boundaries: Any) -> Value:
    """The bin of each number: the number of boundaries that it reaches or exceeds."""
    bounds: HostArray = np.asarray(boundaries, np.float32)
    above = graph.node("GreaterOrEqual", graph.node("Unsqueeze", x, np.array([len(x.shape)])), bounds)
    return graph.node("ReduceSum", graph.cast(above, np.int32), np.array([len(x.shape)]), keepdims=0)


@writes(Discretization)
def discretization(graph: Graph, x: Value, layer: Discretization) -> Value:
    x = graph.cast(x, np.float32)
    bounds = layer.bin_boundaries or []
    places = bins(graph, x, bounds)
    return places if layer.output_mode == "int" else hot(graph, places, layer.output_mode, len(bounds) + 1)


@writes(CategoryEncoding)
def category_encoding(graph: Graph, x: Value, layer: CategoryEncoding) -> Value:
    return hot(graph, graph.cast(x, np.int32), layer.output_mode, layer._lamina_indices_below)
