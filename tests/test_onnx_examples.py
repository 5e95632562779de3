"""The custom layers of the examples, with writers as a user makes them, in onnxruntime."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from test_onnx import drawn, same, session

import lamina as keras
from lamina import layers
from lamina._onnx import writers

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    """The examples can be imported, and the writers that a test registers are gone after it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    known = dict(writers.of_layers)
    yield
    writers.of_layers.clear()
    writers.of_layers.update(known)
    for name in ("residual_block", "two_towers", "text_transformer", "movie_reviews"):
        sys.modules.pop(name, None)


def rows(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_the_block_of_dense_layers_beside_a_path():
    from residual_block import Residual

    @keras.saving.register_onnx(Residual)
    def write(graph, x, layer):
        y = graph.layer(layer.normalize, x)
        return graph.node("Add", x, graph.layer(layer.narrow, graph.layer(layer.widen, y)))

    model = drawn(keras.Sequential([keras.Input((6,)), Residual(8), Residual(8), layers.Dense(1)]))
    run = session(model)
    for count in (1, 3, 7):
        same(model, rows(count, 6), run)


@pytest.mark.nightly
def test_the_two_towers():
    from two_towers import TwoTowers

    @keras.saving.register_onnx(TwoTowers)
    def write(graph, x, layer):
        user, film = graph.several(2, "Split", x, np.array([layer.split, x.shape[-1] - layer.split]), axis=-1)
        both = graph.node("Mul", graph.layer(layer.user, user), graph.layer(layer.film, film))
        return graph.node("ReduceSum", both, np.array([-1]), keepdims=1)

    model = drawn(keras.Sequential([keras.Input((10,)), TwoTowers(4)]))
    run = session(model)
    for count in (1, 3, 7):
        same(model, rows(count, 10), run)


@pytest.mark.nightly
def test_the_transformer_of_texts_with_its_mask():
    from text_transformer import TokenAndPositionEmbedding, TransformerBlock

    @keras.saving.register_onnx(TokenAndPositionEmbedding)
    def embed(graph, x, layer):
        words = graph.layer(layer.of_word, x)
        places = graph.constant(np.asarray(layer.of_place.embeddings)[: x.shape[-1]])
        return dataclasses.replace(graph.node("Add", words, places), mask=words.mask)

    @keras.saving.register_onnx(TransformerBlock)
    def block(graph, x, layer):
        made = layer.attend
        q, k, v = (graph.layer(dense, x) for dense in (made.query_dense, made.key_dense, made.value_dense))
        scores = graph.node("Mul", graph.node("Einsum", q, k, equation="bqhd,bkhd->bhqk"), made.key_dim**-0.5)
        seen = graph.node("Unsqueeze", x.mask, np.array([1, 2]))
        shares = graph.node("Softmax", graph.node("Where", seen, scores, np.float32(-1e9)), axis=-1)
        read = graph.layer(made.output_dense, graph.node("Einsum", shares, v, equation="bhqk,bkhd->bqhd"))
        y = graph.layer(layer.norms[0], graph.node("Add", x, read))
        return graph.layer(layer.norms[1], graph.node("Add", y, graph.layer(layer.dense, y)))

    stack = [TokenAndPositionEmbedding(9, 5, 8), TransformerBlock(8, 2, 6), layers.GlobalAveragePooling1D()]
    model = drawn(keras.Sequential([keras.Input((5,), dtype="int32"), *stack, layers.Dense(1)]))
    x = np.array([[1, 2, 3, 0, 0], [0, 4, 0, 8, 1], [7, 7, 7, 7, 7]], "int32")
    same(model, x, session(model))
