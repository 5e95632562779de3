"""Writes the layers that take several tensors. Layers of your own hold them: `graph.layer(layer.add, [x, y])`."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from lamina import dtypes
from lamina._onnx.graph import Graph, Value
from lamina._onnx.writers import writes
from lamina.layers.merging import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract

OPERATORS: dict[type, str] = {
    Add: "Add",
    Average: "Add",
    Maximum: "Max",
    Minimum: "Min",
    Multiply: "Mul",
    Subtract: "Sub",
}


@writes(*OPERATORS)
def merge(graph: Graph, xs: list[Value], layer: Any) -> Value:
    missing = [np.arange(1, 1 + max(len(x.shape) for x in xs) - len(x.shape)) for x in xs]
    wide = [graph.node("Unsqueeze", x, axes) if axes.size else x for x, axes in zip(xs, missing, strict=True)]
    y = reduce(lambda a, b: graph.node(OPERATORS[type(layer)], a, b), wide)
    y = graph.node("Div", y, np.float32(len(xs))) if isinstance(layer, Average) else y
    masks = [x.mask for x in xs if x.mask]
    return replace(y, mask=reduce(lambda a, b: graph.node("Or", a, b), masks) if len(masks) == len(xs) else None)


@writes(Concatenate)
def concatenate(graph: Graph, xs: list[Value], layer: Concatenate) -> Value:
    return graph.node("Concat", *xs, axis=layer.axis)


@writes(Dot)
def dot(graph: Graph, xs: list[Value], layer: Dot) -> Value:
    ranks = [len(x.shape) for x in xs]
    for at, axis in enumerate(layer._lamina_axes_for(ranks) if layer.normalize else []):
        length = graph.node(
            "Max", graph.node("ReduceL2", xs[at], np.array([axis]), keepdims=1), np.float32(dtypes.epsilon())
        )
        xs = [*xs[:at], graph.node("Div", xs[at], length), *xs[at + 1 :]]
    y = graph.node("Einsum", *xs, equation=layer._lamina_equation(ranks))
    return y if len(y.shape) > 1 else graph.node("Unsqueeze", y, np.array([1]))
