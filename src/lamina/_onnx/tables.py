"""Writes a FeatureSpace, with a named input for each column, and lookups at the start of a stack."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._layer.structure import require_adapted
from lamina._onnx.features import bins, counted, hot
from lamina._onnx.graph import Graph, Value
from lamina._onnx.writers import TEXT, write_layer, writes
from lamina.errors import StackError
from lamina.layers.feature_space.columns import PeriodicWaves, PiecewiseLinear
from lamina.layers.feature_space.encoding import learned_of
from lamina.layers.feature_space.feature_space import FeatureSpace
from lamina.layers.features.categories import Discretization
from lamina.layers.features.lookup import IntegerLookup, StringLookup
from lamina.layers.features.text import TextVectorization
from lamina.layers.features.vocabularies import Lookup

NO_INTEGER = np.iinfo(np.int64).min
"""The value of a gap in a column of whole numbers. In other columns of numbers a gap is NaN, in columns of text ""."""


def indices(graph: Graph, x: Value, layer: Any, unknown: int, gap: int | None = None) -> Value:
    """The index of each term in a vocabulary.

    Args:
        unknown: the index of terms that are not in it.
        gap: the index of a gap.
    """
    known = layer._lamina_vocabulary
    if known.num_oov_indices > 1:
        raise StackError(f"{layer.name!r} has several oov indices, and ONNX has no operator that computes their hash.")
    terms = {term: max(number, -1) for term, number in known.index.items()}  # vectors leave out terms with index -1
    if gap is not None:
        terms.setdefault("" if x.dtype == TEXT else NO_INTEGER, gap)
    keys = {"keys_strings" if x.dtype == TEXT else "keys_int64s": list(terms)}
    told = {"values_int64s": list(terms.values()), "default_int64": unknown}
    return graph.node("LabelEncoder", x, domain="ai.onnx.ml", **keys, **told)


@writes(StringLookup, IntegerLookup)
def lookup(graph: Graph, x: Value, layer: Any) -> Value:
    require_adapted(layer)
    known, mode = layer._lamina_vocabulary, layer.output_mode
    if known.invert:
        raise StackError(f"{layer.name!r} gives terms, and a file of ONNX gives numbers.")
    if known.num_oov_indices:
        places = indices(graph, x, layer, known.oov_start)
    else:  # an unknown term has no place in the array: an error in onnxruntime too
        places = indices(graph, x, layer, known.size + 1)
        places = graph.node("Gather", np.append(np.arange(known.size), -1), places)
    if mode == "int":
        return graph.cast(places, np.int32)
    return hot(graph, places, mode, known.depth) if mode == "one_hot" else counted(graph, places, known)


def inputs_of(graph: Graph, space: FeatureSpace) -> dict[str, Value]:
    """Make an input for each column: floats, whole numbers or texts, (batch, 1)."""
    found = {}
    for name in sorted(space.features):
        dtype = space.features[name].dtype
        kind = {"float32": np.dtype(np.float32), "string": TEXT}.get(dtype, np.dtype(np.int64))
        if dtype == "datetime":
            raise StackError(f"{space.name!r}: ONNX has no dates, as in the column {name!r}.")
        found[name] = Value(graph.name(name, ""), kind, (None, 1))
    return found


def write_space(graph: Graph, space: FeatureSpace, given: dict[str, Value]) -> Value:
    """Write the encoding of the columns.  {column: (batch, 1)} -> (batch, units)"""
    if space.crosses:
        raise StackError(f"{space.name!r} has crosses, and ONNX has no operator that computes their hash.")
    outputs = []
    for part in space._lamina.parts:
        x, layer, learned = given[part.name], space.preprocessors[part.name], learned_of(space, part.name)
        if part.depth:
            gap = part.depth - 1 if learned.gaps else -1
            outputs.append(
                hot(graph, _codes(graph, space, part.name, x, gap, bool(learned.rare)), "one_hot", part.depth)
            )
            continue
        if isinstance(layer, TextVectorization):
            outputs.append(graph.cast(write_layer(graph, layer, x), np.float32))
            continue
        if layer._lamina_on_host:
            raise StackError(f"{space.name!r}: ONNX has no {type(layer).__name__}, as for the column {part.name!r}.")
        there = graph.node("IsNaN", x)
        filled = graph.node("Where", there, np.float32(learned.median or 0), x)
        outputs.append(write_layer(graph, layer, filled))
        if part.flag:
            outputs.append(graph.cast(there, np.float32))
    return outputs[0] if len(outputs) == 1 else graph.node("Concat", *outputs, axis=1)


def _codes(graph: Graph, space: FeatureSpace, name: str, x: Value, gap: int, rare: bool) -> Value:
    """The code of each row; -1 for no code.  (batch, 1)"""
    layer = space.preprocessors[name]
    if isinstance(layer, Discretization):
        places = bins(graph, x, layer.bin_boundaries)
        return graph.node("Where", graph.node("IsNaN", x), np.int32(gap), places)
    if isinstance(layer, Lookup):
        return indices(graph, x, layer, layer._lamina_vocabulary.oov_start if rare else -1, gap)
    raise StackError(f"{space.name!r}: ONNX has no operator that computes the hash of the column {name!r}.")


@writes(PiecewiseLinear)
def piecewise(graph: Graph, x: Value, layer: PiecewiseLinear) -> Value:
    edges = np.asarray(layer.edges, np.float32)
    place = graph.node("Div", graph.node("Sub", x, edges[:-1]), edges[1:] - edges[:-1])
    pieces = graph.node("Clip", place, np.float32(0), np.float32(1))
    if layer.units is None:
        return pieces
    y = graph.node("Gemm", pieces, graph.constant(layer.kernel, "kernel"), graph.constant(layer.bias, "bias"))
    return graph.node("Relu", y)


@writes(PeriodicWaves)
def waves(graph: Graph, x: Value, layer: PeriodicWaves) -> Value:
    edges, scores = (np.asarray(each, np.float32) for each in (layer.edges, layer.scores))
    scaled: Value = graph.constant(np.full(1, scores[0], np.float32))
    if len(edges) > 1:  # each piece between two edges adds a part of the sum
        widths = edges[1:] - edges[:-1]
        part = graph.node("Div", graph.node("Sub", x, edges[:-1]), widths)
        part = graph.node("Clip", part, np.float32(0), np.float32(1))
        rises = graph.node("MatMul", part, (scores[1:] - scores[:-1])[:, None])
        scaled = graph.node("Add", rises, np.float32(scores[0]))
    turns = graph.node("Mul", scaled, np.float32(2 * np.pi) * graph.weight(layer, "frequency"))
    both = graph.node("Concat", graph.node("Sin", turns), graph.node("Cos", turns), axis=1)
    y = graph.node("Gemm", both, graph.constant(layer.kernel, "kernel"), graph.constant(layer.bias, "bias"))
    return graph.node("Relu", y)
