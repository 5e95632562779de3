"""Files of models and of weights, to real Keras and back, and what becomes of those that do not fit."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._saving import archive, extras, hdf5, weights
from lamina._saving.archive import Archive
from lamina._settings.custom_objects import CustomObjectScope
from lamina.errors import ArgumentError, FileError, LaminaWarning, NotBuiltError, ShapeError
from lamina.models import load_model

X = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(24, 3)).astype("float32")
MODELS = {"model.keras": {}, "folder": {"zipped": False}, "model.h5": {}, "model.hdf5": {}}
"""Names of files of whole models, and what `save` is told."""
WEIGHTS = {"model.weights.h5": {}, "model.weights.json": {"max_shard_size": 1e-7}, "model.safetensors": {}}
quiet = pytest.mark.filterwarnings("ignore:You are saving:UserWarning")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stack(library, units=3, dropout=0.3, **told):
    kind = library.layers
    model = library.Sequential(
        [
            kind.Input((4,)),
            kind.Dense(5, activation="relu"),
            kind.BatchNormalization(),
            kind.Dropout(dropout),
            kind.Dense(units),
        ],
        name="net",
    )
    model.compile(
        **{"optimizer": library.optimizers.Adam(0.01), "loss": "mean_squared_error", "metrics": ["mae"]} | told
    )
    return model


def fitted(library=lamina, epochs=1, **told):
    model = stack(library, **told)
    model.fit(X, Y, epochs=epochs, verbose=0)
    return model


def assert_equal(one, other, optimizer=True):
    """Equal weights, and optimizers in the same state, to the last bit."""
    for mine, its in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)
    if optimizer:
        for mine, its in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(its))


def is_legacy(name):
    """Real Keras takes no optimizer's state from such a file, even if it wrote it: it builds it for no weights."""
    return name.endswith((".h5", ".hdf5"))


def assert_same_step(ours, theirs):
    """After one more step without shuffling the weights are equal but for rounding."""
    ours.fit(X, Y, batch_size=24, verbose=0)
    theirs.fit(X, Y, batch_size=24, verbose=0)
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)


# Whole models


@pytest.mark.parametrize("name", MODELS)
def test_real_keras_opens_what_is_saved_here(name):
    ours = fitted(dropout=0.0)
    ours.save(name, **MODELS[name])
    theirs = keras.models.load_model(name)
    assert_equal(ours, theirs, optimizer=not is_legacy(name))
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.evaluate(X, Y, verbose=0), theirs.evaluate(X, Y, verbose=0), rtol=1e-5)
    if is_legacy(name):
        for each in (ours, theirs):  # which Keras cannot fit otherwise
            each.compile("sgd", "mean_squared_error")
    assert_same_step(ours, theirs)


@pytest.mark.parametrize("name", MODELS)
def test_what_real_keras_saves_opens_here(name):
    theirs = fitted(keras, dropout=0.0)
    theirs.save(name, **MODELS[name])
    ours = load_model(name)
    assert_equal(ours, theirs)
    np.testing.assert_allclose(ours.evaluate(X, Y, verbose=0), theirs.evaluate(X, Y, verbose=0), rtol=1e-5)
    assert ours.metrics_names == ["loss", "mae"]
    assert_same_step(ours, theirs)


@pytest.mark.parametrize("name", MODELS)
def test_training_goes_on_as_if_the_model_had_not_been_saved(name):
    model = fitted()
    before = model.predict(X, verbose=0)
    model.save(name, **MODELS[name])
    again = load_model(name)
    assert_equal(model, again)
    np.testing.assert_array_equal(again.predict(X, verbose=0), before)
    model.fit(X, Y, epochs=2, verbose=0)
    again.fit(X, Y, epochs=2, verbose=0)
    assert_equal(model, again)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_moments_of_a_layer_that_is_frozen_now_are_kept(scaled):
    adam = lamina.optimizers.Adam(0.01)
    model = fitted(optimizer=lamina.optimizers.LossScaleOptimizer(adam) if scaled else adam)
    model.layers[0].trainable = False
    model.compile(model.optimizer, "mse")
    model.fit(X, Y, verbose=0)
    model.save("model.keras")
    again = load_model("model.keras")
    assert_equal(model, again)
    assert not again.layers[0].trainable
    for each in (model, again):
        each.layers[0].trainable = True
        each.fit(X, Y, verbose=0)
    assert_equal(model, again)


def test_a_file_without_what_only_lamina_knows_opens_too():
    model = fitted()
    model.save("model.keras")
    held = archive.read("model.keras")
    assert held.extra["steps"] == 1 and held.extra["seeds"].keys() >= {"", "stack.0"}
    strange = {"steps": -1, "seeds": {"": 2**40, "stack.9": 1, "stack.0": "x"}, "optimizer": [99, "a"]}
    for extra in ({}, strange, {"seeds": [], "optimizer": 3}):
        archive.write("other.keras", held._replace(extra=extra))
        assert_equal(load_model("other.keras"), model)


MORE = {
    "schedule": lambda library: {
        "optimizer": library.optimizers.SGD(library.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9), momentum=0.5)
    },
    "averaged": lambda library: {"optimizer": library.optimizers.AdamW(0.01, use_ema=True, clipnorm=1.0)},
    "objects": lambda library: {
        "loss": library.losses.MeanSquaredError(reduction="sum"),
        "metrics": [library.metrics.MeanAbsoluteError(name="m")],
        "weighted_metrics": ["mse"], "loss_weights": 0.5, "steps_per_execution": 2,
    },
}  # fmt: skip


@pytest.mark.parametrize("how", MORE)
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_how_it_was_compiled_reaches_keras_and_comes_back(how, name):
    ours, theirs = fitted(dropout=0.0, **MORE[how](lamina)), fitted(keras, dropout=0.0, **MORE[how](keras))
    ours.save(name)
    assert_equal(ours, keras.models.load_model(name), optimizer=not is_legacy(name))
    again = load_model(name)
    assert_equal(ours, again)
    if name == "model.keras":
        assert again.get_compile_config() == ours.get_compile_config()
    theirs.save(name)
    again = load_model(name)
    assert_equal(theirs, again)
    if how != "averaged":  # after a fit with averages real Keras cannot fit again
        assert_same_step(again, theirs)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_other_dtypes_reach_keras_and_come_back(policy, name):
    def made(library):
        kind = library.layers
        model = library.Sequential([kind.Input((4,)), kind.Dense(5), kind.Dense(3)])
        model.compile("adam", "mean_squared_error")
        model.fit(X, Y, verbose=0)
        return model

    lamina.config.set_dtype_policy(policy)
    keras.config.set_dtype_policy(policy)
    try:
        ours, theirs = made(lamina), made(keras)
        ours.save(name)
        assert_equal(load_model(name), ours)
        if policy != "bfloat16":
            assert_equal(keras.models.load_model(name), ours, optimizer=not is_legacy(name))
        elif not is_legacy(name):  # where Keras has no such numbers
            assert_equal(keras.models.load_model(name), ours, optimizer=False)
        theirs.save(name)
        if policy != "bfloat16" or not is_legacy(name):
            assert_equal(load_model(name), theirs)
    finally:
        keras.config.set_dtype_policy("float32")


def test_settings_that_are_no_finite_numbers_come_back():
    """Keras writes them as NaN and Infinity, which JSON's own standard lacks."""
    unbounded = lamina.initializers.Constant(-np.inf)
    made = [layers.Input((3, 2)), layers.Masking(float("nan")), layers.Dense(2, bias_initializer=unbounded)]
    lamina.Sequential(made).save("model.keras")
    for opened in (load_model("model.keras"), keras.models.load_model("model.keras")):
        assert np.isnan(opened.layers[0].mask_value) and opened.layers[1].bias_initializer.value == -np.inf


def test_the_state_of_a_recurrent_layer_begins_at_zero_again():
    model = lamina.Sequential([layers.Input(batch_shape=(2, 3, 4)), layers.LSTM(3, stateful=True), layers.Dense(1)])
    x = np.ones((2, 3, 4), "float32")
    first = model.predict(x, verbose=0)
    assert (model.predict(x, verbose=0) != first).any()
    model.save("model.keras")
    np.testing.assert_array_equal(load_model("model.keras").predict(x, verbose=0), first)


def test_not_compiled():
    model = fitted()
    model.save("model.keras")
    assert not load_model("model.keras", compile=False).compiled
    for name in ("model.keras", "model.h5"):
        model.save(name, include_optimizer=False)
        assert not load_model(name).compiled
        assert not keras.models.load_model(name).compiled
    assert not any("optimizer" in path for path in archive.read("model.keras").weights.arrays)
    bare = lamina.Sequential([layers.Input((4,)), layers.Dense(3)])
    for name in ("model.keras", "model.h5"):
        bare.save(name)
        assert_equal(load_model(name), bare, optimizer=False)
        assert_equal(keras.models.load_model(name), bare, optimizer=False)


def test_compiled_and_not_trained_yet():
    model = stack(lamina)
    for name in ("model.keras", "model.h5"):
        model.save(name)
        again = load_model(name)
        assert again.compiled and int(again.optimizer.iterations) == 0
    theirs = stack(keras)
    theirs.optimizer.learning_rate = 0.5
    theirs.save("theirs.keras")
    assert float(load_model("theirs.keras").optimizer.learning_rate) == 0.5


def test_a_model_without_weights_yet():
    model = lamina.Sequential([layers.Dense(3)])
    with pytest.warns(LaminaWarning, match="has no weights yet, so 'model.keras' will hold none"):
        model.save("model.keras")
    again = load_model("model.keras")
    assert not again.built and again.layers[0].units == 3
    assert not keras.models.load_model("model.keras").built
    with pytest.raises(NotBuiltError, match="save_weights: 'sequential' has no weights yet"):
        model.save_weights("model.weights.h5")
    with pytest.raises(NotBuiltError, match="load_weights: 'sequential' has no weights yet"):
        model.load_weights("model.weights.h5")


# Classes of the user's own


class Scale(layers.Layer):
    def __init__(self, start=2.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.factor = self.add_weight((1,), lamina.initializers.Constant(self.start))

    def call(self, x):
        return x * self.factor


class HalfSaved(Scale):
    """Of its two weights only one is in a file."""

    def build(self, input_shape):
        super().build(input_shape)
        self.other = self.add_weight((2,), "ones", trainable=False)

    def save_own_variables(self, store):
        store["factor"] = self.factor

    def load_own_variables(self, store):
        self.factor.assign(store["factor"])


def with_own(kind):
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(4), kind(), layers.Dense(2)])
    model.compile("adam", "mse")
    model.layers[1].factor.assign([5.0])
    return model


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_class_of_ones_own_is_given_or_left_out(name):
    model = with_own(Scale)
    model.save(name)
    assert_equal(load_model(name, custom_objects={"Scale": Scale}), model, optimizer=False)
    with CustomObjectScope({"Scale": Scale}):
        assert_equal(load_model(name), model, optimizer=False)
    with pytest.raises(FileError, match="Scale"):
        load_model(name)


def test_what_is_left_out_is_listed_and_the_rest_opens():
    model = with_own(Scale)
    model.save("model.keras")
    with pytest.warns(LaminaWarning, match="'model.keras' was loaded without 1 of its parts:\n.*Scale") as seen:
        rest = load_model("model.keras", skip=["Scale"])
    assert len(seen) == 1
    assert [type(layer).__name__ for layer in rest.layers] == ["Dense", "Dense"]
    np.testing.assert_array_equal(rest.layers[1].kernel, model.layers[2].kernel)


def test_a_class_that_leaves_a_weight_at_its_start():
    model = with_own(HalfSaved)
    model.save("model.keras")
    again = load_model("model.keras", custom_objects={"HalfSaved": HalfSaved})
    assert_equal(model, again, optimizer=False)
    again.predict(X, verbose=0)


# Files of weights


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_reach_keras_and_come_back(name):
    ours, theirs = fitted(dropout=0.0), fitted(keras, dropout=0.0)
    ours.save_weights(name, **WEIGHTS[name])
    again = fitted()
    again.load_weights(name)
    whole = name != "model.safetensors"
    assert_equal(again, ours, optimizer=whole)
    if whole:
        theirs.load_weights(name)
        assert_equal(ours, theirs)
        theirs.fit(X, Y, verbose=0)
        theirs.save_weights(name, **WEIGHTS[name])
        again.load_weights(name)
        assert_equal(again, theirs)


@quiet
def test_weights_out_of_whole_models():
    theirs, ours = fitted(keras), fitted()
    theirs.save("model.keras")
    theirs.save("model.h5")
    for name in ("model.keras", "model.h5"):
        before = ours.get_weights()
        ours.load_weights(name)
        assert_equal(ours, theirs, optimizer=name == "model.keras")
        ours.set_weights(before)


def test_by_name():
    theirs = fitted(keras)
    theirs.save("model.h5")
    other = lamina.Sequential(
        [layers.Input((4,)), layers.Dense(5, name=theirs.layers[0].name), layers.Dense(7, name="new")]
    )
    fresh = other.layers[1].get_weights()
    with pytest.raises(ShapeError, match=r"(?s)It has weights for 3 layers .*by_name=True"):
        other.load_weights("model.h5")
    other.load_weights("model.h5", by_name=True)
    np.testing.assert_array_equal(other.layers[0].kernel, theirs.layers[0].kernel)
    np.testing.assert_array_equal(other.layers[1].kernel, fresh[0])
    wrong = lamina.Sequential([layers.Input((4,)), layers.Dense(6, name=theirs.layers[0].name)])
    with pytest.raises(ShapeError, match=r"dense\w* \(Dense\)  kernel \(4, 6\)"):
        wrong.load_weights("model.h5", by_name=True)
    with pytest.warns(LaminaWarning, match="Left as they were: dense"):
        wrong.load_weights("model.h5", by_name=True, skip_mismatch=True)


def test_layers_that_are_skipped():
    model, other = fitted(), fitted()
    model.save_weights("model.weights.h5")
    first = other.layers[0].get_weights()
    other.load_weights("model.weights.h5", objects_to_skip=[other.layers[0]])
    np.testing.assert_array_equal(other.layers[0].kernel, first[0])
    np.testing.assert_array_equal(other.layers[3].kernel, model.layers[3].kernel)


def test_names_in_a_safetensors_file():
    model = fitted()
    model.save_weights("model.safetensors")
    from safetensors.numpy import load_file

    held = load_file("model.safetensors")
    assert sorted(held) == [
        "layers.batch_normalization.beta", "layers.batch_normalization.gamma",
        "layers.batch_normalization.moving_mean", "layers.batch_normalization.moving_variance",
        "layers.dense.bias", "layers.dense.kernel", "layers.dense_1.bias", "layers.dense_1.kernel",
    ]  # fmt: skip
    np.testing.assert_array_equal(held["layers.dense.kernel"], model.layers[0].kernel)
    for dtype in ("bfloat16", "float16"):
        short = lamina.Sequential([layers.Input((4,)), layers.Dense(3, dtype=dtype)])
        short.save_weights("short.safetensors")
        again = lamina.Sequential([layers.Input((4,)), layers.Dense(3, dtype=dtype)])
        again.load_weights("short.safetensors")
        assert_equal(short, again, optimizer=False)


def tensors(header, data=b"", size=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def entry(start, stop, shape=(1,), dtype="F32", **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, stop], **more}


BROKEN = {
    "is not a safetensors file": [b"", b"abc", tensors(b"{}", size=2**60), tensors(b"")],
    "JSON": [tensors(b"{]"), tensors(b'{"a": 1, "a": 2}').replace(b"1", b"1")],
    "holds no arrays": [tensors([])],
    "begins at byte": [
        tensors({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)),
        tensors({"a": entry(0, 8, (2,)), "b": entry(4, 8)}, bytes(8)),
        tensors({"a": entry(4, 8)}, bytes(8)),
    ],
    "its arrays need": [tensors({"a": entry(0, 4)}, bytes(8)), tensors({"a": entry(0, 8, (2,))}, bytes(4))],
    "has an unknown dtype": [
        tensors({"a": entry(0, 4, dtype="O")}, bytes(4)), tensors({"a": entry(0, 4, (2**62,))}, bytes(4)),
        tensors({"a": entry(0, 4, (True,))}, bytes(4)), tensors({"a": entry(0, 4, more=1)}, bytes(4)),
        tensors({"a": [1]}), tensors({"a": entry(4, 0)}, bytes(4)), tensors({"a": entry(0, 4, (-1, -1))}, bytes(4)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("said", BROKEN)
def test_broken_headers_of_safetensors(said):
    model = stack(lamina)
    for data in BROKEN[said]:
        with open("a.safetensors", "wb") as file:
            file.write(data or b"\0")
        with pytest.raises(FileError, match="twice" if b'"a": 2' in data else said):
            model.load_weights("a.safetensors")


# Weights in parts


def test_parts_of_weights():
    model = fitted()
    model.save_weights("a.weights.json", max_shard_size=2e-7)
    parts = sorted(name for name in os.listdir() if name.endswith(".h5"))
    assert parts == [f"a_{number:05}.weights.h5" for number in range(len(parts))] and len(parts) > 2
    with pytest.warns(LaminaWarning, match=r"ends in \.json: it is written to 'b\.weights\.json'"):
        model.save_weights("b.weights.h5", max_shard_size=1)
    other = fitted()
    other.load_weights("b.weights.json")
    assert_equal(model, other)
    with pytest.raises(ArgumentError, match=r"max_shard_size=.* is less than the .* GB of layers/dense/vars/0"):
        model.save_weights("c.weights.json", max_shard_size=1e-9)
    assert not any(name.startswith("c") for name in os.listdir())
    for size in (0, -1, True, "2"):
        with pytest.raises(ArgumentError, match="expected a number of gigabytes"):
            model.save_weights("c.weights.json", max_shard_size=size)


def test_parts_that_are_refused():
    model = fitted()
    model.save_weights("a.weights.json", max_shard_size=2e-7)
    with open("a.weights.json") as file:
        index = json.load(file)

    def refused(match, **changed):
        with open("a.weights.json", "w") as file:
            json.dump(index | changed, file)
        with pytest.raises(FileError, match=match):
            model.load_weights("a.weights.json")

    for name in ("/etc/passwd", "../a_00000.weights.h5", "b_00000.weights.h5", "a_0.weights.h5", 5, None, ["x"]):
        refused("its parts are called 'a_00000.weights.h5'", weight_map=index["weight_map"] | {"/x": name})
    refused("has no 'weight_map'", metadata=[])
    refused("has no 'weight_map'", weight_map=3)
    os.rename("a_00001.weights.h5", "kept")
    refused("names the part 'a_00001.weights.h5', which is missing")
    os.symlink("kept", "a_00001.weights.h5")
    refused("is a link")
    os.unlink("a_00001.weights.h5")
    os.rename("kept", "a_00001.weights.h5")
    other = index
    model.save_weights("a.weights.json", max_shard_size=2e-7)
    refused("is not of the same save")
    index = other


# Files that ask for more than they hold


def test_a_small_file_cannot_ask_for_a_large_model():
    model = lamina.Sequential([layers.Input((4,)), layers.Dense(3)])
    model.save("model.keras")
    held = archive.read("model.keras")
    held.config["config"]["layers"][1]["config"]["units"] = 10**12
    archive.write("bomb.keras", held)
    with pytest.raises(FileError, match=r"its weights are not those of its layers.\n.*\n.*kernel \(4, 1000000000000\)"):
        load_model("bomb.keras")
    with zipfile.ZipFile("model.keras") as file:
        assert "lamina.json" in file.namelist() and all(not info.compress_type for info in file.infolist())


# Vocabularies


def vocabulary_of_keras(layer, terms, **more):
    """A file as Keras writes it: the terms are beside the config."""
    model = lamina.Sequential([layers.Input((1,), dtype="string"), layer])
    model.save("model.keras")
    held = archive.read("model.keras")
    held.config["config"]["layers"][1]["config"] |= {"vocabulary": None, "idf_weights": None}
    path = f"layers/{layer.name}"
    text = "\n".join(terms).encode()
    assets = {f"{path}/vocabulary.txt": text, f"{path}/_lookup_layer/vocabulary.txt": text}
    archive.write("keras.keras", Archive(held.config, held.weights, assets | more, {}))
    return model


def test_a_vocabulary_beside_the_config():
    layer = layers.StringLookup(vocabulary=["b", "a"])
    model = vocabulary_of_keras(layer, layer.get_vocabulary())
    again = load_model("keras.keras")
    assert again.layers[0].get_vocabulary() == ["[UNK]", "b", "a"]
    np.testing.assert_array_equal(again.predict(np.array([["a"], ["z"]]), verbose=0), [[2], [0]])
    assert load_model("model.keras").layers[0].get_vocabulary() == model.layers[0].get_vocabulary()
    layer = layers.TextVectorization(vocabulary=["b", "a"], idf_weights=[2.0, 3.0], output_mode="tf_idf")
    model = vocabulary_of_keras(layer, layer.get_vocabulary())
    x = np.array(["a a b", "c"])
    np.testing.assert_array_equal(load_model("keras.keras").predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_broken_vocabulary_is_refused():
    vocabulary_of_keras(layers.StringLookup(vocabulary=["b", "a"]), ["a", "a"])
    with pytest.raises(FileError, match=r"\(string_lookup: StringLookup\): the vocabulary has terms twice"):
        load_model("keras.keras")
    held = archive.read("keras.keras")
    archive.write("keras.keras", held._replace(assets={"layers/string_lookup/vocabulary.txt": b"\xff"}))
    with pytest.raises(FileError, match="is not a list of terms"):
        load_model("keras.keras")


# Mistakes


def test_names_of_files():
    model = stack(lamina)
    for name, said in (
        ("model", "ends in one of '.keras', '.h5', '.hdf5'; got 'model'"), ("a.weights.h5", "save_weights"),
        ("a.safetensors", "save_weights"), ("gs://a/b.keras", "is not on this machine"),
    ):  # fmt: skip
        with pytest.raises(FileError, match=said):
            model.save(name)
    for call, said in (
        (lambda: model.save("a.keras", zipped=False), "may not end like"),
        (lambda: model.save(3), "expected the name of a file, such as 'model.keras', got int"),
        (lambda: model.save("a.keras", save_format="h5"), "the ending of the name decides the format"),
        (lambda: model.save("a.h5", save_format="tf"), "the ending of the name decides the format"),
        (lambda: model.save("a.keras", overwrite="yes"), "overwrite"),
        (lambda: model.save_weights("a.weights.json"), "max_shard_size"),
        (lambda: model.save_weights("a.safetensors", max_shard_size=1), "max_shard_size"),
        (lambda: model.load_weights("a.weights.h5", by_name=True), "by_name is only for"),
        (lambda: model.load_weights("a.h5", objects_to_skip=[]), "objects_to_skip is only for"),
        (lambda: model.load_weights(None), "expected the name of a file, such as 'model.weights.h5', got NoneType"),
        (lambda: model.save("a.keras", zip=True), "zip"),
    ):
        with pytest.raises(ArgumentError, match=said):
            call()
    for name in ("model.h5", "model.weights", "model.npz"):
        with pytest.raises(FileError, match=r"ends in one of '\.weights\.h5'"):
            model.save_weights(name)
    assert os.listdir() == []
    model.save("a.keras", save_format="keras")
    model.save("a.h5", save_format="h5")


def test_files_that_are_not_there():
    model = stack(lamina)
    for call in (load_model, model.load_weights):
        with pytest.raises(FileError, match="there is no such file"):
            call("nope.keras")
        with pytest.raises(FileError, match="there is no folder"):
            call("no/folder/nope.keras")
    with pytest.raises(FileError, match=r"does not exist\.\s+Make it first"):
        model.save("no/folder/model.keras")
    os.mkdir("a.keras")
    with pytest.raises(FileError, match="there is a folder of that name"):
        model.save("a.keras")
    with pytest.raises(FileError, match="ends in one of"):
        load_model("model")
    os.mkdir("empty")
    with pytest.raises(FileError, match="empty"):
        load_model("empty")
    model.save("model.keras")
    with pytest.raises(FileError, match="is the name of a file of weights"):
        load_model("a.weights.h5")


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_a_file_that_exists(name, monkeypatch):
    model = fitted()
    save = model.save if name == "model.keras" else model.save_weights
    save(name)
    before = Path(name).read_bytes()
    with pytest.raises(FileError, match=r"exists already\. Give another name, or overwrite=True"):
        save(name, overwrite=False)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    answers = iter(["what", "n"])
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    save(name, overwrite=False)
    assert next(answers, None) is None and Path(name).read_bytes() == before
    model.layers[0].bias.assign(np.ones(5))
    monkeypatch.setattr("builtins.input", lambda question: "Y")
    save(name, overwrite=False)
    assert Path(name).read_bytes() != before


def test_files_of_other_kinds():
    model = fitted()
    with h5py.File("a.h5", "w") as file:
        file["x"] = np.ones(3)
    with pytest.raises(FileError, match="is not a model saved by Keras"):
        load_model("a.h5")
    with pytest.raises(FileError, match="is not a model saved by Keras"):
        model.load_weights("a.h5")
    model.save("model.h5")
    with h5py.File("model.h5", "a") as file:
        del file["model_weights/dense/net/dense/kernel"]
    with pytest.raises(FileError, match="has no 'model_weights/dense/net/dense/kernel', which it names"):
        load_model("model.h5")
    model.save("model.h5")
    with h5py.File("model.h5", "a") as file:
        del file.attrs["model_config"]
    with pytest.raises(FileError, match="only weights"):
        load_model("model.h5")
    model.load_weights("model.h5")
    with open("b.keras", "wb") as file:
        file.write(b"hello")
    with pytest.raises(FileError, match=r"b\.keras"):
        load_model("b.keras")


def test_a_lambda_is_given_again_and_saving_says_so():
    model = lamina.Sequential([layers.Input((4,)), layers.Lambda(lambda x: 2 * x, name="twice"), layers.Dense(3)])
    with pytest.warns(LaminaWarning, match=r"the lambda of twice.*\n?.*'twice': function"):
        model.save("model.keras")
    again = load_model("model.keras", custom_objects={"twice": lambda x: 2 * x})
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    model.compile("sgd", lambda y_true, y_pred: (y_true - y_pred) ** 2)
    with pytest.warns(LaminaWarning, match="the lambda of twice, loss"):
        model.save("model.keras")


def test_a_config_of_something_else():
    fitted().save("model.keras")
    held = archive.read("model.keras")
    relu = {"module": "keras.activations", "class_name": "function", "config": "relu", "registered_name": "relu"}
    array = {"class_name": "__numpy__", "config": {"value": [1], "dtype": "float32"}}
    for config in ({}, {"a": [1]}, relu, array, held.config["config"]["layers"][1]):
        archive.write("other.keras", held._replace(config=config))
        with pytest.raises(FileError, match=r"other\.keras: it does not hold a model, but"):
            load_model("other.keras")


def test_a_subclass_of_sequential():
    class Net(lamina.Sequential):
        def __init__(self, units=3, **kwargs):
            super().__init__([layers.Input((4,)), layers.Dense(units)], **kwargs)

    model = Net(5)
    model.compile("adam", "mse")
    for name in ("model.keras", "model.h5"):
        model.save(name)
        again = load_model(name, custom_objects={"Net": Net})
        assert type(again) is Net and again.layers[0].units == 5
        assert_equal(model, again, optimizer=False)


def test_an_optimizer_that_does_not_open_costs_no_model():
    model = fitted()
    model.save("model.keras")
    held = archive.read("model.keras")
    held.config["compile_config"]["optimizer"] |= {"class_name": "Strange", "registered_name": "Strange"}
    archive.write("model.keras", held)
    with pytest.raises(FileError, match=r"Strange.*\n.*load_model\(path, compile=False\)"):
        load_model("model.keras")
    assert_equal(load_model("model.keras", compile=False), model, optimizer=False)
    with pytest.warns(LaminaWarning, match="optimizer: no optimizer is called 'Strange'"):
        assert not load_model("model.keras", skip=["Strange"]).compiled


def test_safe_mode_changes_nothing_and_says_so():
    fitted().save("model.keras")
    with pytest.warns(LaminaWarning, match="safe_mode=False has no effect"):
        load_model("model.keras", safe_mode=False)


def test_saving_is_loaded_when_it_is_used():
    code = (
        "import sys, lamina; assert 'h5py' not in sys.modules; lamina.models.load_model; assert 'h5py' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert lamina.models.load_model is load_model is lamina.saving.load_model
    assert lamina.saving.load_weights.__name__ == "load_weights"
    assert extras.FORMAT == 1 and hdf5.read(hdf5.write(weights.stored(stack(lamina))), "here").arrays
