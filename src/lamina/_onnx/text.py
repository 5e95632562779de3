"""Writes TextVectorization: texts are split at each character to strip, and joined again without it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina._layer.structure import require_adapted
from lamina._onnx.features import counted
from lamina._onnx.graph import Graph, Value
from lamina._onnx.shapes import LAST
from lamina._onnx.tables import indices
from lamina._onnx.writers import writes
from lamina.errors import StackError
from lamina.layers.features.text import TABLES, TextVectorization

BREAKS = "\t\n\r\f\v"
"""The whitespace characters besides " ". Only " " separates words in onnxruntime's StringSplit."""


def _replaced(graph: Graph, x: Value, sign: str, by: str) -> Value:
    """Replace a character in texts by another text.  (texts) -> (texts)"""
    pieces, _ = graph.several(2, "StringSplit", x, delimiter=sign)
    empty = graph.node("Expand", np.array("", object), graph.node("Shape", x))

    def step(graph: Graph, before: Value, piece: Value) -> Value:
        there = graph.node("Not", graph.node("Equal", piece, ""))
        longer = graph.node("StringConcat", graph.node("StringConcat", before, by) if by else before, piece)
        # Without the Where, onnxruntime's StringConcat appends to what the memory of the state held before: texts of
        # three or more pieces doubled until memory ran out.
        return graph.node("Where", there, longer, before)

    body = graph.body(step, empty, empty)
    return graph.node("Scan", empty, pieces, body=body, num_scan_inputs=1, scan_input_axes=[1])


def _words(graph: Graph, x: Value, layer: TextVectorization) -> tuple[Value, Value]:
    """The words of each text, and how many there are.  -> (batch, words), (batch, 1)"""
    if callable(layer.standardize) or callable(layer.split) or layer.split == "character":
        raise StackError(
            f"{layer.name!r} has a function or split='character', and ONNX has neither: export the layers after it."
        )
    table = TABLES[layer.standardize] if layer.standardize else {}
    # One row without words is added, because onnxruntime accepts no empty array of texts and no loop over no pieces.
    texts = graph.node("Concat", graph.node("Reshape", x, np.array([-1])), np.array([" "], object), axis=0)
    if any(table.values()):
        texts = graph.node("StringNormalizer", texts, case_change_action="LOWER", locale="C")
    for sign in (chr(code) for code, other in table.items() if other is None):
        texts = _replaced(graph, texts, sign, "")
    if layer.split is None:
        words = graph.node("Reshape", _without_last(graph, texts), graph.node("Shape", x))
        rows = graph.node("Concat", graph.node("Shape", x, start=0, end=1), np.array([1]), axis=0)
        return words, graph.node("Expand", graph.node("Shape", x, start=1, end=2), rows)
    for sign in BREAKS:
        texts = _replaced(graph, texts, sign, " ")
    words, counts = (_without_last(graph, each) for each in graph.several(2, "StringSplit", texts))
    return words, graph.node("Unsqueeze", counts, np.array([1]))


def _without_last(graph: Graph, x: Value) -> Value:
    return graph.node("Slice", x, np.array([0]), np.array([-1]), np.array([0]))


def _joined(graph: Graph, words: Value, size: int) -> Value:
    """The n-grams of one size.  (batch, words) -> (batch, words - size + 1)"""
    y: Value | None = None
    for at in range(size):
        part = graph.node("Slice", words, np.array([at]), np.array([at + 1 - size or LAST]), np.array([1]))
        y = part if y is None else graph.node("StringConcat", graph.node("StringConcat", y, " "), part)
    return y or words


@writes(TextVectorization)
def vectorization(graph: Graph, x: Value, layer: Any) -> Value:
    require_adapted(layer)
    known, whole = layer._lamina_vocabulary, layer.output_mode == "int"
    words, counts = _words(graph, x, layer)
    sizes = range(1, layer.ngrams + 1) if isinstance(layer.ngrams, int) else layer.ngrams or [1]
    found, there = [], []
    for size in sizes:
        terms = _joined(graph, words, size) if size > 1 else words
        end = graph.node("Squeeze", graph.node("Shape", terms, start=1))
        place = graph.node("Range", np.int64(0), end, np.int64(1))
        there.append(graph.node("Less", place, graph.node("Sub", counts, np.int64(size - 1))))
        found.append(graph.node("Where", there[-1], indices(graph, terms, layer, known.oov_start), np.int64(whole - 1)))
    places = graph.node("Concat", *found, axis=1)
    if not whole:
        return counted(graph, places, known)
    if len(found) > 1:  # what is there comes first
        kept = graph.cast(graph.node("Concat", *there, axis=1), np.int32)
        _, order = graph.several(2, "TopK", kept, graph.node("Shape", kept, start=1), axis=1)
        places = graph.node("GatherElements", places, order, axis=1)
    if length := layer.output_sequence_length:
        longer = graph.node("Pad", places, np.array([0, 0, 0, length]))
        places = graph.node("Slice", longer, np.array([0]), np.array([length]), np.array([1]))
    return graph.cast(places, np.int32)
