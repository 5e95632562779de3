"""Files of Keras 2 open here, with what became another since then. Those of Keras 3 are in test_saving.py."""

import io

import h5py
import keras_2_files as old
import numpy as np
import pytest
from keras.src.legacy.saving.legacy_h5_format import load_attributes_from_hdf5_group

import lamina
from lamina import layers
from lamina._saving import hdf5, legacy
from lamina._saving.hdf5 import Stored
from lamina.errors import FileError, LaminaWarning
from lamina.models import load_model

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def reference(arrays):
    """The same stack made here."""
    inner = lamina.Sequential([layers.Dense(3), layers.Dense(2)])
    model = lamina.Sequential(
        [layers.Input((4,)), layers.Dense(5, "relu"), layers.BatchNormalization(), layers.LeakyReLU(0.25), inner]
    )
    model.set_weights(arrays)
    return model


@pytest.mark.parametrize("split", [False, True])
def test_a_model_with_a_model_within(split):
    arrays = old.mlp("old.h5", split=split)
    model = load_model("old.h5")
    assert (model.name, model.compiled, model.input_shape) == ("old", False, (None, 4))
    assert [layer.name for layer in model.layers] == ["dense", "bn", "dropout", "leaky", "inner"]
    np.testing.assert_allclose(model.predict(X, verbose=0), reference(arrays).predict(X, verbose=0), rtol=1e-6)


def test_recurrent_layers():
    arrays = old.gates("old.hdf5")
    model = load_model("old.hdf5")
    assert [layer.reset_after for layer in model.layers[:2]] == [True, False]
    for weight, array in zip(model.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(weight, array)
    assert model.predict(np.ones((2, 5, 3)), verbose=0).shape == (2, 5, 2)


def test_weights_alone():
    arrays = old.mlp("old.h5", whole=False)
    model = reference([0 * array for array in arrays])
    model.load_weights("old.h5")
    for weight, array in zip(model.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(weight, array)
    with pytest.raises(FileError, match=r"holds only weights: make the model, and call model\.load_weights"):
        load_model("old.h5")


COMPILED = {
    "names": (old.training(metrics=["accuracy", "mae"]), 0.01, ["accuracy", "mae"]),
    "lr": (old.training("SGD", lr=0.5, momentum=0.9, nesterov=True), 0.01, []),
    "wrappers": (
        old.training(
            "Custom>RMSprop", jit_compile=False, is_legacy_optimizer=False, rho=0.8,
            loss={"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "m", "fn": "x"}},
            metrics=[[{"class_name": "MeanMetricWrapper", "config": {"name": "mae", "fn": "mean_absolute_error"}}]],
        ), 0.01, ["mae"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", COMPILED)
def test_how_it_was_compiled(how):
    compiled, rate, metrics = COMPILED[how]
    old.mlp("old.h5", compiled=compiled)
    model = load_model("old.h5")
    assert float(model.optimizer.learning_rate) == pytest.approx(rate)
    model.fit(X, np.ones((6, 2)), verbose=0)
    assert model.metrics_names == ["loss", *metrics]
    assert not load_model("old.h5", compile=False).compiled


def test_a_rate_that_falls():
    old.mlp("old.h5", compiled=old.training("SGD", decay=0.5))
    model = load_model("old.h5")
    rates = []
    for _ in range(3):
        rates.append(float(model.optimizer.learning_rate))
        model.fit(X, np.ones((6, 2)), verbose=0)
    np.testing.assert_allclose(rates, [0.01, 0.01 / 1.5, 0.01 / 2], rtol=1e-6)


def test_the_optimizer_s_state_is_not_taken_and_a_sentence_says_so():
    moments = {"training/Adam/iter": np.int64(7), "training/Adam/dense/kernel/m": np.ones((4, 5), "float32")}
    old.mlp("old.h5", compiled=old.training(), optimizer=moments)
    with pytest.warns(LaminaWarning, match=r"old\.h5 is of Keras 2\.6\.0: the state of its optimizer has another form"):
        model = load_model("old.h5")
    assert int(model.optimizer.iterations) == 0


def test_what_no_stack_can_be_made_of():
    old.write("old.h5", {"class_name": "Functional", "config": {"layers": []}}, {"a": {}})
    with pytest.raises(FileError, match="is a functional model whose layers are not a single line"):
        load_model("old.h5")
    inside = {"class_name": "Lambda", "config": {"name": "l", "function": ["4wEAAAAAAAAA", None, None]}}
    old.write("old.h5", old.sequential("s", inside), {"l": {}})
    with pytest.raises(FileError, match=r"layer 0 \(l: Lambda\)"):
        load_model("old.h5")
    with h5py.File("older.h5", "w") as file:
        file.attrs["nb_layers"] = 1
    with pytest.raises(FileError, match="no names of layers"):
        load_model("older.h5")


def test_long_lists_of_names_and_long_configs():
    names = [f"{number:0128}" for number in range(1200)]
    data = hdf5.write(Stored({}, {"": {"model_config": "x" * 200_000}, "model": legacy._named("layer_names", names)}))
    held = hdf5.read(data, "here")
    assert (
        legacy._names(held, "model", "layer_names", "model.h5") == names
        and "layer_names" not in held.attributes["model"]
    )
    assert held.attributes[""]["model_config"] == "x" * 200_000
    with h5py.File(io.BytesIO(data)) as file:
        assert load_attributes_from_hdf5_group(file["model"], "layer_names") == names
        assert file.attrs["model_config"] == "x" * 200_000
