"""Writes recurrent layers: as ONNX's own nodes if there is no mask, else as a Scan, which computes step by step.

ONNX's nodes take one length for each row, so they cannot leave out steps at the beginning or in the middle of a row. In
a Scan, a masked step keeps the states and repeats the output of the step before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lamina import activations
from lamina._arrays.arrays import HostArray
from lamina._onnx.convolution import convolved, filters_first
from lamina._onnx.graph import Graph, Value
from lamina._onnx.shapes import LAST
from lamina._onnx.writers import activate, writer_of, writes
from lamina.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell
from lamina.layers.recurrent.convolutional import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, ConvLSTMCell
from lamina.layers.recurrent.layers import GRU, LSTM, RNN, SimpleRNN
from lamina.layers.recurrent.stacked_cells import StackedRNNCells
from lamina.layers.wrappers import Bidirectional

Sequences = tuple[Value, Value, list[Value]]
"""The outputs of all steps in the order of time, (batch, time, units), the output of the last step, and the states."""


def _split(graph: Graph, z: Value, parts: int, axis: int = -1) -> tuple[Value, ...]:
    return graph.several(parts, "Split", z, axis=axis, num_outputs=parts)


def _input_part(graph: Graph, x: Value, cell: Any) -> Value:
    """x @ kernel + bias, for one step or for all steps; x itself for cells that do not add this to a product."""
    if type(cell) not in (SimpleRNNCell, LSTMCell, GRUCell):
        return x
    z = graph.node("MatMul", x, graph.constant(cell.kernel, "kernel"))
    if cell.bias is None:
        return z
    bias = graph.weight(cell, "bias")
    return graph.node("Add", z, bias[0] if bias.ndim == 2 else bias)


@writes(SimpleRNNCell)
def simple_step(graph: Graph, z: Value, cell: SimpleRNNCell, states: Sequence[Value]) -> list[Value]:
    again = graph.node("MatMul", states[0], graph.constant(cell.recurrent_kernel, "recurrent_kernel"))
    return [activate(graph, cell.activation, graph.node("Add", z, again))]


def _gated(graph: Graph, z: Value, cell: Any, c: Value, axis: int) -> list[Value]:
    """The next states of an LSTM from the sum z of its products, which has the four gates along `axis`."""
    parts = _split(graph, z, 4, axis)
    i, f, o = (activate(graph, cell.recurrent_activation, parts[at]) for at in (0, 1, 3))
    new = graph.node("Mul", i, activate(graph, cell.activation, parts[2]))
    c = graph.node("Add", graph.node("Mul", f, c), new)
    return [graph.node("Mul", o, activate(graph, cell.activation, c)), c]


@writes(LSTMCell)
def lstm_step(graph: Graph, z: Value, cell: LSTMCell, states: Sequence[Value]) -> list[Value]:
    again = graph.node("MatMul", states[0], graph.constant(cell.recurrent_kernel, "recurrent_kernel"))
    return _gated(graph, graph.node("Add", z, again), cell, states[1], -1)


@writes(ConvLSTMCell)
def convolved_step(graph: Graph, x: Value, cell: ConvLSTMCell, states: Sequence[Value]) -> list[Value]:
    z = convolved(graph, x, cell, graph.weight(cell, "kernel"), cell.bias)
    more = [size - 1 for size in cell.kernel_size]
    pads = [each // 2 for each in more] + [each - each // 2 for each in more]
    kernel = graph.constant(filters_first(graph.weight(cell, "recurrent_kernel")), "recurrent_kernel")
    return _gated(graph, graph.node("Add", z, graph.node("Conv", states[0], kernel, pads=pads)), cell, states[1], 1)


@writes(GRUCell)
def gru_step(graph: Graph, z: Value, cell: GRUCell, states: Sequence[Value]) -> list[Value]:
    h, kernel = states[0], graph.weight(cell, "recurrent_kernel")

    def gate(a: Value, b: Value) -> Value:
        return activate(graph, cell.recurrent_activation, graph.node("Add", a, b))

    z_u, z_r, z_g = _split(graph, z, 3)
    if cell.reset_after:
        a = graph.node("MatMul", h, kernel)
        a = a if cell.bias is None else graph.node("Add", a, graph.weight(cell, "bias")[1])
        a_u, a_r, a_g = _split(graph, a, 3)
        u, r = gate(z_u, a_u), gate(z_r, a_r)
        new = graph.node("Mul", r, a_g)
    else:
        before, last = kernel[:, : 2 * cell.units], kernel[:, 2 * cell.units :]
        a_u, a_r = _split(graph, graph.node("MatMul", h, before), 2)
        u, r = gate(z_u, a_u), gate(z_r, a_r)
        new = graph.node("MatMul", graph.node("Mul", r, h), last)
    g = activate(graph, cell.activation, graph.node("Add", z_g, new))
    return [graph.node("Add", graph.node("Mul", u, h), graph.node("Mul", graph.node("Sub", np.float32(1), u), g))]


def _advanced(graph: Graph, x: Value, cell: Any, states: Sequence[Value]) -> tuple[Value, list[Value]]:
    """The output and the next states of a cell. The writer of a custom cell returns both, or only the states."""
    made = writer_of(cell)(graph, x, cell, states)
    output, new = made if isinstance(made, tuple) else (made[0], made)
    return output, list(new)


def _state_shapes(cell: Any) -> list[tuple[int, ...]]:
    """The shapes of a cell's states without the batch axis, with the channels first."""
    if isinstance(cell, ConvLSTMCell):
        return [(cell.units, *cell._lamina_positions)] * 2
    sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
    return [tuple(size) if isinstance(size, (list, tuple)) else (size,) for size in sizes]


def by_scan(graph: Graph, x: Value, layer: Any) -> Sequences:
    """Write a layer as a Scan."""
    cells = layer.cell.cells if isinstance(layer.cell, StackedRNNCells) else [layer.cell]
    moves = isinstance(layer.cell, ConvLSTMCell) and layer.data_format == "channels_last"
    if moves:
        rank = len(x.shape)
        x = replace(graph.node("Transpose", x, perm=[0, 1, rank - 1, *range(2, rank - 1)]), mask=x.mask)
    rows = graph.node("Shape", x, start=0, end=1)
    shapes = [shape for cell in cells for shape in _state_shapes(cell)]
    ends = getattr(cells[-1], "output_size", None)
    shapes.append(_state_shapes(cells[-1])[0] if ends is None or isinstance(cells[-1], ConvLSTMCell) else (ends,))
    zeros = [
        replace(graph.node("ConstantOfShape", graph.node("Concat", rows, np.array(s), axis=0)), shape=(None, *s))
        for s in shapes
    ]
    steps = [_input_part(graph, x, cells[0])]
    if x.mask is not None:
        steps.append(graph.node("Unsqueeze", x.mask, np.arange(2, len(shapes[-1]) + 2)))

    def step(graph: Graph, *values: Value) -> tuple[Value, ...]:
        *states, before = values[: len(zeros)]
        y, kept = values[len(zeros)], values[len(zeros) + 1 :]
        new: list[Value] = []
        for at, cell in enumerate(cells):
            own = states[len(new) : len(new) + len(_state_shapes(cell))]
            y, after = _advanced(graph, _input_part(graph, y, cell) if at else y, cell, own)
            new += after
        if kept:
            new = [graph.node("Where", kept[0], a, b) for a, b in zip(new, states, strict=True)]
            y = graph.node("Where", kept[0], y, before)
        return (*new, y, y)

    at = [replace(each, shape=(None, *each.shape[2:]), name="") for each in steps]
    body = graph.body(step, *zeros, *at)
    reverse = int(layer.go_backwards)
    *states, last, outputs = graph.several(
        len(zeros) + 1, "Scan", *zeros, *steps, body=body, num_scan_inputs=len(steps),
        scan_input_axes=[1] * len(steps), scan_output_axes=[1], scan_input_directions=[reverse] * len(steps),
        scan_output_directions=[reverse],
    )  # fmt: skip
    if layer.zero_output_for_mask and x.mask is not None:
        outputs = graph.node("Where", steps[1], outputs, np.float32(0))
        last = graph.node("Gather", outputs, np.int64(0 if reverse else -1), axis=1)
    if moves:
        outputs, last, *states = (_channels_last(graph, y, y is outputs) for y in (outputs, last, *states))
    return outputs, last, states


def _channels_last(graph: Graph, y: Value, steps: bool) -> Value:
    """(batch, channels, *sizes) -> (batch, *sizes, channels). With `steps`, a time axis follows the batch axis."""
    return graph.node("Transpose", y, perm=[*range(1 + steps), *range(2 + steps, len(y.shape)), 1 + steps])


def _in_order(weights: HostArray, order: Sequence[int]) -> HostArray:
    """(n, gates * units) -> (1, gates * units, n), with the gates in another order."""
    parts = np.split(weights, len(order), axis=-1)
    return np.concatenate([parts[at] for at in order], axis=-1).T[None]


def by_node(graph: Graph, x: Value, layer: Any) -> Sequences:
    """Write a layer as one node of ONNX."""
    cell, op = layer.cell, type(layer).__name__
    order = {"LSTM": [0, 3, 1, 2], "GRU": [0, 1, 2]}.get(op, [0])  # ONNX has the gates of an LSTM as i, o, f, c
    told: dict[str, Any] = {"linear_before_reset": int(cell.reset_after)} if op == "GRU" else {}
    kernels = [_in_order(graph.weight(cell, name), order) for name in ("kernel", "recurrent_kernel")]
    inputs = [graph.node("Transpose", x, perm=[1, 0, 2]), *(graph.constant(each, "kernel") for each in kernels)]
    if cell.bias is not None:
        bias = np.atleast_2d(graph.weight(cell, "bias"))
        both = np.concatenate([bias, np.zeros_like(bias)])[:2]
        inputs.append(graph.constant(np.concatenate([_in_order(row[None], order)[:, :, 0] for row in both], 1), "bias"))
    direction = "reverse" if layer.go_backwards else "forward"
    count = 2 if op == "LSTM" else 1
    y, *states = graph.several(
        1 + count, "RNN" if op == "SimpleRNN" else op, *inputs, hidden_size=cell.units, direction=direction, **told
    )
    states = [graph.node("Squeeze", each, np.array([0])) for each in states]
    outputs = graph.node("Transpose", graph.node("Squeeze", y, np.array([1])), perm=[1, 0, 2])
    return outputs, states[0], states


def _standard(layer: Any) -> bool:
    """Whether ONNX has a node for the layer: it is an LSTM, GRU or SimpleRNN with the default activations."""
    known = type(layer) in (LSTM, GRU, SimpleRNN) and layer.activation is activations.tanh
    return known and getattr(layer, "recurrent_activation", activations.sigmoid) is activations.sigmoid


def sequences(graph: Graph, x: Value, layer: Any) -> Sequences:
    """Write a recurrent layer, as a node if possible, else as a Scan."""
    return (by_node if x.mask is None and _standard(layer) else by_scan)(graph, x, layer)


@writes(LSTM, GRU, SimpleRNN, RNN, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D)
def recurrent(graph: Graph, x: Value, layer: Any) -> Any:
    outputs, last, states = sequences(graph, x, layer)
    y = last
    if layer.return_sequences:
        y = replace(_backwards(graph, outputs) if layer.go_backwards else outputs, mask=x.mask)
    return (y, *states) if layer.return_state else y


def _backwards(graph: Graph, x: Value) -> Value:
    """The steps in reverse order."""
    return graph.node("Slice", x, np.array([-1]), np.array([-LAST]), np.array([1]), np.array([-1]))


@writes(Bidirectional)
def bidirectional(graph: Graph, x: Value, layer: Any) -> Any:
    both, states = [], []
    for inner in (layer.forward_layer, layer.backward_layer):
        with graph.within(inner.name):
            outputs, last, kept = sequences(graph, x, inner)
        both.append(outputs if inner.return_sequences else last)
        states += kept
    if layer.merge_mode is None:
        merged = tuple(both)
    elif layer.merge_mode == "concat":
        merged = (graph.node("Concat", *both, axis=-1),)
    else:
        merged = (graph.node("Mul" if layer.merge_mode == "mul" else "Add", *both),)
        if layer.merge_mode == "ave":
            merged = (graph.node("Mul", merged[0], np.float32(0.5)),)
    if layer.forward_layer.return_sequences:
        merged = tuple(replace(each, mask=x.mask) for each in merged)
    made = (*merged, *states) if layer.forward_layer.return_state else merged
    return made if len(made) > 1 else made[0]
