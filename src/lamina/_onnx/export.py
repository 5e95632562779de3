"""Writes a model to an ONNX file. The file computes what `predict` computes, for any number of rows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina._files import files
from lamina._layer.host import LayerChain
from lamina._layer.structure import require_adapted
from lamina._messages.tracebacks import warn
from lamina._onnx import tables
from lamina._onnx.graph import Graph, Value, onnx, type_of
from lamina._onnx.writers import FLOAT, TEXT, write_chain, write_layer, write_layers
from lamina._process.version import __version__
from lamina._saving.export import input_of, require_no_host, require_no_state
from lamina._saving.paths import FilePath
from lamina._training.model import Model
from lamina._training.spec import ProgramSpec
from lamina.errors import ArgumentError
from lamina.layers.feature_space.feature_space import FeatureSpace
from lamina.layers.features.vocabularies import Lookup

FAMILIES = "activations convolution core features images merging normalization pooling recurrent reshaping"
for _family in f"{FAMILIES} spectrograms text".split():  # each module registers its writers when it is imported
    import_module(f"lamina._onnx.{_family}")
OPSETS = range(18, 24)
"""The tested versions of the operators. onnxruntime 1.14, of 2023, supports version 18."""
MOST_BYTES = 2**31 - 2**20
"""The most bytes of a file, because a protobuf message must be smaller than 2 GB. Larger weights get a second file."""


def write(model: Model, filepath: FilePath, verbose: bool | None, signature: object, opset: int | None) -> None:
    """Write the file of `Sequential.export(format="onnx")`. After an error an existing file is unchanged."""
    proto = onnx()
    if opset is not None and opset not in OPSETS:
        raise ArgumentError(f"export(opset_version={opset!r}): expected one of {OPSETS[0]} to {OPSETS[-1]}.")
    made, weights = parts_of(model, signature, opset)
    fits = sum(array.nbytes for array in weights.values()) <= MOST_BYTES
    large = {} if fits else {name: a for name, a in weights.items() if a.nbytes > 1000 and a.dtype != TEXT}
    kinds = [type_of(Value(name, array.dtype, array.shape)) for name, array in large.items()]
    tensors = made.graph.initializer
    tensors.extend(proto.numpy_helper.from_array(a, name) for name, a in weights.items() if name not in large)
    given = len(made.graph.input)
    made.graph.input.extend(map(proto.helper.make_value_info, large, kinds))  # the checker would read their file
    proto.checker.check_model(made, full_check=True)
    del made.graph.input[given:]
    beside, end = f"{os.fspath(filepath)}.data", 0
    for (name, array), kind in zip(large.items(), kinds, strict=True):
        tensor = tensors.add(name=name, dims=array.shape, data_type=kind.tensor_type.elem_type, raw_data=b"")
        proto.external_data_helper.set_external_data(tensor, os.path.basename(beside), end, array.nbytes)
        tensor.ClearField("raw_data")
        end += array.nbytes
    with files.replacing(filepath) as file, ExitStack() as held:
        if large:
            data = held.enter_context(files.replacing(beside, end))
            data.writelines(np.ascontiguousarray(array).data for array in large.values())
        file.write(made.SerializeToString(deterministic=True))
    if narrow := [layer for layer in model.layers if "16" in layer.compute_dtype]:
        warn(f"export: {narrow[0].name!r} computes in {narrow[0].compute_dtype} here, and the file in float32.")
    if verbose:
        print(
            f"{model.name} is exported to {os.fspath(filepath)} ({made.ByteSize() + end:,} bytes), opset "
            f"{made.opset_import[0].version}: {made.graph.input[0].name} -> {made.graph.output[0].name}"
        )


def graph_of(model: Model, signature: object = None, opset: int | None = None) -> Any:
    """The model as a message of the package onnx."""
    made, weights = parts_of(model, signature, opset)
    made.graph.initializer.extend(onnx().numpy_helper.from_array(array, name) for name, array in weights.items())
    return made


def parts_of(model: Model, signature: object, opset: int | None) -> tuple[Any, dict[str, HostArray]]:
    """The model as a message of the package onnx without its weights, and these."""
    proto = onnx()
    graph = Graph(opset or 0, write_layer)
    given, y = _written(graph, model, signature)
    require_no_state(model, ProgramSpec(model))
    outputs: list[Value] = []
    made_here = {name for node in graph.nodes for name in node.output} - _within(graph.nodes)
    for each in y if isinstance(y, tuple) else (y,):
        value = graph.in_order(each)
        alone = value.name in made_here and value.name not in [other.name for other in outputs]
        outputs.append(value if alone or value is not each else graph.node("Identity", value))
    names = ["predictions", *(f"predictions_{number}" for number in range(1, len(outputs)))]
    new = dict(zip([value.name for value in outputs], names, strict=True))
    nodes = _needed(graph.nodes, [value.name for value in outputs])
    for node in nodes:
        node.output[:] = [new.get(name, name) for name in node.output]
        node.input[:] = [new.get(name, name) for name in node.input]
    used = {name for node in nodes for name in node.input} | _within(nodes)
    made = proto.helper.make_graph(
        nodes,
        model.name,
        [proto.helper.make_value_info(x.name, type_of(x, _named(x.shape))) for x in given],
        [proto.helper.make_value_info(n, type_of(v, _named(v.shape))) for n, v in zip(names, outputs, strict=True)],
    )
    opsets = graph.opsets()
    whole = proto.helper.make_model(
        made, opset_imports=opsets, producer_name="lamina", producer_version=__version__,
        ir_version=8 if graph.opset < 19 else 9 if graph.opset < 21 else 10,
    )  # fmt: skip
    facts = {"columns": model._lamina.columns, "classes": model._lamina.classes}
    proto.helper.set_model_props(whole, {key: json.dumps(value) for key, value in facts.items() if value})
    return whole, {name: array for name, array in graph.constants.items() if name in used}


def _written(graph: Graph, model: Model, signature: object) -> tuple[list[Value], Any]:
    """Write all layers. Returns the inputs and the output."""
    first: Any = model
    while isinstance(first, LayerChain) and first._lamina_chain:
        first = first._lamina_chain[0]
    if isinstance(first, FeatureSpace) and first is model._lamina_chain[0]:
        require_adapted(model)
        columns = tables.inputs_of(graph, first)
        _choose_opset(graph, columns.values())
        y = tables.write_space(graph, first, columns)
        return list(columns.values()), write_layers(graph, y, model._lamina_chain[1:])
    shape, dtype = input_of(model, signature)
    if isinstance(first, Lookup):
        kind = np.dtype(np.int64) if first._lamina_numeric else TEXT
    else:
        require_no_host(model)
        model._lamina_build(shape)
        kind = np.dtype(dtype) if np.dtype(dtype).kind in "iub" else FLOAT
    entry = model._lamina.entry
    x = Value(graph.name(entry.name if entry is not None else "x"), kind, shape)
    _choose_opset(graph, [x])
    return [x], write_chain(graph, x, model)


def _choose_opset(graph: Graph, inputs: Iterable[Value]) -> None:
    graph.opset = graph.opset or (20 if any(x.dtype == TEXT for x in inputs) else 18)


def _named(shape: Shape) -> tuple[Any, ...]:
    """A shape with names for the sizes that may vary."""
    return tuple(
        f"n{at}" if at and size is None else "batch" if size is None else size for at, size in enumerate(shape)
    )


def _needed(nodes: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """The nodes on which the outputs depend. This leaves out masks that no layer reads."""
    wanted, kept = set(names), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted |= set(node.input) | _within([node])
    return kept[::-1]


def _within(nodes: Sequence[Any]) -> set[str]:
    """The names of the values that the bodies of loops in these nodes use."""
    bodies = [each.g for node in nodes for each in node.attribute if each.HasField("g")]
    return {name for body in bodies for node in body.node for name in node.input} | (
        _within([node for body in bodies for node in body.node]) if bodies else set()
    )
