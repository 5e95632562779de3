"""Preprocessing layers: text and categories against golden values of real Keras on TensorFlow, numbers against Keras
on JAX, and the host stage that hands raw data through a stack."""

import json
import re
from pathlib import Path

import jax.numpy as jnp
import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import layers
from lamina._kernels.hashes import farm_hash, sip_hash
from lamina.errors import ArgumentError, DataError, NotAdaptedError, ShapeError, StackError

GOLDEN = json.loads((Path(__file__).parent / "golden" / "preprocessing.json").read_text())
TEXTS = ["good film", "bad film", "a good good film", "bad", "awful", "fine and good"]
LABELS = np.array([1, 0, 1, 0, 0, 1], "float32")


def golden(case):
    return f"{case['name']}({case['settings']})"


def tuples(told):
    return {name: tuple(v) if name == "ngrams" and isinstance(v, list) else v for name, v in told.items()}


@pytest.mark.parametrize("case", GOLDEN, ids=golden)
def test_equals_keras_on_tensorflow(case):
    layer = getattr(layers, case["name"])(**tuples(case["settings"]), name="given")
    if case["adapt"] is not None:
        layer.adapt(np.array(case["adapt"]))
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    for each in (layer, again):
        y = np.asarray(each(np.array(case["x"])))
        if y.dtype == object:
            assert y.tolist() == case["y"]
        else:
            np.testing.assert_allclose(y, np.array(case["y"]), rtol=1e-6, atol=1e-7)
        if case["vocabulary"] is not None:
            assert each.get_vocabulary() == case["vocabulary"]
            assert each.vocabulary_size() == len(case["vocabulary"])
    assert sorted(layer.get_config()) == case["config"]
    if y.ndim > 1:
        shape = layer.compute_output_shape((None, *np.shape(case["x"])[1:]))
        assert all(size in (None, given) for size, given in zip(shape[1:], y.shape[1:], strict=True))


def test_hashes_of_every_length_differ_and_equal_those_of_one_alone():
    strings = [("abc" * 100)[:n].encode() for n in range(200)]
    for hashed in (farm_hash, lambda s: sip_hash(s, (1, 2))):
        together = hashed(strings)
        assert len(set(together.tolist())) == 200
        assert [int(hashed([s])[0]) for s in strings[::17]] == together[::17].tolist()
    assert (
        sip_hash([bytes(range(15))], (0x0706050403020100, 0x0F0E0D0C0B0A0908))[0] == 0xA129CA6149BE45E5
    )  # the paper's


@pytest.mark.parametrize(
    "data",
    [
        TEXTS,
        np.array(TEXTS),
        np.array(TEXTS, object)[:, None],
        [text.encode() for text in TEXTS],
        pd.Series(TEXTS),
        pd.DataFrame({"text": TEXTS}),
        iter([TEXTS[:4], TEXTS[4:]]),
        [np.array(TEXTS[:4]), np.array(TEXTS[4:])],
        [(np.array(TEXTS), LABELS)],
        lambda: iter([pd.Series(TEXTS)]),
    ],
    ids=lambda data: type(data).__name__,
)
def test_adapt_takes_what_users_have(data):
    layer = layers.TextVectorization()
    layer.adapt(data)
    assert layer.get_vocabulary() == ["", "[UNK]", "good", "film", "bad", "fine", "awful", "and", "a"]


NUMBERS = np.arange(24.0, dtype="float32").reshape(6, 4) ** 2
WORDS = np.array([["a", "b"], ["b", "c"], ["b", "d"], ["e", "a"]])


def adapted(layer, *batches):
    layer.reset_state()
    for batch in batches:
        layer.update_state(batch)
        layer.finalize_state()  # puts to use what there is so far, and forgets nothing
    return layer


def learned(layer):
    if isinstance(layer, layers.Normalization):
        return [*np.ravel(layer.mean).tolist(), *np.ravel(layer.variance).tolist()]
    return layer.get_vocabulary() if hasattr(layer, "get_vocabulary") else list(layer.bin_boundaries)


@pytest.mark.parametrize(
    ("make", "data"),
    [
        (lambda: layers.Normalization(), NUMBERS),
        (lambda: layers.Discretization(num_bins=3, epsilon=0.1), NUMBERS),
        (lambda: layers.StringLookup(), WORDS),
        (lambda: layers.IntegerLookup(), (NUMBERS % 7).astype("int64")),
        (lambda: layers.TextVectorization(), WORDS[:, :1]),
    ],
)
def test_state_is_updated_finalized_and_reset(make, data):
    """A part and then the rest are the whole; what was reset is forgotten; and users have data of many kinds."""
    layer, again = adapted(make(), data[:2], data[2:]), make()
    again.adapt(iter([data[:2], data[2:]]))
    assert learned(layer) == learned(again)
    both = learned(layer)
    again.adapt(data[:2])  # resets
    assert learned(adapted(layer, data[:2])) == learned(again) != both
    again.adapt(iter([data[2:]]), reset=False)
    assert learned(layer) != both == learned(again)
    for form in (data.tolist(), pd.DataFrame(data), lambda: iter([data])):
        layer.adapt(form)
        assert learned(layer) == learned(adapted(make(), data))


def test_state_follows_keras():
    ours, theirs = (each.layers.Discretization(num_bins=3, epsilon=0.1) for each in (lamina, keras))
    for parts in ([NUMBERS], [NUMBERS[:3], NUMBERS[3:]]):
        np.testing.assert_allclose(learned(adapted(ours, *parts)), learned(adapted(theirs, *parts)), rtol=1e-5)


def test_adapt_can_be_stopped_and_continued():
    def stopped():
        yield TEXTS[:2]
        raise KeyboardInterrupt

    layer, whole = layers.StringLookup(output_mode="tf_idf"), layers.StringLookup(output_mode="tf_idf")
    with pytest.raises(KeyboardInterrupt):
        layer.adapt(stopped())
    assert set(layer.get_vocabulary()) == {"[UNK]", *TEXTS[:2]}
    layer.adapt(iter([TEXTS[2:]]), reset=False)
    whole.adapt(iter([TEXTS[:2], TEXTS[2:]]))
    assert layer.get_config() | {"name": ""} == whole.get_config() | {"name": ""}
    layer.adapt([["only"]])
    assert layer.get_vocabulary() == ["[UNK]", "only"]
    layer.adapt(iter([[["x"]], [["y"]]]), steps=1)
    assert layer.get_vocabulary() == ["[UNK]", "x"]
    layer.update_state([["z"], ["x"]])
    layer.finalize_state()
    assert layer.get_vocabulary() == ["[UNK]", "x", "z"]
    layer.reset_state()
    layer.update_state([["new"]])
    layer.finalize_state()
    assert layer.get_vocabulary() == ["[UNK]", "new"]


def text_model(**told):
    vectorize = layers.TextVectorization(**told)
    vectorize.adapt(TEXTS)
    model = lamina.Sequential([vectorize, layers.Dense(8, activation="relu"), layers.Dense(1, activation="sigmoid")])
    model.compile(lamina.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return model


def test_a_stack_trains_on_raw_text_and_predicts_from_it():
    model = text_model(output_mode="multi_hot")
    history = model.fit(TEXTS, LABELS, epochs=40, validation_data=(pd.Series(TEXTS), LABELS), verbose=0)
    assert history.history["val_accuracy"][-1] == 1.0
    want = model.predict(TEXTS)
    by_hand = lamina.Sequential(model.layers[1:])
    np.testing.assert_allclose(by_hand.predict(np.asarray(model.layers[0](TEXTS))), want, rtol=1e-5)
    for x in (np.array(TEXTS), np.array(TEXTS)[:, None], pd.Series(TEXTS), pd.DataFrame({"t": TEXTS}), iter([TEXTS])):
        np.testing.assert_array_equal(model.predict(x), want)
    np.testing.assert_allclose(model(TEXTS), want, rtol=1e-5)
    np.testing.assert_allclose(model(TEXTS, training=True), want, rtol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(TEXTS), want, rtol=1e-5)
    again = lamina.Sequential.from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(TEXTS), want)


def test_a_stack_trains_on_a_stream_of_raw_text():
    def batches():
        for _ in range(3):
            yield TEXTS, LABELS

    model, other = text_model(output_mode="count"), text_model(output_mode="count")
    model.build((None,))
    other.build((None,))
    other.set_weights(model.get_weights())
    model.fit(batches, epochs=2, verbose=0)
    encoded = np.tile(np.asarray(other.layers[0](TEXTS)), (3, 1))
    plain = lamina.Sequential(other.layers[1:])
    plain.compile(lamina.optimizers.Adam(0.05), "binary_crossentropy")
    plain.fit(encoded, np.tile(LABELS, 3), batch_size=6, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(plain.predict(encoded[:6]), model.predict(TEXTS), rtol=1e-5)
    evaluated = model.evaluate(batches, verbose=0)
    np.testing.assert_allclose(evaluated, model.evaluate(TEXTS, LABELS, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(model.train_on_batch(TEXTS, LABELS)[0], evaluated[0], rtol=1e-5)


def test_the_host_stage_of_a_stack_within_a_stack():
    inner = text_model(output_mode="int", output_sequence_length=3)
    inner.build((None,))
    whole = lamina.Sequential([lamina.Input((1,), dtype="string"), inner])
    assert (inner.output_shape, whole.output_shape, whole._lamina_on_host) == ((None, 1), (None, 1), True)
    np.testing.assert_array_equal(whole.predict(np.array(TEXTS)[:, None]), inner.predict(TEXTS))
    outer = lamina.Sequential([lamina.Sequential([inner.layers[0]]), *inner.layers[1:]])
    np.testing.assert_array_equal(outer.predict(TEXTS), inner.predict(TEXTS))
    assert lamina.Sequential([inner.layers[0]]).predict(TEXTS).shape == (6, 3)
    steps = layers.Pipeline([layers.StringLookup(vocabulary=["a", "b"]), layers.CategoryEncoding(3)])
    assert np.asarray(steps([["a"], ["b"]])).tolist() == [[0, 1, 0], [0, 0, 1]]
    model = lamina.Sequential([steps, layers.Dense(1)])
    assert model.predict([["a"], ["b"], ["c"]]).shape == (3, 1)
    assert model.output_shape == (None, 1)


def test_a_vocabulary_can_be_changed_and_the_stack_goes_on():
    lookup = layers.StringLookup(vocabulary=["a", "b"], max_tokens=5, output_mode="one_hot", pad_to_max_tokens=True)
    model = lamina.Sequential([lookup, layers.Dense(1, use_bias=False)])
    before = model.predict([["b"]])
    lookup.set_vocabulary(["b", "a"])
    np.testing.assert_array_equal(model.predict([["a"]]), before)


# Numbers, against Keras on JAX.

X = np.random.default_rng(0).normal(3, 2, (40, 3, 2)).astype("float32")


@pytest.mark.parametrize("axis", [-1, None, 1, (1, 2), (-1, 1)])
@pytest.mark.parametrize("invert", [False, True])
def test_normalization_learns_what_keras_learns(axis, invert):
    ours, other = layers.Normalization(axis=axis, invert=invert), keras.layers.Normalization(axis=axis, invert=invert)
    ours.adapt(X)
    other.adapt(X)
    np.testing.assert_allclose(ours(X), other(X), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(ours.mean, other.mean, rtol=1e-5)
    np.testing.assert_allclose(ours.variance, other.variance, rtol=1e-5)
    for mine, its in zip(ours.get_weights()[:2], other.get_weights()[:2], strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5)
    assert [w.path.split("/")[-1] for w in ours.weights] == ["mean", "variance", "count"]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_normalization_of_batches_is_that_of_the_whole(sizes, seed):
    x = np.random.default_rng(seed).normal(1e3, 1, (sum(sizes), 2))
    layer = layers.Normalization()
    layer.adapt(np.split(x, np.cumsum(sizes)[:-1]))
    np.testing.assert_allclose(layer.adapt_mean, x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.adapt_variance, x.var(0), rtol=1e-4, atol=1e-6)


def test_normalization_in_a_stack_is_adapted_late_and_restored():
    layer = layers.Normalization(input_shape=(2,))
    model = lamina.Sequential([layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.array([[1.0, 50.0], [3.0, 10.0]], "float32")
    for use in (lambda: model.fit(x, x[:, :1], verbose=0), lambda: model.predict(x), lambda: layer(x)):
        with pytest.raises(NotAdaptedError, match=r"has no mean and variance yet: call normalization.*\.adapt\(x\)"):
            use()
    layer.adapt(pd.DataFrame(x))
    np.testing.assert_allclose(layer(x), [[-1, 1], [1, -1]], rtol=1e-6)
    model.fit(x, x[:, :1], verbose=0)
    again = lamina.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    layer.adapt(x * 2)
    np.testing.assert_allclose(model.predict(2 * x), again.predict(x), rtol=1e-6)


@pytest.mark.parametrize("bins", [2, 5, 30])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
def test_discretization_learns_what_keras_learns(bins, epsilon):
    ours = layers.Discretization(num_bins=bins, epsilon=epsilon)
    other = keras.layers.Discretization(num_bins=bins, epsilon=epsilon)
    for data in (X, [X[:7], X[7:20], X[20:]]):
        ours.adapt(data)
        other.reset_state()
        for batch in data if isinstance(data, list) else [data]:  # its adapt asks for TensorFlow
            other.update_state(batch)
        other.finalize_state()
        np.testing.assert_allclose(ours.bin_boundaries, other.bin_boundaries, rtol=1e-6)
        np.testing.assert_array_equal(ours(X), other(X))
    again = layers.Discretization.from_config(json.loads(json.dumps(ours.get_config())))
    np.testing.assert_array_equal(again(X), other(X))
    whole = layers.Discretization(num_bins=bins, epsilon=epsilon)
    whole.adapt(iter([X[:7]]))
    whole.adapt(iter([X[7:20], X[20:]]), reset=False)
    assert whole.bin_boundaries == ours.bin_boundaries


@pytest.mark.parametrize("output_mode", ["int", "one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 4)])
def test_modes_equal_keras(output_mode, shape):
    x = np.random.default_rng(1).integers(0, 5, shape)
    pairs = [(layers.Discretization, keras.layers.Discretization, {"bin_boundaries": [1.0, 2.5, 3.0]})]
    if output_mode != "int":
        pairs.append((layers.CategoryEncoding, keras.layers.CategoryEncoding, {"num_tokens": 5}))
    for ours, other, told in pairs:
        mine, its = ours(**told, output_mode=output_mode)(x), other(**told, output_mode=output_mode)(x)
        np.testing.assert_array_equal(mine, its)
        assert mine.dtype == its.dtype


def test_category_encoding_counts_with_weights_and_equals_the_config_of_keras():
    x, weights = np.array([[1, 1, 2], [0, 2, 2]]), np.array([[0.5, 1, 2], [3, 4, 5]], "float32")
    told = {"num_tokens": 3, "output_mode": "count", "name": "given"}
    ours, other = layers.CategoryEncoding(**told), keras.layers.CategoryEncoding(**told)
    np.testing.assert_array_equal(ours(x, count_weights=weights), other(x, count_weights=weights))
    assert set(ours.get_config()) == set(other.get_config())
    model = lamina.Sequential([layers.Input((3,), dtype="int32"), ours, layers.Dense(1)])
    assert model.predict(x).shape == (2, 1)
    assert layers.CategoryEncoding.from_config(ours.get_config()).get_config() == ours.get_config()


def test_rescaling_heeds_where_the_channels_are():
    image = np.arange(24, dtype="uint8").reshape(2, 3, 2, 2)
    told = {"scale": [1.0, 0.5, 2.0], "offset": 1.0}
    lamina.config.set_image_data_format("channels_first")
    keras.config.set_image_data_format("channels_first")
    try:
        np.testing.assert_array_equal(layers.Rescaling(**told)(image), keras.layers.Rescaling(**told)(image))
    finally:
        lamina.config.set_image_data_format("channels_last")
        keras.config.set_image_data_format("channels_last")
    layer = layers.Rescaling(np.float32([2, 4]))
    again = layers.Rescaling.from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(again(jnp.ones((1, 2))), [[2, 4]])


def test_pipeline_runs_its_layers_and_equals_the_config_of_keras():
    ours = layers.Pipeline([layers.Rescaling(2.0), layers.Dropout(0.5, seed=1)], name="given")
    other = keras.layers.Pipeline([keras.layers.Rescaling(2.0), keras.layers.Dropout(0.5, seed=1)], name="given")
    x = np.ones((4, 8), "float32")
    np.testing.assert_array_equal(ours(x, training=False), other(x, training=False))
    for pipeline in (ours, other):  # by itself it works as in training
        drawn = [np.asarray(pipeline(x)) for _ in range(4)]
        assert len({y.tobytes() for y in drawn}) == 4 and all(0 < np.mean(y == 0) < 1 for y in drawn)
    config = ours.get_config()
    assert [each["class_name"] for each in config["layers"]] == ["Rescaling", "Dropout"]
    assert set(config) == set(other.get_config())
    assert layers.Pipeline.from_config(config).get_config() == config


def test_functions_of_the_user_standardize_and_split():
    layer = layers.TextVectorization(
        standardize=lambda x: np.char.replace(np.char.lower(x), "<br />", " "),
        split=lambda x: [s.split("-") for s in x],
    )
    layer.adapt(["A-B<br />c", "a"])
    assert layer.get_vocabulary() == ["", "[UNK]", "a", "b c"]


# What is wrong is said.

VOCABULARY = {"vocabulary": ["a", "b"]}


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: layers.StringLookup(vocabulary="words.txt"), ArgumentError, "a file is not read here"),
        (lambda: layers.TextVectorization(vocabulary="words.txt"), ArgumentError, r"read\(\).splitlines\(\)"),
        (lambda: layers.StringLookup(vocabulary=[]), ArgumentError, "is empty"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), ArgumentError, "terms twice: 'a'"),
        (lambda: layers.StringLookup(vocabulary=["a", "m"], mask_token="m"), ArgumentError, "'m' is among"),
        (lambda: layers.StringLookup(max_tokens=2, **VOCABULARY), ArgumentError, "3 entries .* max_tokens=2"),
        (lambda: layers.StringLookup(max_tokens=1), ArgumentError, "at least 2"),
        (lambda: layers.StringLookup(output_mode="tf_idf", **VOCABULARY), ArgumentError, "needs idf_weights"),
        (lambda: layers.StringLookup(idf_weights=[1.0]), ArgumentError, "needs the vocabulary"),
        (lambda: layers.StringLookup(num_oov_indices=-1), ArgumentError, "at least 0"),
        (lambda: layers.StringLookup(output_mode="onehot"), ArgumentError, "Did you mean 'one_hot'"),
        (lambda: layers.StringLookup(invert=True, output_mode="count"), ArgumentError, "stays 'int'"),
        (lambda: layers.StringLookup(sparse=True), ArgumentError, "one dense tensor"),
        (lambda: layers.StringLookup(pad_to_max_tokens=True), ArgumentError, "needs max_tokens"),
        (lambda: layers.IntegerLookup(salt=3), ArgumentError, "needs oov_method='farmhash'"),
        (lambda: layers.IntegerLookup(vocabulary=["a"]), ArgumentError, "whole number, got 'a'"),
        (lambda: layers.Hashing(0), ArgumentError, "from 1 to"),
        (lambda: layers.Hashing(3, salt=[1, 2, 3]), ArgumentError, "a whole number or two"),
        (lambda: layers.TextVectorization(split="words"), ArgumentError, "'whitespace', 'character', got 'words'"),
        (lambda: layers.TextVectorization(ngrams=0), ArgumentError, "at least 1"),
        (lambda: layers.TextVectorization(ragged=True), ArgumentError, "one dense tensor"),
        (
            lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3),
            ArgumentError,
            "needs output_mode='int'",
        ),
        (lambda: layers.Normalization(mean=1.0), ArgumentError, "together"),
        (lambda: layers.Normalization(mean=[[1.0]], variance=[[1.0]]), ArgumentError, "one size per axis"),
        (lambda: layers.Normalization(axis=3).adapt(X), ShapeError, r"has axis=\(3,\)"),
        (lambda: layers.Normalization(mean=[1.0] * 5, variance=[1.0] * 5)(X), ShapeError, r"mean of shape \(5,\)"),
        (lambda: layers.Normalization().adapt([["a"]]), DataError, "takes numbers, got text"),
        (lambda: layers.Normalization(mean=0.0, variance=1.0).adapt(X), ArgumentError, "learns none"),
        (lambda: layers.Discretization(), ArgumentError, "one of them"),
        (lambda: layers.Discretization(num_bins=3)(X), NotAdaptedError, "has no boundaries yet"),
        (lambda: layers.Discretization(bin_boundaries=[1.0]).adapt(X), ArgumentError, "give num_bins instead"),
        (lambda: layers.CategoryEncoding(), ArgumentError, "take IntegerLookup"),
        (lambda: layers.Normalization(axis="a"), ArgumentError, "whole number, got 'a'"),
        (lambda: layers.Normalization(axis=(1, 1)), ArgumentError, "each axis once"),
        (lambda: layers.Normalization(mean=0.0, variance=-1.0), ArgumentError, "variance=-1.0.*at least 0"),
        (lambda: layers.Normalization()(X), NotAdaptedError, r"no mean and variance yet: call normalization.*adapt"),
        (lambda: layers.Normalization().adapt([[1.0, np.nan]]), DataError, r"x\[0, 1\] is NaN"),
        (lambda: layers.Normalization().adapt(np.zeros((0, 3))), DataError, r"got no data: .* \(0, 3\)"),
        (lambda: adapted(layers.Normalization(), X)(X[..., :1]), ShapeError, "expects size 2 on axis -1, got 1"),
        (lambda: layers.Discretization(bin_boundaries=["a"]), ArgumentError, "list of finite numbers"),
        (lambda: layers.Discretization(bin_boundaries=3), ArgumentError, "list of finite numbers"),
        (lambda: layers.Discretization(bin_boundaries=[]), ArgumentError, "at least one number"),
        (lambda: layers.Discretization(num_bins=3, epsilon=2), ArgumentError, "epsilon=2.*between 0 and 1"),
        (
            lambda: layers.CategoryEncoding(4, "count")([[1, 2]], count_weights=[[1.0, 2.0, 3.0]]),
            ShapeError,
            r"expects count_weights of \(1, 2\), one for each index, got \(1, 3\)",
        ),
        (lambda: layers.Discretization(num_bins=2).adapt([1.0, np.nan]), DataError, r"x\[1\] is NaN"),
        (lambda: layers.Rescaling([1.0, 2.0])(np.ones((2, 3))), ShapeError, r"scale of shape \(2,\)"),
        (lambda: layers.CategoryEncoding(3)([[0, 3]]), DataError, "row 0 of x holds 3, .* from 0 to 2"),
        (lambda: layers.CategoryEncoding(3)([[0.5]]), DataError, "row 0 of x holds 0.5"),
        (lambda: layers.Hashing(3)([[1.5]]), DataError, "text or whole numbers, got 1.5"),
        (lambda: layers.StringLookup(vocabulary=3), ArgumentError, "a list of terms, got 3"),
        (lambda: layers.StringLookup(vocabulary={"a": 1}), ArgumentError, "a list of terms, got {'a': 1}"),
        (lambda: layers.StringLookup(vocabulary=[1, 2]), ArgumentError, "holds 1, but StringLookup takes text"),
        (lambda: layers.StringLookup(mask_token=3), ArgumentError, "expected text or None, got 3"),
        (lambda: layers.TextVectorization(encoding="utf-99"), ArgumentError, "encoding that Python knows"),
        (lambda: layers.Pipeline(layers.Rescaling(2.0)), ArgumentError, r"as \[Rescaling\(2.0\)\]"),
        (lambda: layers.Pipeline([layers.RandomFlip()])(X[0]), ShapeError, "expects 4 dimensions"),
        (
            lambda: lamina.Sequential([layers.TextVectorization(**VOCABULARY), layers.Dense(1)]).predict(["a b"]),
            ShapeError,
            "output_sequence_length=n",
        ),
        (lambda: layers.Pipeline([3]), ArgumentError, "expected a layer"),
        (lambda: layers.Rescaling("2"), ArgumentError, "expected numbers"),
        (lambda: layers.StringLookup()(["a"]), NotAdaptedError, r"has no vocabulary yet: call string_lookup.*\.adapt"),
        (lambda: layers.TextVectorization()(["a"]), NotAdaptedError, "has no vocabulary yet"),
        (lambda: layers.StringLookup(**VOCABULARY)([1, 2]), DataError, "takes text, got int64 numbers"),
        (lambda: layers.StringLookup(**VOCABULARY)(pd.Series(["a", None])), DataError, r"x\[1\] is None|x\[1\] is nan"),
        (lambda: layers.StringLookup(num_oov_indices=0, **VOCABULARY)([["a"], ["q"]]), DataError, "'q' in row 1"),
        (lambda: layers.StringLookup(**VOCABULARY).adapt(["a"]), ArgumentError, "learns none: leave vocabulary= out"),
        (lambda: layers.StringLookup().adapt(iter([])), DataError, "gave no batch"),
        (lambda: layers.StringLookup().adapt(["a"], steps=2), ArgumentError, "Leave steps out"),
        (lambda: layers.StringLookup().adapt(3), DataError, "adapt takes arrays"),
        (lambda: layers.StringLookup(**VOCABULARY)([["a"], ["a", "b"]]), DataError, "different lengths"),
        (lambda: layers.IntegerLookup(vocabulary=[1])([[1.5]]), DataError, "takes whole numbers, got 1.5"),
        (lambda: layers.TextVectorization(**VOCABULARY)([["a", "b"]]), DataError, r"got \(1, 2\)"),
        (
            lambda: lamina.Sequential([layers.Dense(2), layers.StringLookup(**VOCABULARY)]),
            StackError,
            "comes first; here 'dense.*' stands before",
        ),
        (
            lambda: lamina.Sequential([layers.Input((2,)), layers.Lambda(layers.StringLookup(**VOCABULARY))]),
            StackError,
            "works on the host",
        ),
        (
            lambda: lamina.Sequential(
                [layers.StringLookup(output_mode="count", **VOCABULARY), layers.Dense(2)]
            ).predict(["a", "b"]),
            ShapeError,
            r"expects \(batch, values\) for output_mode='count'",
        ),
    ],
)
def test_wrong_input_is_refused(make, error, said):
    with pytest.raises(error) as raised:
        make()
    assert re.search(said, " ".join(str(raised.value).split()))


def test_a_stack_keeps_the_size_of_its_vocabulary():
    lookup = layers.StringLookup(output_mode="multi_hot")
    lookup.adapt([["a"], ["b"]])
    model = lamina.Sequential([layers.Input((1,), dtype="string"), lookup, layers.Dense(1)])
    with pytest.raises(ArgumentError, match=r"built for 3 entries, and\s+learned 4"):
        lookup.adapt([["a"], ["b"], ["c"]])
    assert model.predict([["a"]]).shape == (1, 1)
