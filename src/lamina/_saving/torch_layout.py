"""Finds the module of torch for each layer, and converts the module's arrays to the layer's weights and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from lamina import layers
from lamina._arrays.arrays import HostArray
from lamina._layer.layer import Layer
from lamina._layer.structure import inner_modules
from lamina._weights.weight import Weight
from lamina.errors import StackError
from lamina.layers.convolution.depthwise import _DepthwiseConv
from lamina.layers.convolution.plain import Sliding
from lamina.layers.convolution.separable import _SeparableConv
from lamina.layers.convolution.transposed import Transposed
from lamina.layers.pooling.adaptive import AdaptivePooling
from lamina.layers.pooling.windows import Pooling
from lamina.layers.recurrent.layers import Recurrent

Values: TypeAlias = HostArray
Normalization: TypeAlias = layers.BatchNormalization | layers.LayerNormalization | layers.GroupNormalization
Entries: TypeAlias = "list[tuple[str, Weight | None, Move]]"
"""The arrays of a module of torch: the name of each, the weight of the layer, and the conversion between them."""


class Move(NamedTuple):
    """The conversion of an array of torch to a weight here, and back."""

    there: Callable[[Values], Values]
    back: Callable[[Values], Values]
    said: str = ""

    def then(self, other: Move) -> Move:
        """Return the conversion that applies this one and then another."""
        return Move(
            lambda a: other.there(self.there(a)),
            lambda a: self.back(other.back(a)),
            ", ".join(filter(None, (self.said, other.said))),
        )


class Entry(NamedTuple):
    """One array of a module: its name in torch, the weight of the layer, and the conversion between them.

    If two entries have the same weight, they are its rows if it has two axes; otherwise they are added.
    """

    name: str
    weight: Weight
    move: Move


class TorchModule(NamedTuple):
    """The module of torch for a layer, or for a part of a layer."""

    layer: Layer
    path: str
    """The names of the layers on the path to it, joined by dots."""
    kind: str
    entries: list[Entry]

    def arrays(self) -> dict[str, Values]:
        """Return the arrays of the module with the values of the layer's weights."""
        found = {}
        for entry in self.entries:
            value, mates = entry.weight.numpy(), self._of(entry.weight)
            if len(mates) > 1:
                row = [mate.name for mate in mates].index(entry.name)
                value = value[row] if value.ndim == 2 else value if row == 0 else np.zeros_like(value)
            value = value if value.dtype.kind == "f" else value.astype("float32")  # torch cannot read NumPy's bfloat16
            found[entry.name] = np.array(entry.move.back(value), order="C")
        return found

    def weights(self, arrays: dict[str, Values]) -> Iterator[tuple[Weight, Values]]:
        """Return the values of the layer's weights for these arrays of the module."""
        for weight in dict.fromkeys(entry.weight for entry in self.entries):
            parts = [entry.move.there(arrays[entry.name]) for entry in self._of(weight)]
            yield weight, parts[0] if len(parts) == 1 else np.stack(parts) if weight.array.ndim == 2 else np.add(*parts)

    def _of(self, weight: Weight) -> list[Entry]:
        return [entry for entry in self.entries if entry.weight is weight]


SAME = Move(lambda a: a, lambda a: a)
KERNEL = Move(
    lambda a: a.transpose(*range(2, a.ndim), 1, 0),
    lambda a: a.transpose(a.ndim - 1, a.ndim - 2, *range(a.ndim - 2)),
    "transposed",
)
"""(outputs, inputs, *window) -> (*window, inputs, outputs)"""


def _first_two_gates_exchanged(a: Values) -> Values:
    first, second, third = np.split(a, 3)
    return np.concatenate([second, first, third])


GRU_GATES = Move(_first_two_gates_exchanged, _first_two_gates_exchanged, "gates r, z, n -> z, r, n")


def _depthwise(channels: int) -> Move:
    """(channels * multiplier, 1, *window) -> (*window, channels, multiplier)"""
    return Move(
        lambda a: a.reshape(channels, -1, *a.shape[2:]).transpose(*range(2, a.ndim), 0, 1),
        lambda a: KERNEL.back(a.reshape(*a.shape[:-2], 1, -1)),
        "transposed",
    )


def _reordered(order: Values, axis: int, said: str) -> Move:
    """Return the conversion that reorders an axis: element i here is element `order[i]` in torch."""
    back = np.argsort(order)
    if (order == back).all() and (order[:-1] < order[1:]).all():
        return SAME
    return Move(lambda a: a.take(order, axis), lambda a: a.take(back, axis), said)


def _channels_moved(sizes: tuple[int, ...], data_format: str) -> tuple[Values, str]:
    """Return the position in torch, where the channels come first, of each element of a flattened array."""
    if data_format == "channels_first":
        return np.arange(math.prod(sizes)).reshape(sizes), ""
    *window, channels = sizes
    theirs = (channels, *window)
    return np.moveaxis(np.arange(math.prod(sizes)).reshape(theirs), 0, -1), f"{theirs} -> {tuple(sizes)}"


class Walk:
    """Goes through the layers of a stack and tracks where torch has another order of the axes."""

    def __init__(self, model: Layer) -> None:
        self.found: list[TorchModule] = []
        self.data_format: str | None = None
        """The shape of the last layer's output, if torch has its channels before the other axes."""
        self.features = SAME
        """The reordering of the features that a Flatten made from such axes."""
        self.row: tuple[int, int, tuple[int, ...]] | None = None
        """The first and the last module that made features which a Reshape turned into axes, and these axes."""
        self.notes: list[str] = []
        """Notes on layers where the order of the elements depends on the program in torch."""
        self.visit(model, "", model._lamina.shapes)

    def visit(self, layer: Layer, path: str, shapes: Any) -> None:
        """Add the modules of a layer or of its inner layers; `shapes` are the shapes of its input and output."""
        if isinstance(layer, CHANNELS) and self.row is not None:
            self.reorder_row(layer)  # has to come before the layer's weights are added
        known = next((LAYOUTS[kind] for kind in type(layer).__mro__ if kind in LAYOUTS), None)
        if known is not None:
            self.add(layer, path, known(layer))
        elif any(weight.trainable for weight in layer._lamina.weights):
            raise StackError(f"{path!r} ({type(layer).__name__}) has weights, and torch has no such module.")
        else:
            apart = isinstance(layer, layers.TimeDistributed) and shapes is not None
            of_steps = tuple((shape[0], *shape[2:]) for shape in shapes) if apart else None
            for inner in inner_modules(layer, Layer).values():
                self.visit(inner, f"{path}.{inner.name}".lstrip("."), of_steps or inner._lamina.shapes)
        self.follow(layer, shapes)

    def add(self, layer: Layer, path: str, modules: Sequence[tuple[str, Entries]]) -> None:
        for number, (kind, entries) in enumerate(modules):
            kept = [
                Entry(name, weight, move.then(self.features) if name in READS or "Norm" in kind else move)
                for name, weight, move in entries
                if weight is not None
            ]
            name = path if len(modules) == 1 else f"{path}.{number}"
            self.found += [TorchModule(layer, name, kind, kept)] if kept else []

    def follow(self, layer: Layer, shapes: Any) -> None:
        """Update the order of the axes after this layer."""
        if isinstance(layer, CHANNELS):
            self.data_format = layer.data_format  # type: ignore[union-attr]
        elif isinstance(layer, (layers.Flatten, layers.Reshape)) and shapes is not None:
            self.reshape(layer, shapes[0][1:], shapes[1][1:])
            self.data_format = None
        elif isinstance(layer, (layers.Dense, layers.Bidirectional, Recurrent)):
            self.features = SAME
        if isinstance(layer, (layers.Permute, layers.Bidirectional, Recurrent)):
            self.data_format = self.row = None

    def reshape(self, layer: layers.Flatten | layers.Reshape, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        """Update the order of the elements after a Flatten or a Reshape."""
        if None in before:  # no later weight has an axis for all elements
            return
        if len(after) == 1 < len(before) and self.data_format is not None:
            order, said = _channels_moved(before, self.data_format)
            if isinstance(layer, layers.Flatten) and layer.data_format == "channels_first":
                order = np.moveaxis(order, 0, -1)
            self.features = _reordered(order.ravel(), 0, f"rows {said}")
        elif len(before) == 1 < len(after):
            dense = [place for place, module in enumerate(self.found) if module.kind == "Linear"]
            self.row = (dense[-1], len(self.found), after) if dense else None
        elif before[-1] != after[-1] and (self.data_format is not None or (len(before) == 3 and before[-1] > 1)):
            self.notes.append(
                f"{layer.name} takes {before}, and torch has channels first: the order of its {after[-1]} features "
                "depends on the program there."
            )

    def reorder_row(self, layer: Any) -> None:
        """Reorder the columns of a Dense if a Reshape turns its output into an image."""
        assert self.row is not None
        first, last, sizes = self.row
        order, said = _channels_moved(sizes, layer.data_format)
        move = _reordered(order.ravel(), -1, f"columns {said}")
        for place in range(first, last):
            module = self.found[place]
            entries = [entry._replace(move=entry.move.then(move)) for entry in module.entries]
            self.found[place] = module._replace(entries=entries)
        self.row = None


CHANNELS = Sliding, Pooling, AdaptivePooling
"""The layers that have the channels of the input first in torch."""
READS = "weight", "weight_ih_l0", "weight_ih_l0_reverse"
"""The arrays with an axis for the features of the input."""


def _dense(layer: layers.Dense) -> list[tuple[str, Entries]]:
    return [("Linear", _kernel_and_bias(layer))]


def _convolution(layer: Sliding) -> list[tuple[str, Entries]]:
    return [(f"Conv{layer.rank}d", _kernel_and_bias(layer))]


def _transposed(layer: Transposed) -> list[tuple[str, Entries]]:
    return [(f"ConvTranspose{layer.rank}d", _kernel_and_bias(layer))]


def _by_channel(layer: _DepthwiseConv) -> list[tuple[str, Entries]]:
    entries = [("weight", layer.kernel, _depthwise(layer.kernel.shape[-2])), ("bias", layer.bias, SAME)]
    return [(f"Conv{layer.rank}d", entries)]


def _separable(layer: _SeparableConv) -> list[tuple[str, Entries]]:
    first, second = layer.depthwise_kernel, layer.pointwise_kernel
    kind = f"Conv{layer.rank}d"
    return [
        (kind, [("weight", first, _depthwise(first.shape[-2]))]),
        (kind, [("weight", second, KERNEL), ("bias", layer.bias, SAME)]),
    ]


def _kernel_and_bias(layer: Any) -> Entries:
    return [("weight", layer.kernel, KERNEL), ("bias", layer.bias, SAME)]


def _batch_norm(layer: layers.BatchNormalization) -> list[tuple[str, Entries]]:
    if layer.renorm:
        raise StackError(f"{layer.name!r} (BatchNormalization) has renorm=True, and torch has no such module.")
    moving = [("running_mean", layer.moving_mean, SAME), ("running_var", layer.moving_variance, SAME)]
    return [("BatchNorm", [*_scale_and_shift(layer), *moving])]


def _layer_norm(layer: layers.LayerNormalization) -> list[tuple[str, Entries]]:
    return [("LayerNorm", _scale_and_shift(layer))]


def _group_norm(layer: layers.GroupNormalization) -> list[tuple[str, Entries]]:
    return [("GroupNorm", _scale_and_shift(layer))]


def _scale_and_shift(layer: Normalization) -> Entries:
    return [("weight", layer.gamma, SAME), ("bias", layer.beta, SAME)]


def _prelu(layer: layers.PReLU) -> list[tuple[str, Entries]]:
    shape = layer.alpha.shape
    return [("PReLU", [("weight", layer.alpha, Move(lambda a: a.reshape(shape), lambda a: a.reshape(-1)))])]


def _recurrent(layer: Recurrent) -> list[tuple[str, Entries]]:
    cells = layer.cell.cells if isinstance(layer.cell, layers.StackedRNNCells) else [layer.cell]
    return [_cell(layer, cell) for cell in cells]


def _both_ways(layer: layers.Bidirectional) -> list[tuple[str, Entries]]:
    kind, there = _cell(layer, layer.forward_layer.cell)
    return [(kind, [*there, *_cell(layer, layer.backward_layer.cell, "_reverse")[1]])]


def _cell(layer: Layer, cell: Any, way: str = "") -> tuple[str, Entries]:
    kind = next((CELLS[kind] for kind in type(cell).__mro__ if kind in CELLS), None)
    if kind is None or len(cell.kernel.shape) != 2:
        raise StackError(f"{layer.name!r} ({type(cell).__name__}) has weights, and torch has no such module.")
    if kind == "GRU" and not cell.reset_after:
        raise StackError(f"{layer.name!r} has reset_after=False; torch's GRU is as with reset_after=True.")
    gates = GRU_GATES if kind == "GRU" else SAME
    said = Move(gates.there, gates.back, ", ".join(filter(None, (gates.said, "" if kind == "GRU" else "both added"))))
    kernel = gates.then(KERNEL)
    return kind, [
        (f"weight_ih_l0{way}", cell.kernel, kernel),
        (f"weight_hh_l0{way}", cell.recurrent_kernel, kernel),
        (f"bias_ih_l0{way}", cell.bias, said),
        (f"bias_hh_l0{way}", cell.bias, said),
    ]


CELLS: dict[type, str] = {layers.SimpleRNNCell: "RNN", layers.LSTMCell: "LSTM", layers.GRUCell: "GRU"}
LAYOUTS: dict[type, Callable[[Any], list[tuple[str, Entries]]]] = {
    layers.Dense: _dense,
    layers.Embedding: lambda layer: [("Embedding", [("weight", layer.embeddings, SAME)])],
    Sliding: _convolution,
    Transposed: _transposed,
    _DepthwiseConv: _by_channel,
    _SeparableConv: _separable,
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _layer_norm,
    layers.GroupNormalization: _group_norm,
    layers.RMSNormalization: lambda layer: [("RMSNorm", [("weight", layer.scale, SAME)])],
    layers.PReLU: _prelu,
    Recurrent: _recurrent,
    layers.Bidirectional: _both_ways,
}
"""For each class of layers, the function that adds its modules of torch; a class comes before its base."""
