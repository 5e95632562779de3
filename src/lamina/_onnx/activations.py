"""Writes activation functions, and activation layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lamina import activations
from lamina._onnx.graph import Graph, Value
from lamina._onnx.writers import activate, computes, writes
from lamina.layers.activations import ELU, LeakyReLU, PReLU, ReLU, Softmax


def _plain(function: Any, op: str, **attributes: Any) -> None:
    """Register one operator as the writer of a function."""

    @computes(function)
    def write(graph: Graph, x: Value) -> Value:
        return graph.node(op, x, **attributes)


for _function, _op in (
    (activations.sigmoid, "Sigmoid"), (activations.softplus, "Softplus"), (activations.softsign, "Softsign"),
    (activations.tanh, "Tanh"), (activations.exponential, "Exp"), (activations.mish, "Mish"),
    (activations.selu, "Selu"), (activations.hard_silu, "HardSwish"),
):  # fmt: skip
    _plain(_function, _op)
_plain(activations.hard_sigmoid, "HardSigmoid", alpha=1 / 6, beta=0.5)
_plain(activations.sparse_sigmoid, "HardSigmoid", alpha=0.5, beta=0.5)


def _limited(graph: Graph, x: Value, least: float, most: float) -> Value:
    return graph.node("Clip", x, np.float32(least), np.float32(most))


@computes(activations.linear)
def linear(graph: Graph, x: Value) -> Value:
    return x


@computes(activations.relu)
def relu(
    graph: Graph, x: Value, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Value:
    if negative_slope and max_value is None and not threshold:
        return leaky_relu(graph, x, negative_slope)
    if threshold:
        y = graph.node("Where", graph.node("Greater", x, np.float32(threshold)), x, np.float32(0))
    else:
        y = graph.node("Relu", x)
    if max_value is not None:
        y = _limited(graph, y, 0.0, max_value)
    if negative_slope:
        below = graph.node("Relu", graph.node("Sub", np.float32(threshold), x))
        y = graph.node("Sub", y, graph.node("Mul", below, np.float32(negative_slope)))
    return y


@computes(activations.leaky_relu)
def leaky_relu(graph: Graph, x: Value, negative_slope: float = 0.2) -> Value:
    return graph.node("LeakyRelu", x, alpha=float(negative_slope))


@computes(activations.relu6)
def relu6(graph: Graph, x: Value) -> Value:
    return _limited(graph, x, 0.0, 6.0)


@computes(activations.hard_tanh)
def hard_tanh(graph: Graph, x: Value) -> Value:
    return _limited(graph, x, -1.0, 1.0)


@computes(activations.elu)
def elu(graph: Graph, x: Value, alpha: float = 1.0) -> Value:
    return graph.node("Elu", x, alpha=float(alpha))


@computes(activations.celu)
def celu(graph: Graph, x: Value, alpha: float = 1.0) -> Value:
    return graph.node("Celu", x, alpha=float(alpha))


@computes(activations.log_sigmoid)
def log_sigmoid(graph: Graph, x: Value) -> Value:
    return graph.node("Neg", graph.node("Softplus", graph.node("Neg", x)))


@computes(activations.silu)
def silu(graph: Graph, x: Value) -> Value:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


@computes(activations.gelu)
def gelu(graph: Graph, x: Value, approximate: bool = False) -> Value:
    if graph.opset >= 20:
        return graph.node("Gelu", x, approximate="tanh" if approximate else "none")
    if approximate:
        cube = graph.node("Mul", graph.node("Mul", x, x), graph.node("Mul", x, np.float32(0.044715)))
        inner = graph.node("Tanh", graph.node("Mul", graph.node("Add", x, cube), np.float32(math.sqrt(2 / math.pi))))
    else:
        inner = graph.node("Erf", graph.node("Mul", x, np.float32(math.sqrt(0.5))))
    return graph.node("Mul", graph.node("Mul", x, np.float32(0.5)), graph.node("Add", inner, np.float32(1)))


@computes(activations.sparse_plus)
def sparse_plus(graph: Graph, x: Value) -> Value:
    # (clip(x, -1, 1) + 1)² / 4 is 0 below -1 and 1 at 1; above 1 relu(x - 1) goes on.
    part = graph.node("Add", _limited(graph, x, -1.0, 1.0), np.float32(1))
    curve = graph.node("Mul", graph.node("Mul", part, part), np.float32(0.25))
    return graph.node("Add", curve, graph.node("Relu", graph.node("Sub", x, np.float32(1))))


@computes(activations.squareplus)
def squareplus(graph: Graph, x: Value, b: float = 4) -> Value:
    root = graph.node("Sqrt", graph.node("Add", graph.node("Mul", x, x), np.float32(b)))
    return graph.node("Mul", graph.node("Add", x, root), np.float32(0.5))


@computes(activations.tanh_shrink)
def tanh_shrink(graph: Graph, x: Value) -> Value:
    return graph.node("Sub", x, graph.node("Tanh", x))


@computes(activations.soft_shrink)
def soft_shrink(graph: Graph, x: Value, threshold: float = 0.5) -> Value:
    return graph.node("Shrink", x, bias=float(threshold), lambd=float(threshold))


@computes(activations.hard_shrink)
def hard_shrink(graph: Graph, x: Value, threshold: float = 0.5) -> Value:
    return graph.node("Shrink", x, bias=0.0, lambd=float(threshold))


@computes(activations.threshold)
def threshold(graph: Graph, x: Value, threshold: float, default_value: float) -> Value:
    above = graph.node("Greater", x, np.float32(threshold))
    return graph.node("Where", above, x, np.float32(default_value))


def _exponent(graph: Graph, x: Value, axis: Any) -> Value:
    """The logarithm of the softmax over one axis, several axes, or all axes (None)."""
    if isinstance(axis, int):
        return graph.node("LogSoftmax", x, axis=axis)
    axes = None if axis is None else np.array(axis, np.int64)
    return graph.node("Sub", x, graph.node("ReduceLogSumExp", x, axes, keepdims=1))


@computes(activations.softmax, by_element=False)
def softmax(graph: Graph, x: Value, axis: Any = -1) -> Value:
    if isinstance(axis, int):
        return graph.node("Softmax", x, axis=axis)
    return graph.node("Exp", _exponent(graph, x, axis))


@computes(activations.log_softmax, by_element=False)
def log_softmax(graph: Graph, x: Value, axis: Any = -1) -> Value:
    return _exponent(graph, x, axis)


@computes(activations.sparsemax, by_element=False)
def sparsemax(graph: Graph, x: Value, axis: int = -1) -> Value:
    # The threshold is the maximum over k of (sum of the k largest - 1) / k: it rises up to the right k, then falls.
    axis %= len(x.shape)
    size = x.shape[axis]
    sizes = graph.node("Shape", x, start=axis, end=axis + 1)
    largest, _ = graph.several(2, "TopK", x, sizes, axis=axis)
    sums = graph.node("Sub", graph.node("CumSum", largest, np.int64(axis)), np.float32(1))
    counts = np.arange(1, (size or 1) + 1, dtype=np.float32).reshape([-1] + [1] * (len(x.shape) - axis - 1))
    shift = graph.node("ReduceMax", graph.node("Div", sums, counts), np.array([axis]), keepdims=1)
    return graph.node("Relu", graph.node("Sub", x, shift))


@computes(activations.glu, by_element=False)
def glu(graph: Graph, x: Value, axis: int = -1) -> Value:
    first, second = graph.several(2, "Split", x, axis=axis, num_outputs=2)
    return graph.node("Mul", first, graph.node("Sigmoid", second))


@writes(ReLU, LeakyReLU, ELU)
def with_settings(graph: Graph, x: Value, layer: Any) -> Value:
    function = {ReLU: relu, LeakyReLU: leaky_relu, ELU: elu}[type(layer)]
    names = [name for name in ("negative_slope", "max_value", "threshold", "alpha") if hasattr(layer, name)]
    return function(graph, x, **{name: getattr(layer, name) for name in names})


@writes(PReLU)
def prelu(graph: Graph, x: Value, layer: PReLU) -> Value:
    return graph.node("PRelu", x, graph.constant(layer.alpha, "alpha"))


@writes(Softmax)
def softmax_layer(graph: Graph, x: Value, layer: Softmax) -> Value:
    axis = layer.axis if isinstance(layer.axis, int) else tuple(layer.axis)
    axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
    if x.mask is None:
        return activate(graph, activations.softmax, x) if axis == -1 else softmax(graph, x, axis)
    kept = softmax(graph, graph.node("Where", x.mask, x, np.float32(-1e9)), axis)
    return graph.node("Where", x.mask, kept, np.float32(0))
