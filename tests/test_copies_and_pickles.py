"""Pickle, joblib and copies of models, layers, histories and functions."""

import copy
import functools
import io
import pickle
import subprocess
import sys
import zipfile

import cloudpickle
import jax
import jax.numpy as jnp
import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from small_models import X, Y, both, ours

import lamina

TARGET = Y[:, :1]


def through_joblib(thing):
    file = io.BytesIO()
    joblib.dump(thing, file)
    file.seek(0)
    return joblib.load(file)


def through_pickle(thing):
    return pickle.loads(pickle.dumps(thing))


copied = pytest.mark.parametrize("twin_of", [through_pickle, through_joblib, copy.deepcopy, copy.copy])


def fitted(keras, *layers, optimizer="adam", loss="mse", **settings):
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(1)])
    model.compile(optimizer, loss, **settings)
    model.fit(X, TARGET, shuffle=False, verbose=0)
    return model


def all_equal(a, b):
    return len(a) == len(b) and all(map(np.array_equal, a, b))


@copied
@both
def test_a_copied_model_predicts_the_same_and_goes_on_as_the_original(keras, twin_of):
    model = fitted(keras, keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization(), metrics=["mae"])
    twin = twin_of(model)
    np.testing.assert_array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))
    before = model.get_weights()
    again = twin.fit(X, TARGET, shuffle=False, verbose=0)
    assert all_equal(model.get_weights(), before)
    assert again.history == model.fit(X, TARGET, shuffle=False, verbose=0).history
    assert all_equal(twin.get_weights(), model.get_weights())


@copied
@ours
def test_a_copied_model_draws_the_same_random_numbers_and_holds_its_own_optimizer(keras, twin_of):
    model = fitted(keras, keras.layers.Dense(8), keras.layers.Dropout(0.5))
    twin = twin_of(model)
    for each in (model, twin):
        each.fit(X, TARGET, epochs=2, batch_size=8, verbose=0)
    assert all_equal(twin.get_weights(), model.get_weights())
    other = keras.Sequential([keras.layers.Dense(1)])
    other.compile(twin_of(model).optimizer, "mse")  # its model is gone
    other.compile(twin.optimizer, "mse")
    with pytest.raises(ValueError, match="another model's weights"):
        other.fit(X, TARGET, verbose=0)


class OwnScale(lamina.layers.Layer):
    def build(self, input_shape):
        self.factor = self.add_weight(input_shape[-1:], "ones")

    def call(self, x):
        return x * self.factor


def kept(model, folder):
    """What the `.keras` file of a model holds, by the names of its members, but for the date."""
    model.save(folder / "model.keras")
    with zipfile.ZipFile(folder / "model.keras") as file:
        return {name: file.read(name) for name in file.namelist() if name != "metadata.json"}


@copied
@ours
def test_a_copied_model_holds_all_that_its_file_holds(keras, twin_of, tmp_path):
    layers, CosineDecay = keras.layers, keras.optimizers.schedules.CosineDecay
    text = layers.TextVectorization(output_sequence_length=3)
    text.adapt(["one two three"])
    words = keras.Sequential([keras.Input((1,), dtype="string"), text, layers.Embedding(9, 2), layers.LSTM(3)])
    words.compile(keras.optimizers.SGD(0.1, momentum=0.9), error)
    words.fit(["one", "two one"] * 4, np.ones((8, 3)), verbose=0)
    own = fitted(
        keras, layers.Dense(4, kernel_initializer=ones), OwnScale(), layers.Dropout(0.5), layers.BatchNormalization(),
        optimizer=keras.optimizers.AdamW(CosineDecay(0.1, 50), use_ema=True), metrics=["mae"],
    )  # fmt: skip
    own.layers[1].trainable = False
    mixed = keras.Sequential([layers.Input((4,)), layers.Dense(3, dtype="mixed_bfloat16")])
    for model in (words, own, mixed):
        before = kept(model, tmp_path)
        assert len(before) >= 3
        assert kept(twin_of(model), tmp_path) == before


@copied
@both
def test_a_copied_layer_is_apart_and_alone(keras, twin_of):
    wide = keras.layers.Dense(1000)
    fitted(keras, keras.layers.Dense(3), wide)
    layer = keras.layers.Dense(3)
    layer(X)
    twin = twin_of(layer)
    twin.set_weights([0 * array for array in twin.get_weights()])
    assert np.any(layer.get_weights()[0])
    stack = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1000)])
    assert len(pickle.dumps(stack.layers[0])) < len(pickle.dumps(stack)) / 2


@both
def test_a_history_is_pickled_with_the_model(keras):
    model = fitted(keras, keras.layers.Dense(3))
    for history in map(through_pickle, (model.history, model.fit(X, TARGET, verbose=0))):
        assert list(history.history) == ["loss"] and len(history.epoch) == 1
        np.testing.assert_array_equal(history.model.predict(X, verbose=0).shape, (64, 1))


class Regression(RegressorMixin, BaseEstimator):
    def __init__(self, model=None):
        self.model = model

    def fit(self, x, y):
        self.history_ = self.model.fit(x, y, verbose=0)
        return self

    def predict(self, x):
        return self.model.predict(x, verbose=0)


@both
def test_a_scikit_learn_pipeline_with_a_model_in_it_is_dumped(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    pipeline = Pipeline([("scale", StandardScaler()), ("model", Regression(model))]).fit(X, TARGET)
    joblib.dump(pipeline, tmp_path / "pipeline.joblib")
    again = joblib.load(tmp_path / "pipeline.joblib")
    np.testing.assert_array_equal(again.predict(X), pipeline.predict(X))


@both
def test_a_callback_copies_the_model_that_is_being_trained(keras):
    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.kept = pickle.dumps(self.model), copy.deepcopy(self.model)

    model, keep = fitted(keras, keras.layers.Dense(3)), Keep()
    model.fit(X, TARGET, epochs=2, verbose=0, callbacks=[keep])
    for twin in (pickle.loads(keep.kept[0]), keep.kept[1]):
        assert all_equal(twin.get_weights(), model.get_weights())
        twin.fit(X, TARGET, verbose=0)


def ones(shape, dtype=None):
    return jnp.ones(shape, dtype)


def from_key(key, shape, dtype=None):
    return jax.random.normal(key, shape, dtype)


@jax.jit
def error(y_true, y_pred):
    return jnp.mean((y_true - y_pred) ** 2)


class Ones:
    def __call__(self, shape, dtype=None):
        return jnp.ones(shape, dtype)


class OwnOnes(lamina.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return jnp.ones(shape, dtype)


@pytest.mark.parametrize("twin_of", [through_pickle, copy.deepcopy])
@pytest.mark.parametrize("initializer", [ones, from_key, np.ones, Ones(), OwnOnes(), OwnOnes])
@ours
def test_the_users_own_functions_are_pickled_by_name(keras, initializer, twin_of):
    dense = keras.layers.Dense(3, activation=jax.nn.relu, kernel_initializer=initializer)
    leaky = keras.layers.Activation(functools.partial(jax.nn.leaky_relu, negative_slope=0.1))
    model = fitted(keras, dense, leaky, loss=error, metrics=[error])
    twin = twin_of(model)
    assert twin.loss is error and twin.layers[0].activation is jax.nn.relu
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    assert twin.fit(X, TARGET, verbose=0).history == model.fit(X, TARGET, verbose=0).history


def without_a_name(keras):
    double = lambda x: 2 * x  # noqa: E731
    loss = lambda y_true, y_pred: (y_true - y_pred) ** 2  # noqa: E731
    yield keras.layers.Lambda(double, name="twice"), r"twice \(Lambda\)", "function"
    yield keras.layers.Dense(1, activation=double, name="top"), r"top \(Dense\)", "activation"
    yield keras.layers.Dense(1, activation=jax.jit(double), name="top"), r"top \(Dense\)", "activation"
    yield keras.layers.Dense(1, activation=functools.partial(double), name="top"), r"top \(Dense\)", "activation"
    yield (
        keras.layers.Dense(1, kernel_initializer=lambda shape, dtype: 0, name="top"),
        r"top \(Dense\)",
        "kernel_initializer",
    )
    yield keras.losses.LossFunction(loss), "Loss", "fn"
    yield keras.optimizers.Adam(double), "Optimizer", "schedule"
    yield keras.callbacks.LambdaCallback(on_epoch_end=double), "LambdaCallback", "on_epoch_end"
    yield fitted(keras, loss=loss), "compile", "loss"
    yield fitted(keras, metrics=[loss]), "compile", "metrics"


@ours
def test_a_lambda_is_not_pickled_and_the_error_says_where_it_stands(keras):
    for thing, owner, setting in without_a_name(keras):
        with pytest.raises(
            pickle.PicklingError, match=rf"(?s){setting}.* of {owner}.*test_copies_and_pickles.py:\d+.*def"
        ):
            pickle.dumps(thing)
        with pytest.raises(pickle.PicklingError, match="test_copies_and_pickles"):
            joblib.dump(thing, io.BytesIO())
        copy.deepcopy(thing)
        copy.copy(thing)
        pickle.loads(cloudpickle.dumps(thing))  # which takes lambdas, and so does joblib.Parallel


@ours
def test_a_pickle_of_64_bits_is_read_by_another_process(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype="float64")])
    model.compile("adam", "mse")
    model.fit(X, Y[:, :2], verbose=0)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    code = (
        "import pathlib, pickle, sys; model = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()); "
        "print(*(array.dtype for array in (*model.get_weights(), model.optimizer.variables[2])))"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "model.pickle")]
    assert subprocess.check_output(command, text=True, timeout=120).split() == ["float64"] * 3


@ours
def test_errors_cross_from_one_process_to_another(keras):
    model = fitted(keras)
    for mistake in (
        lambda: model.predict(X[:, :3]),
        lambda: model.fitt,
        lambda: keras.layers.Dens,
        lambda: keras.layers.Dense(3, activatoin="relu"),
        lambda: exec("from lamina.layers import Dens"),
    ):
        with pytest.raises(keras.errors.LaminaError) as caught:
            mistake()
        again = through_pickle(caught.value)
        assert type(again) is type(caught.value) and str(again) == str(caught.value)
