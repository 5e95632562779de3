"""Texts and terms in a file of ONNX: their words, n-grams and weights are those of `predict`, and the opset is 20."""

import numpy as np
import pytest
from test_onnx import fed, session

import lamina as keras
from lamina import layers
from lamina._onnx import export
from lamina.errors import StackError

TEXTS = [
    "The cat sat. On the mat!", "the dog's bowl\tis\nempty; don't", "", "   ", "cat cat CAT the... -- the-end",
    "a-b c_d (e) [f] {g} ÀÉ É the\x0bcat\x0cdog\rx \u00a0 y \u0130",
]  # fmt: skip
SETTINGS = {
    "int": {},
    "bigrams too": {"ngrams": 2},
    "bigrams alone": {"ngrams": (2,)},
    "words and trigrams": {"ngrams": (1, 3)},
    "cut": {"output_sequence_length": 3},
    "padded": {"output_sequence_length": 30, "ngrams": 3},
    "multi_hot": {"output_mode": "multi_hot"},
    "count": {"output_mode": "count", "ngrams": 2},
    "tf_idf": {"output_mode": "tf_idf", "ngrams": 2},
    "padded vectors": {"output_mode": "count", "max_tokens": 40, "pad_to_max_tokens": True},
    "fewest terms": {"output_mode": "tf_idf", "max_tokens": 5},
    "as it is": {"standardize": None},
    "lower": {"standardize": "lower"},
    "no punctuation": {"standardize": "strip_punctuation"},
}


def equal(model, run, x):
    got, wanted = run.run(None, {run.get_inputs()[0].name: x})[0], model.predict(x, verbose=0)
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


FEW = {"int", "words and trigrams", "tf_idf", "padded vectors"}


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.nightly) for name in SETTINGS]
)
def test_texts_are_those_numbers_that_predict_makes_of_them(name):
    words = layers.TextVectorization(**SETTINGS[name])
    words.adapt(TEXTS[:5])
    model = keras.Sequential([words, layers.Rescaling(1.0)])
    x = np.array(TEXTS, object)[:, None]
    model.predict(x, verbose=0)
    run = session(model)
    for rows in (slice(None), slice(0, 1), slice(1, 4)):
        equal(model, run, x[rows])
    assert run.run(None, {run.get_inputs()[0].name: x[:0]})[0].shape[0] == 0


def test_a_text_of_every_sign_is_split_as_predict_splits_it():
    draw = np.random.default_rng(0)
    signs = [*map(chr, range(1, 256)), "\u2003", "\u0130", "ß", "中"]
    words = layers.TextVectorization(output_sequence_length=20)
    texts = ["".join(draw.choice(signs, 60)) + " a" for _ in range(40)]
    words.adapt(texts[:20])
    model = keras.Sequential([layers.Input((1,), dtype="string", name="review"), words, layers.Rescaling(1.0)])
    run = session(model)
    assert run.get_inputs()[0].name == "review"
    equal(model, run, np.array(texts, object)[:, None])


def test_words_that_are_split_already_are_standardized():
    words = layers.TextVectorization(split=None, vocabulary=["cat", "dog"], ngrams=2)
    model = keras.Sequential([words, layers.Embedding(5, 2)])
    x = np.array([["Cat!", "dog", ""], ["x", "DOG", "cat"]], object)
    model.predict(x, verbose=0)
    equal(model, session(model), x)


def test_a_classifier_of_texts_leaves_whole():
    words = layers.TextVectorization(output_sequence_length=6)
    words.adapt(TEXTS)
    inner = keras.Sequential([words, layers.Embedding(40, 4, mask_zero=True)])
    model = keras.Sequential([inner, layers.LSTM(3), layers.Dense(1)])
    x = np.array(TEXTS, object)[:, None]
    model.predict(x, verbose=0)
    equal(model, session(model), x)


@pytest.mark.parametrize("setting", [{"split": "character"}, {"split": str.split}, {"standardize": np.char.lower}])
def test_what_splits_or_standardizes_in_python_is_refused(setting):
    model = keras.Sequential([layers.TextVectorization(vocabulary=["a"], **setting), layers.Embedding(4, 2)])
    model._lamina_build((None, 1))
    with pytest.raises(StackError, match="ONNX has neither"):
        export.graph_of(model)


@pytest.mark.parametrize("kind", ["StringLookup", pytest.param("IntegerLookup", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("more", [{}, {"max_tokens": 9, "pad_to_max_tokens": True}, {"num_oov_indices": 0}])
@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count", "tf_idf", "int"])
def test_lookups_of_every_mode(kind, mode, more):
    terms = ["a", "b", "c"] if kind == "StringLookup" else [4, 5, 6]
    told = {"idf_weights": [0.5, 2.0, 3.0]} if mode == "tf_idf" else {}
    lookup = getattr(layers, kind)(vocabulary=terms, output_mode=mode, **told, **more)
    model = keras.Sequential([lookup, layers.Rescaling(1.0)])
    rows = [[0], [2], [1]] if mode in ("one_hot", "int") else [[0, 1, 0], [2, 2, 2], [1, 0, 2]]
    x = np.array(terms, object if kind == "StringLookup" else "int64")[np.array(rows)]
    model.predict(x, verbose=0)
    run = session(model)
    equal(model, run, x)
    x[0, 0] = "new" if kind == "StringLookup" else 99
    if "num_oov_indices" not in more:
        equal(model, run, x)
        return
    with pytest.raises(Exception, match="out of"):
        run.run(None, {run.get_inputs()[0].name: x})


def test_a_column_of_texts_in_a_feature_space():
    table = {"words": ["good cat", "bad dog", "good dog", None], "n": [1.0, 2.0, 3.0, 4.0]}
    space = keras.utils.FeatureSpace({"words": "text", "n": "float_normalized"})
    model = keras.Sequential([space, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(table, np.arange(4.0), verbose=0)
    new = {"words": ["Good; bad", "", "cat what"], "n": [2.0, 0.0, 5.0]}
    run = session(model)
    np.testing.assert_allclose(run.run(None, fed(run, new))[0], model.predict(new, verbose=0), rtol=1e-5, atol=1e-5)


def test_the_opset_is_20_with_texts_and_18_without():
    for lookup, opset, version in (("StringLookup", 20, 9), ("IntegerLookup", 18, 8)):
        vocabulary = ["a"] if lookup == "StringLookup" else [1]
        model = keras.Sequential([layers.Input((1,)), getattr(layers, lookup)(vocabulary=vocabulary)])
        made = export.graph_of(model)
        assert (made.opset_import[0].version, made.ir_version) == (opset, version)
