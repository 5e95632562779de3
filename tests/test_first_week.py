"""Small programs of a first week of use, each as a user would type it.

`both` runs a program with our import and, each night, with real Keras, which stays as it is; `ours` only with our
import, where Keras has no such thing or gives another answer.
"""

import contextlib
import copy
import functools
import io
import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import warnings
import zipfile
from pathlib import Path

import cloudpickle
import jax
import jax.numpy as jnp
import joblib
import keras as real_keras
import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import lamina
from lamina._programs import programs
from lamina._programs.cache import Entries

both = pytest.mark.parametrize(
    "keras", [pytest.param(lamina, id="lamina"), pytest.param(real_keras, id="keras", marks=pytest.mark.nightly)]
)
ours = pytest.mark.parametrize("keras", [lamina], ids=["lamina"])

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = RNG.normal(size=(64, 3)).astype("float32")
WORDS = np.array([[3, 5, 0, 0], [7, 2, 4, 0]])


def dense(keras, *units, **compiled):
    """A stack of Dense layers on four columns, compiled with plain gradient descent."""
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(n) for n in units or (3,))])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model


def says(keras, message):
    """The warning that our import gives, and that real Keras does not have."""
    return pytest.warns(lamina.errors.LaminaWarning, match=message) if keras is lamina else contextlib.nullcontext()


# A user's function reads a weight.


@ours
def test_a_loss_that_reads_a_weight_trains_it(keras):
    model = dense(keras, loss=lambda y, p: jnp.sum(model.layers[0].kernel ** 2))
    before = model.layers[0].kernel.numpy()
    losses = model.fit(X, Y, epochs=3, batch_size=64, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, [(before**2).sum() * 0.98 ** (2 * n) for n in range(3)], rtol=1e-5)
    np.testing.assert_allclose(model.layers[0].kernel.numpy(), before * 0.98**3, rtol=1e-5)


@both
def test_a_lambda_that_reads_the_kernel_of_another_layer_shares_its_gradient(keras):
    first = keras.layers.Dense(3, use_bias=False)
    tied = keras.layers.Lambda(
        lambda z: z @ keras.ops.transpose(first.kernel) if keras is real_keras else z @ first.kernel.T
    )
    model = keras.Sequential([keras.Input((4,)), first, tied])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    kernel = np.asarray(first.kernel)
    model.fit(X, X, batch_size=64, verbose=0)
    gradient = jax.grad(lambda k: jnp.mean((X @ k @ k.T - X) ** 2))(kernel)
    np.testing.assert_allclose(np.asarray(first.kernel), kernel - 0.1 * gradient, rtol=1e-4, atol=1e-6)


@both
def test_predict_uses_what_was_assigned_to_a_weight_that_a_lambda_reads(keras):
    first = keras.layers.Dense(3, use_bias=False)
    first.build((None, 4))
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda z: z @ first.kernel.value)])
    model.predict(X, verbose=0)
    first.kernel.assign(np.ones((4, 3), "float32"))
    if keras is lamina:  # Keras compiles the kernel into the program and keeps the old one
        np.testing.assert_allclose(model.predict(X, verbose=0), X @ np.ones((4, 3), "float32"), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.predict_on_batch(X), X @ np.ones((4, 3), "float32"), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model(X), X @ np.ones((4, 3), "float32"), rtol=1e-5, atol=1e-6)


@both
def test_a_layer_made_outside_is_built_where_a_lambda_first_calls_it(keras):
    inner = keras.layers.Dense(3, use_bias=False)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda z: inner(z))])
    np.testing.assert_allclose(model.predict(X, verbose=0), X @ np.asarray(inner.kernel), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), X @ np.asarray(inner.kernel), rtol=1e-5, atol=1e-6)


@ours
def test_functions_of_the_host_are_not_taken_for_each_other(keras):
    for factor in (2.0, 3.0):

        def on_host(x, factor=factor):
            multiply = lambda a: np.asarray(a) * np.float32(factor)  # noqa: E731
            return jax.pure_callback(multiply, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

        model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(on_host)])
        np.testing.assert_allclose(model.predict(X, verbose=0), X * factor, rtol=1e-6)


@ours
def test_a_loss_has_the_weights_before_the_step_and_a_metric_those_after_it(keras):
    model = dense(
        keras, 1, loss=lambda y, p: jnp.sum(model.layers[0].bias), metrics=[lambda y, p: jnp.sum(model.layers[0].bias)]
    )
    history = model.fit(X, Y[:, :1], batch_size=64, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["loss"], [0.0, -0.01], atol=1e-7)
    np.testing.assert_allclose(history[model.metrics_names[1]], [-0.01, -0.02], rtol=1e-5)


@ours
def test_a_weight_of_another_model_is_read_anew_at_every_step_with_a_batch_hook(keras):
    teacher = dense(keras)
    model = dense(keras, loss=lambda y, p: jnp.mean((teacher(y) - p) ** 2) * 0 + jnp.sum(teacher.layers[0].bias))
    logged = []

    class Moves(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            teacher.layers[0].bias.assign(np.full(3, batch, "float32"))

        def on_train_batch_end(self, batch, logs=None):
            logged.append(logs["loss"] * (batch + 1))

    model.fit(X, X, batch_size=16, verbose=0, callbacks=[Moves()])
    np.testing.assert_allclose(np.diff(logged, prepend=0), [0, 3, 6, 9], rtol=1e-5)
    teacher.layers[0].bias.assign(np.full(3, 5, "float32"))
    np.testing.assert_allclose(model.evaluate(X, X, verbose=0), 15, rtol=1e-6)


@ours
def test_a_compiled_step_that_assigns_to_a_weight_of_nobody_says_so(keras):
    count = keras.layers.BatchNormalization()
    count.build((None, 4))
    model = dense(keras, loss=lambda y, p: jnp.sum(count.moving_mean.assign_add(jnp.ones(4)).value) + jnp.sum(p))
    with pytest.raises(keras.errors.FixedError, match="moving_mean is assigned to in a compiled step"):
        model.fit(X, Y, verbose=0)


# Masks between layers that call layers.


@both
def test_masks_go_along_when_layers_are_called_by_hand(keras):
    embedding, lstm = keras.layers.Embedding(10, 4, mask_zero=True), keras.layers.LSTM(3)
    padded = np.asarray(lstm(embedding(WORDS)))
    np.testing.assert_allclose(padded[:1], np.asarray(lstm(embedding(WORDS[:1, :2]))), rtol=1e-5)
    np.testing.assert_allclose(padded[1:], np.asarray(lstm(embedding(WORDS[1:, :3]))), rtol=1e-5)


@both
def test_masks_go_along_within_a_layer_of_ones_own(keras):
    class Reader(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.embedding, self.lstm = keras.layers.Embedding(10, 4, mask_zero=True), keras.layers.LSTM(3)

        def build(self, input_shape):
            self.embedding.build(input_shape)
            self.lstm.build((*input_shape, 4))

        def call(self, x):
            return self.lstm(self.embedding(x))

    model = keras.Sequential([keras.Input((None,), dtype="int32"), Reader(), keras.layers.Dense(1)])
    long, short = WORDS[1:], WORDS[1:, :3]
    np.testing.assert_allclose(model.predict(long, verbose=0), model.predict(short, verbose=0), rtol=1e-5)
    model.compile("sgd", "mse")
    before = model.get_weights()
    losses = []
    for words in (long, short):
        model.set_weights(before)
        losses.append(model.fit(words, np.ones((1, 1)), epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@both
def test_the_mask_of_a_whole_stack_goes_along(keras):
    embedding = keras.Sequential([keras.Input((None,)), keras.layers.Embedding(10, 4, mask_zero=True)])
    lstm = keras.layers.LSTM(3)
    padded = np.asarray(lstm(embedding(WORDS)))
    np.testing.assert_allclose(padded[:1], np.asarray(lstm(embedding(WORDS[:1, :2]))), rtol=1e-5)


# What user code reads counts when a model is new or compiled again.


class Settings:
    factor = 1.0


def reads_class_attribute(keras, factor):
    class Scale(keras.layers.Layer):
        def call(self, x):
            return x * Settings.factor

    Settings.factor = factor
    return Scale()


def reads_static_method(keras, factor):
    Settings.factor = factor

    class Scale(keras.layers.Layer):
        @staticmethod
        def factor():
            return Settings.factor

        @property
        def twice(self):
            return 2 * self.factor()

        def call(self, x):
            return x * self.twice / 2

    return Scale()


def reads_held_object(keras, factor):
    Settings.factor = factor
    layer = keras.layers.Lambda(lambda x: x * layer.settings.factor)
    layer.settings = Settings()
    return layer


@both
@pytest.mark.parametrize("make", [reads_class_attribute, reads_static_method, reads_held_object])
def test_a_new_model_reads_the_values_of_now(keras, make):
    for factor in (1.0, 2.0):
        model = keras.Sequential([keras.Input((4,)), make(keras, factor)])
        np.testing.assert_allclose(model.predict(X, verbose=0), X * factor, rtol=1e-6)
        model.compile("sgd", "mse")
        np.testing.assert_allclose(model.evaluate(X, X * 0, verbose=0), np.mean((X * factor) ** 2), rtol=1e-5)


def weighted(y, p):
    return Weighted.alpha * jnp.mean((y - p) ** 2, -1)


class Weighted:
    alpha = 1.0

    def __call__(self, y, p):
        return self.alpha * jnp.mean((y - p) ** 2, -1)

    def method(self, y, p):
        return self(y, p)


@both
@pytest.mark.parametrize("loss", [Weighted(), Weighted().method, weighted])
def test_a_model_compiled_again_reads_the_values_of_now(keras, loss):
    model = dense(keras)
    plain = model.evaluate(X, Y, verbose=0)
    for alpha in (1.0, 3.0):
        Weighted.alpha = alpha
        model.compile("sgd", loss)
        np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), alpha * plain, rtol=1e-5)


@ours
def test_a_change_in_place_between_two_calls_of_one_compiled_model_counts_from_the_next_compile_on(keras):
    Weighted.alpha = 1.0
    model = dense(keras, loss=Weighted())
    plain = model.evaluate(X, Y, verbose=0)
    Weighted.alpha = 3.0
    assert model.evaluate(X, Y, verbose=0) == plain
    model.compile("sgd", Weighted())
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), 3 * plain, rtol=1e-6)


# Metric objects hold the state.


@both
def test_metric_objects_hold_what_was_measured(keras):
    accuracy, labels = keras.metrics.SparseCategoricalAccuracy(), RNG.integers(0, 3, 64)
    model = dense(keras, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=[accuracy])
    seen = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(float(accuracy.result())))
    history = model.fit(X, labels, epochs=2, verbose=0, callbacks=[note]).history
    name = accuracy.name
    np.testing.assert_allclose(seen, history[name], rtol=1e-6)
    measured = model.evaluate(X, labels, verbose=0, return_dict=True)
    np.testing.assert_allclose(float(accuracy.result()), measured[name], rtol=1e-6)
    np.testing.assert_allclose(float(model.metrics[0].result()), measured["loss"], rtol=1e-6)
    logs = model.train_on_batch(X[:7], labels[:7], return_dict=True)
    np.testing.assert_allclose(float(accuracy.result()), logs[name], rtol=1e-6)
    assert float(accuracy.count) == 7
    model.reset_metrics()
    assert float(accuracy.result()) == 0 and float(model.metrics[0].result()) == 0


@both
def test_a_metric_that_measures_two_things_logs_both(keras):
    class Errors(keras.metrics.Metric):
        def __init__(self, name="errors", **kwargs):
            super().__init__(name=name, **kwargs)
            self.largest = self.add_variable((), "zeros", name="largest")
            self.total = self.add_variable((), "zeros", name="total")

        def update_state(self, y_true, y_pred, sample_weight=None):
            error = jnp.abs(y_true - y_pred)
            self.largest.assign(jnp.maximum(self.largest.value, jnp.max(error)))
            self.total.assign(self.total.value + jnp.sum(error))

        def result(self):
            return {"largest": jnp.asarray(self.largest.value), "total": jnp.asarray(self.total.value)}

    model = dense(keras, metrics=[Errors()])
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    error = np.abs(Y - model.predict(X, verbose=0))
    np.testing.assert_allclose([logs["largest"], logs["total"]], [error.max(), error.sum()], rtol=1e-5)
    assert {"largest", "total"} <= model.fit(X, Y, verbose=0).history.keys()


# Steps of the user's own: train_step, test_step, predict_step, compute_loss, compute_metrics.


def stack(keras, kind=None, regularizer="l2", **compiled):
    """A stack with moving averages, a regularizer and the same weights each time, of a subclass of Sequential."""
    layers = keras.layers
    model = (kind or keras.Sequential)(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="relu", kernel_regularizer=regularizer),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) if w.ndim > 1 else np.abs(w) for w in model.get_weights()])
    model.compile(**{"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], **compiled})
    return model


def numbers(model, **told):
    """What training, measuring and predicting give."""
    history = model.fit(X, Y, epochs=2, batch_size=24, shuffle=False, verbose=0, validation_data=(X, Y), **told).history
    values = [history[name] for name in sorted(history)] + model.get_weights()
    return [np.asarray(v) for v in (*values, model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0))]


def close(ones, others, rtol=2e-4):
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-5)


def kerass_form(keras):
    """The class of Keras's guide to custom steps on JAX, as a subclass of Sequential."""

    class Guide(keras.Sequential):
        def loss_and_updates(self, trainable, kept, x, y, weight=None):
            y_pred, kept = self.stateless_call(trainable, kept, x, training=True)
            return self.compute_loss(x, y, y_pred, weight), (y_pred, kept)

        def train_step(self, state, data):
            trainable, kept, optimizer, metrics = state
            x, y, weight = (*data, None)[:3]
            gradient = jax.value_and_grad(self.loss_and_updates, has_aux=True)
            (loss, (y_pred, kept)), grads = gradient(trainable, kept, x, y, weight)
            trainable, optimizer = self.optimizer.stateless_apply(optimizer, grads, trainable)
            logs, after = {}, []
            for metric in self.metrics:
                own = metrics[len(after) : len(after) + len(metric.variables)]
                own = metric.stateless_update_state(own, *((loss,) if metric.name == "loss" else (y, y_pred)))
                logs[metric.name] = metric.stateless_result(own)
                after += own
            return logs, (trainable, kept, optimizer, after)

        def test_step(self, state, data):
            trainable, kept, metrics = state
            y_pred, kept = self.stateless_call(trainable, kept, data[0], training=False)
            loss = self.compute_loss(data[0], data[1], y_pred)
            return {"loss": loss}, (trainable, kept, metrics)

        def predict_step(self, state, data):
            x = data[0] if isinstance(data, tuple) else data
            y_pred, kept = self.stateless_call(*state, x, training=False)
            return 2 * y_pred, kept

    return Guide


def test_kerass_form_of_own_steps_equals_keras():
    # Keras computes a regularizer in such a step from the weights before the first step, without a gradient.
    runs = [numbers(stack(keras, kerass_form(keras), regularizer=None)) for keras in (lamina, real_keras)]
    close(*runs)


@both
def test_own_steps_that_call_the_base_change_nothing(keras):
    class Same(keras.Sequential):
        def train_step(self, state, data):
            return super().train_step(state, data)

        def test_step(self, state, data):
            return super().test_step(state, data)

        def predict_step(self, state, data):
            return super().predict_step(state, data)

    close(numbers(stack(keras, Same)), numbers(stack(keras)))


@ours
def test_own_steps_of_the_data_alone_that_call_the_base_change_nothing(keras):
    class Same(keras.Sequential):
        def train_step(self, data):
            return super().train_step(data)

        def test_step(self, data):
            return super().test_step(data)

        def predict_step(self, data):
            return super().predict_step(data)

    close(numbers(stack(keras, Same)), numbers(stack(keras)))


@ours
def test_a_train_step_of_the_data_alone(keras):
    class Own(keras.Sequential):
        def __init__(self, *given, **told):
            super().__init__(*given, **told)
            self.mean = keras.metrics.Mean(name="norm")

        def train_step(self, data):
            x, y = data
            kept = self.non_trainable_variables

            def objective(params):
                y_pred, after = self.stateless_call(params, [w.value for w in kept], x, training=True)
                return self.compute_loss(x, y, y_pred), (y_pred, after)

            params = [weight.value for weight in self.trainable_variables]
            (loss, (y_pred, after)), grads = jax.value_and_grad(objective, has_aux=True)(params)
            self.optimizer.apply(grads, self.trainable_variables)
            for weight, value in zip(kept, after, strict=True):
                weight.assign(value)
            self.mean.update_state(jnp.sqrt(sum(jnp.sum(g**2) for g in grads)))
            return {**self.compute_metrics(x, y, y_pred), "loss": loss, "norm": self.mean.result()}

    plain, own = stack(keras), stack(keras, Own)
    for model in (plain, own):
        history = model.fit(X, Y, epochs=3, batch_size=64, verbose=0, shuffle=False).history
    close(own.get_weights(), plain.get_weights())
    assert {"loss", "norm", "mae"} <= history.keys() and history["norm"][0] > 0
    np.testing.assert_allclose(float(own.mean.result()), history["norm"][-1], rtol=1e-6)
    logs = own.train_on_batch(X, Y, return_dict=True)
    assert logs["loss"] < history["loss"][0] and logs["norm"] > 0


@both
def test_own_loss_and_own_metrics(keras):
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return 2 * super().compute_loss(x, y, y_pred, sample_weight) + jnp.mean(jnp.abs(x))

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            logs = super().compute_metrics(x, y, y_pred, sample_weight)
            return {**logs, "twice": 2 * logs["mae"]}

    model, plain = stack(keras, Own), stack(keras)
    loss, mae = plain.evaluate(X, Y, verbose=0)
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], 2 * loss + np.abs(X).mean(), rtol=1e-5)
    np.testing.assert_allclose([logs["mae"], logs["twice"]], [mae, 2 * mae], rtol=1e-5)
    history = model.fit(X, Y, epochs=2, verbose=0).history
    np.testing.assert_allclose(history["twice"], 2 * np.array(history["mae"]), rtol=1e-6)
    assert history["loss"][1] < history["loss"][0]


@ours
def test_a_gan_with_two_optimizers_of_its_own(keras):
    class Gan(keras.Sequential):
        def __init__(self, layers, judge, **told):
            super().__init__(layers, **told)
            self.judge = judge

        def compile(self, maker_optimizer, judge_optimizer):
            super().compile()
            self.maker_optimizer, self.judge_optimizer = maker_optimizer, judge_optimizer

        def train_step(self, real):
            noise = jax.random.normal(self.random_key(), real.shape)
            judge = self.judge.trainable_variables
            maker = [w for layer in self.layers for w in layer.trainable_variables]

            def judged(params, x):
                return self.judge.stateless_call(params, [], x)[0]

            def wrong(params):
                fake = jax.nn.softplus(judged(params, self(noise))).mean()
                return fake + jax.nn.softplus(-judged(params, real)).mean()

            loss, grads = jax.value_and_grad(wrong)([w.value for w in judge])
            self.judge_optimizer.apply(grads, judge)

            def found_out(params):
                made, values = noise, iter(params)
                for layer in self.layers:
                    made = layer.stateless_call([next(values) for _ in layer.trainable_variables], [], made)[0]
                return jax.nn.softplus(-judged([w.value for w in judge], made)).mean()

            made, grads = jax.value_and_grad(found_out)([w.value for w in maker])
            self.maker_optimizer.apply(grads, maker)
            return {"judge": loss, "maker": made}

    judge = dense(keras, 8, 1)
    gan = Gan([keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(4)], judge)
    gan.compile(keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01))
    before = [*gan.get_weights(), *judge.get_weights()]
    history = gan.fit(X + 3, epochs=20, batch_size=16, verbose=0).history
    assert all((a != b).any() for a, b in zip(before, [*gan.get_weights(), *judge.get_weights()], strict=True))
    assert int(gan.judge_optimizer.iterations) == int(gan.maker_optimizer.iterations) == 80
    assert len(set(history["judge"])) == 20 and np.isfinite(history["maker"]).all()


@both
def test_call_overridden_in_a_subclass_of_sequential(keras):
    class Doubles(keras.Sequential):
        def call(self, x, training=None):
            return 2 * super().call(x, training=training)

    model, plain = stack(keras, Doubles), stack(keras)
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * plain.predict(X, verbose=0), rtol=1e-5)
    ones, twos = plain.evaluate(X, Y, verbose=0), model.evaluate(X, 2 * Y, verbose=0)
    np.testing.assert_allclose(twos[1], 2 * ones[1], rtol=1e-5)
    assert model.fit(X, Y, epochs=2, verbose=0).history["loss"][1] > 0


@ours
def test_a_train_on_batch_that_trains_nothing_says_so_once(keras):
    judge = dense(keras, 8, 1)
    judge.trainable = False
    with pytest.warns(keras.errors.LaminaWarning, match="no weight of 'sequential' is trainable"):
        judge.train_on_batch(X, Y[:, :1])
    judge.train_on_batch(X, Y[:, :1])  # warnings are errors here


@ours
def test_freezing_and_thawing_keeps_the_moments_of_both(keras):
    model = dense(keras, 4, 2, optimizer="adam")
    targets = Y[:, :2]
    model.train_on_batch(X, targets)
    for frozen in (0, 1, 0, 1):
        for number, layer in enumerate(model.layers):
            layer.trainable = number != frozen
        before = model.get_weights()
        model.train_on_batch(X, targets)
        moved = [np.abs(a - b).max() > 0 for a, b in zip(before, model.get_weights(), strict=True)]
        assert moved == [frozen != 0] * 2 + [frozen != 1] * 2
    assert len(model.optimizer.variables) == 2 + 8 and int(model.optimizer.iterations) == 5


# What a callback assigns holds, and what Ctrl-C leaves.


@ours
@pytest.mark.parametrize("verb", ["fit", "train_on_batch"])
def test_ctrl_c_pressed_twice_during_a_compiled_step_loses_no_weight(keras, verb, monkeypatch):
    model, ready = dense(keras, optimizer="adam"), programs.Program.ready
    model.train_on_batch(X, Y)
    before = model.get_weights()

    def pressed(program):
        def run(*arguments):
            result = ready(program)(*arguments)
            for _ in range(2 if len(arguments) > 1 else 0):  # a program of one argument copies the weights
                signal.raise_signal(signal.SIGINT)
            return result

        return run

    monkeypatch.setattr(programs.Program, "ready", pressed)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, verb)(X, Y)
    monkeypatch.undo()
    after = model.get_weights()
    assert not np.array_equal(before[0], after[0]) and int(model.optimizer.iterations) >= 2
    assert model.train_on_batch(X, Y) > 0


@both
def test_what_a_callback_assigns_before_the_first_batch_holds(keras):
    class Sets(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                self.model.layers[0].kernel.assign(np.zeros((4, 3), "float32"))
                self.model.optimizer.learning_rate = 0.0

    model = dense(keras)
    model.fit(X, Y, verbose=0, callbacks=[Sets()])
    assert not np.asarray(model.layers[0].kernel).any()


@both
def test_what_a_callback_assigns_after_the_last_batch_holds(keras):
    class Clips(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for weight in self.model.weights:
                weight.assign(np.clip(np.asarray(weight), -0.01, 0.01))
            self.model.optimizer.learning_rate = 0.25

    model = dense(keras)
    model.fit(X, Y, verbose=0, callbacks=[Clips()])
    assert max(np.abs(w).max() for w in model.get_weights()) <= 0.01
    assert float(model.optimizer.learning_rate) == 0.25
    model.fit(X, Y, batch_size=64, verbose=0, callbacks=[Clips()])
    assert max(np.abs(w).max() for w in model.get_weights()) <= 0.01


# Pickle, joblib, copies.


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
    yield keras.layers.Dense(1, kernel_initializer=lambda shape, dtype: 0), "Adapted", "function"
    yield keras.losses.LossFunction(loss), "Loss", "fn"
    yield keras.optimizers.Adam(double), "Optimizer", "schedule"
    yield keras.callbacks.LambdaCallback(on_epoch_end=double), "LambdaCallback", "on_epoch_end"
    yield fitted(keras, loss=loss), "compile", "loss"
    yield fitted(keras, metrics=[loss]), "compile", "metrics"


@ours
def test_a_lambda_is_not_pickled_and_the_error_says_where_it_stands(keras):
    for thing, owner, setting in without_a_name(keras):
        with pytest.raises(pickle.PicklingError, match=rf"(?s){setting}.* of {owner}.*test_first_week.py:\d+.*def"):
            pickle.dumps(thing)
        with pytest.raises(pickle.PicklingError, match="test_first_week"):
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


# The arrays that come back, and data whose last axis is missing.


@both
def test_a_missing_last_axis_of_1_is_added_in_every_verb(keras):
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.array([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0], "float32")
    y = 2 * x - 1
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    with says(keras, r"takes \(None, 1\), the data has the shape \(None,\): a last axis of 1 is added"):
        model.fit(x, y, epochs=2, validation_data=(x, y), verbose=0)
    model.fit(x[:, None], y, validation_data=(x, y), verbose=0)
    model.fit(x, y, validation_split=0.5, verbose=0)
    model.fit((batch for batch in batches), steps_per_epoch=2, shuffle=False, verbose=0)
    model.train_on_batch(x, y)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x[:, None], y, verbose=0))
    assert model.evaluate((batch for batch in batches), steps=2, verbose=0) == pytest.approx(model.test_on_batch(x, y))
    whole = model.predict(x[:, None], verbose=0)
    for found in (model.predict(x, verbose=0), model.predict_on_batch(x), model(x), model(x, training=True)):
        np.testing.assert_allclose(found, whole, rtol=1e-6)
    assert model.predict(np.array([10.0]), verbose=0).shape == (1, 1)


@both
def test_gray_images_need_no_channels_axis_and_a_column_may_have_one_too_many(keras):
    layers = keras.layers
    images = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)])
    images.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with says(keras, "a last axis of 1 is added"):
        images.fit(np.ones((4, 8, 8)), np.zeros(4), verbose=0)
    assert images.predict(np.ones((4, 8, 8)), verbose=0).shape == (4, 3)
    pooled = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()])
    with says(keras, "a last axis of 1 is added"):
        pooled.predict(np.ones((4, 8, 8)), verbose=0)
    assert pooled.predict(np.ones((4, 9, 9)), verbose=0).shape == (4, 2)  # it was said before
    table = keras.Sequential([layers.Input((4,)), layers.Dense(2)])
    with says(keras, "a last axis of 1 is dropped"):
        assert table.predict(np.ones((3, 4, 1)), verbose=0).shape == (3, 2)


@both
def test_an_added_axis_belongs_to_the_model_and_not_to_the_compiled_program(keras):
    x = np.zeros((1, 4), "float32")
    wide = keras.Sequential([keras.layers.Input((4,)), keras.layers.Softmax(axis=1)])
    deep = keras.Sequential([keras.layers.Input((4, 1)), keras.layers.Softmax(axis=1)])
    assert wide.predict(x, verbose=0).tolist() == [[0.25] * 4]
    with says(keras, "a last axis of 1 is added"):
        assert deep.predict(x, verbose=0).tolist() == [[[0.25]] * 4]
    inner = keras.Sequential([keras.layers.Input((4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with says(keras, "a last axis of 1 is added"):
        outer = keras.Sequential([keras.layers.Input((4,)), inner])
    assert outer.predict(x, verbose=0).shape == (1, 3)


@ours
def test_one_sample_without_its_batch_axis_is_refused(keras):
    layers = keras.layers
    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Conv2D(2, 3, padding="same"), layers.Flatten()])
    for x in (np.ones((8, 8, 1)), np.ones((8, 8)), np.ones((2, 8, 8, 3)), np.ones((2, 8, 8, 2, 1))):
        with pytest.raises(keras.errors.ShapeError, match=r"takes \(None, 8, 8, 1\), the data has the shape"):
            model.predict(x, verbose=0)
    with pytest.raises(keras.errors.ShapeError, match=r"put a batch axis before it: x\[None\]"):
        model.predict(np.ones((8, 8, 1)), verbose=0)


# Layers.


@both
def test_a_stack_takes_the_sizes_that_each_of_its_layers_takes(keras):
    layers = keras.layers
    images = keras.Sequential([
        layers.Input((16, 16, 3)), layers.Conv2D(2, 3), layers.BatchNormalization(), layers.MaxPooling2D(),
        layers.GlobalAveragePooling2D(), layers.Dense(2),
    ])  # fmt: skip
    images.compile("sgd", "mse")
    larger, y = np.ones((4, 20, 24, 3), "float32"), np.zeros((4, 2))
    images.fit(larger[:, :16, :16], y, validation_data=(larger, y), verbose=0)
    images.fit(larger, y, validation_split=0.5, verbose=0)
    images.evaluate(larger, y, verbose=0)
    assert images.predict(larger, verbose=0).shape == images(larger).shape == (4, 2)
    assert images.input_shape == (None, 16, 16, 3)
    steps = keras.Sequential([layers.Input((10, 3)), layers.LSTM(4, return_sequences=True), layers.Dense(1)])
    steps.compile("sgd", "mse")
    steps.fit(np.ones((2, 12, 3)), np.zeros((2, 12, 1)), verbose=0)
    assert steps.predict(np.ones((2, 12, 3)), verbose=0).shape == (2, 12, 1)
    flat = keras.Sequential([layers.Input((16, 16, 3)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)])
    for model, x in ((flat, larger), (images, larger[..., :2]), (steps, np.ones((2, 12, 4)))):
        with pytest.raises((ValueError, TypeError), match="shape"):
            model.predict(x, verbose=0)


@ours  # in Keras it needs TensorFlow
def test_words_in_a_stack_may_be_more_than_at_first(keras):
    layers, words = keras.layers, np.array([["a", "b", "a", "b"]] * 3)
    model = keras.Sequential([layers.StringLookup(vocabulary=["a", "b"]), layers.Embedding(4, 2), layers.LSTM(3)])
    model.compile("sgd", "mse")
    model.fit(words, np.ones((3, 3)), verbose=0)
    longer = np.concatenate([words, words], 1)
    model.fit(longer, np.ones((3, 3)), validation_data=(words, np.ones((3, 3))), verbose=0)
    assert model.predict(longer, verbose=0).shape == model(longer).shape == (3, 3)
    flat = keras.Sequential([*model.layers[:2], layers.Flatten(), layers.Dense(1)])
    flat.predict(words, verbose=0)
    for wrong in (longer, words[0], words[None]):
        with pytest.raises(keras.errors.ShapeError, match=r"takes \(None, 4\)"):
            flat.predict(wrong, verbose=0)


@ours
def test_targets_are_compared_with_the_output_for_the_data_and_not_for_the_input(keras):
    steps = keras.Sequential([keras.layers.Input((10, 3)), keras.layers.LSTM(4, return_sequences=True)])
    steps.compile("sgd", "mse")
    with pytest.raises(keras.errors.LabelError, match=r"y has shape \(2, 10, 4\), the model gives \(None, 12, 4\)"):
        steps.fit(np.ones((2, 12, 3)), np.zeros((2, 10, 4)), verbose=0)
    with pytest.raises(keras.errors.ShapeError, match="The axes stand the other way round"):
        steps.predict(np.ones((2, 3, 10)), verbose=0)


@both
def test_the_input_keeps_its_batch_size(keras):
    layers = keras.layers
    for first in (layers.Input((8,), batch_size=4), layers.InputLayer(batch_shape=(4, 8))):
        model = keras.Sequential([first, layers.Dense(2)])
        assert (model.input_shape, model.output_shape) == ((4, 8), (4, 2))
        outer = keras.Sequential([model, layers.Dense(1)])
        assert (outer.input_shape, outer.output_shape) == ((4, 8), (4, 1))
    late = keras.Sequential([layers.Dense(2)])
    late.build((4, 8))
    assert late.input_shape == (4, 8)


@ours
def test_batch_input_shape_keeps_its_batch_size(keras):
    layers = keras.layers
    model = keras.Sequential([layers.LSTM(2, stateful=True, batch_input_shape=(4, None, 3)), layers.Dense(1)])
    assert (model.input_shape, model.output_shape) == ((4, None, 3), (4, 1))
    assert model.predict(np.ones((8, 5, 3)), verbose=0).shape == (8, 1)
    layer = layers.Dense(2, batch_input_shape=(4, 8))
    assert repr(layer) == "Dense(2, batch_input_shape=(4, 8))"
    assert "batch_input_shape" not in layer.get_config()


@both
def test_one_number_a_row_is_normalized(keras):
    layers, x = keras.layers, np.arange(10.0)
    normalizer = layers.Normalization(axis=None)
    normalizer.adapt(x)
    wanted = (x[:3] - 4.5) / np.sqrt(8.25)
    np.testing.assert_allclose(normalizer(x[:3]), wanted, rtol=1e-5)
    np.testing.assert_allclose(normalizer(x[None, :3]), wanted[None], rtol=1e-5)
    model = keras.Sequential([layers.Input((1,)), normalizer, layers.Dense(1, kernel_initializer="ones")])
    with says(keras, "a last axis of 1 is added"):
        np.testing.assert_allclose(model.predict(x[:3], verbose=0), wanted[:, None], rtol=1e-5)
    model.compile("sgd", "mse")
    model.fit(x, 2 * x, validation_split=0.2, verbose=0)


@both
def test_layers_without_a_weight_have_none_in_its_place(keras):
    layers = keras.layers
    for layer, shape in (
        (layers.Dense(2, use_bias=False), (2, 3)), (layers.Conv1D(2, 2, use_bias=False), (2, 4, 3)),
        (layers.Conv2D(2, 2, use_bias=False), (2, 4, 4, 3)), (layers.DepthwiseConv2D(2, use_bias=False), (2, 4, 4, 3)),
        (layers.SeparableConv1D(2, 2, use_bias=False), (2, 4, 3)),
        (layers.Conv2DTranspose(2, 2, use_bias=False), (2, 4, 4, 3)),
        (layers.EinsumDense("ab,bc->ac", output_shape=2), (2, 3)),
    ):  # fmt: skip
        with pytest.raises(AttributeError):
            layer.bias  # noqa: B018
        layer(np.ones(shape))
        assert layer.bias is None
    for cell in (layers.LSTM(2, use_bias=False).cell, layers.GRU(2, use_bias=False).cell):
        cell.build((None, 3))
        assert cell.bias is None
    for layer in (layers.BatchNormalization, layers.LayerNormalization):
        shifted, stretched = layer(scale=False), layer(center=False)
        shifted(np.ones((2, 3)))
        stretched(np.ones((2, 3)))
        assert shifted.gamma is None is stretched.beta


@both
def test_normalizations_take_single_samples_and_other_ranks(keras):
    layers, x = keras.layers, np.array([[1.0, 2.0, 6.0], [0.0, 3.0, 3.0]])
    for layer in (layers.LayerNormalization(), layers.RMSNormalization(), layers.UnitNormalization()):
        rows = np.asarray(layer(x))
        np.testing.assert_allclose(layer(x[0]), rows[0], atol=1e-6)
        np.testing.assert_allclose(layer(x[None]), rows[None], atol=1e-6)
    for layer in (layers.LayerNormalization(), layers.RMSNormalization(), layers.BatchNormalization()):
        assert layer(x[0]).shape == (3,)
    normalizer = layers.Normalization()
    normalizer.adapt(x)
    np.testing.assert_allclose(normalizer(x[None])[0], normalizer(x), atol=1e-6)


@both
def test_softmax_takes_the_masks_that_can_be_broadcast(keras):
    softmax, x = keras.layers.Softmax(), np.zeros((2, 2, 3))
    kept = np.array([[1, 1, 0], [0, 0, 0]])
    wanted = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])[:, None].repeat(2, 1)
    for mask in (kept[:, None] == 1, kept[:, None], kept[:, None] * 0.6, (kept[:, None] == 1).repeat(2, 1)):
        np.testing.assert_allclose(softmax(x, mask=mask), wanted, atol=1e-6)
    for shape in ((2, 2), (1, 2, 2, 3)):
        with pytest.raises(ValueError, match="mask"):
            softmax(x, mask=np.ones(shape, bool))


@both
def test_a_stack_that_is_called_augments_images_as_its_layers_do_by_themselves(keras):
    layers, x = keras.layers, np.random.default_rng(0).random((4, 8, 8, 3), "float32")
    augment = keras.Sequential([layers.RandomRotation(0.5), layers.Dropout(0.9)])
    model = keras.Sequential([layers.Input((8, 8, 3)), augment, layers.Flatten()])
    flat = x.reshape(4, -1)
    for y, plain in ((augment(x), x), (model(x), flat)):
        assert not np.allclose(y, plain)
        assert np.mean(np.asarray(y) == 0) < 0.5  # Dropout does nothing without training=True
    assert not np.allclose(augment(x), augment(x))
    for y in (augment(x, training=False), augment.predict(x, verbose=0)):
        np.testing.assert_allclose(y, x)
    for y in (model(x, training=False), model.predict(x, verbose=0)):
        np.testing.assert_allclose(y, flat)


@both
def test_image_layers_and_mel_spectrogram_take_one_sample_by_themselves(keras):
    layers, image = keras.layers, np.random.default_rng(0).random((8, 10, 3), "float32") * 255
    for layer in (
        layers.Resizing(4, 4), layers.CenterCrop(4, 4), layers.RandomFlip(), layers.RandomContrast(0.5),
        layers.AutoContrast(), layers.Solarization(), layers.Resizing(4, 4, data_format="channels_first"),
        keras.Sequential([layers.Resizing(4, 4), layers.Rescaling(1 / 255)]),
        layers.Pipeline([layers.RandomFlip(), layers.Resizing(4, 4)]),
    ):  # fmt: skip
        one = np.asarray(layer(image, training=False))
        if keras is lamina:  # Keras's own layers keep the rank that they were first called with
            np.testing.assert_allclose(one, layer(image[None], training=False)[0], atol=1e-3)
        assert one.ndim == 3
    assert layers.RandomCrop(4, 4)(image, training=True).shape == (4, 4, 3)
    signal = np.sin(np.arange(4096) / 9).astype("float32")
    assert layers.MelSpectrogram()(signal).shape == (128, 9)


@ours  # in Keras some of them compute with the integers, and others fail
def test_layers_that_compute_make_floats_of_integers(keras):
    layers, x = keras.layers, np.arange(48).reshape(2, 4, 6).astype("uint8")
    for layer in (
        layers.BatchNormalization(), layers.LayerNormalization(), layers.GroupNormalization(2), layers.Dense(2),
        layers.Conv1D(2, 2), layers.LSTM(2), layers.GlobalAveragePooling1D(), layers.AveragePooling1D(2),
        layers.AdaptiveAveragePooling1D(2),
    ):  # fmt: skip
        found = layer(x)
        assert str(found.dtype) == "float32"
        np.testing.assert_allclose(found, layer(x.astype("float32")), atol=1e-5)
    for layer in (layers.Flatten(), layers.Permute((2, 1)), layers.ReLU(), layers.MaxPooling1D(2), layers.Dropout(0.5)):
        assert str(layer(x).dtype) == "uint8"
    assert layers.Activation("relu")(-1.0) == 0


@ours
def test_gray_images_of_a_stack_are_not_taken_for_one_image(keras):
    layers = keras.layers
    model = keras.Sequential([layers.Input((8, 8, 1)), layers.Resizing(4, 4)])
    with says(keras, "a last axis of 1 is added"):
        assert model(np.ones((3, 8, 8))).shape == (3, 4, 4, 1)
    assert model(np.ones((8, 8, 1))).shape == (4, 4, 1)
    with pytest.raises(keras.errors.ShapeError, match="wants 4 dimensions"):
        keras.Sequential([layers.Input((8, 8)), layers.Resizing(4, 4)])


# Optimizers by hand, schedules, a loss that is not finite.


@both
def test_a_schedule_of_ones_own_class_needs_no_init_of_its_own(keras):
    base = keras.optimizers.schedules.LearningRateSchedule

    class Halving(base):
        start: float = 0.1

        def __call__(self, step):
            return self.start * 0.5 ** (step / 4)

    class Warm(base):
        def __init__(self, peak=0.1, inner=None):
            super().__init__()
            self.peak, self.inner = peak, inner

        def __call__(self, step):
            return self.peak * (step + 1) / 10 if self.inner is None else self.inner(step) / 2

    for schedule, rate in ((Halving(), 0.05), (Warm(), 0.05), (Warm(inner=Halving()), 0.025)):
        model = dense(keras, optimizer=keras.optimizers.SGD(schedule))
        model.fit(X, Y, batch_size=16, verbose=0)  # four steps
        assert float(model.optimizer.learning_rate) == pytest.approx(rate)
        assert repr(model.optimizer)
    number = dense(keras, optimizer=keras.optimizers.SGD(0.5))
    number.fit(X, Y, batch_size=16, verbose=0)
    number.optimizer.learning_rate = Halving()
    number.fit(X, Y, batch_size=16, verbose=0)
    assert float(number.optimizer.learning_rate) == pytest.approx(0.025)  # after eight steps


@both
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_steps_by_hand_and_fit_go_together(keras, kind):
    def step(model, optimizer, how):
        variables = model.trainable_variables
        loss = lambda values: jnp.mean((model.stateless_call(values, [], X)[0] - Y) ** 2)  # noqa: E731
        grads = jax.grad(loss)([variable.value for variable in variables])
        if how == "pairs":
            optimizer.apply_gradients(zip(grads, variables, strict=True))
        else:
            optimizer.apply(grads, variables)

    def trained(*moves):
        keras.utils.set_random_seed(0)
        optimizer = getattr(keras.optimizers, kind)(0.1)
        model = dense(keras, optimizer=optimizer)
        for move in moves:
            if move == "fit":
                model.fit(X, Y, batch_size=64, verbose=0)
            else:
                step(model, optimizer, move)
        assert int(optimizer.iterations) == len(moves)
        return model.get_weights()

    wanted = trained("fit", "fit", "fit")
    for moves in (("pairs", "list", "fit"), ("fit", "pairs", "list"), ("list", "fit", "pairs")):
        for found, weight in zip(trained(*moves), wanted, strict=True):
            np.testing.assert_allclose(found, weight, atol=1e-5)


@ours  # Keras does the same, but on JAX its callback sometimes reads a loss whose buffer is given to the next step
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_terminate_on_nan_also_deals_with_data_that_are_not_finite(keras, bad):
    y, stop = Y.copy(), keras.callbacks.TerminateOnNaN
    y[40] = bad
    history = dense(keras).fit(X, y, batch_size=16, epochs=3, shuffle=False, verbose=0, callbacks=stop())
    assert history.epoch == [0]
    assert not np.isfinite(history.history["loss"][0])
    batches = ((X[:16], Y[:16]), (X[16:32], np.full((16, 3), bad)))
    history = dense(keras).fit(
        (each for each in batches), steps_per_epoch=2, shuffle=False, verbose=0, callbacks=stop()
    )
    assert not np.isfinite(history.history["loss"][0])
    history = dense(keras).fit(X, Y, validation_data=(X, y), epochs=2, verbose=0, callbacks=stop())
    assert np.isfinite(history.history["loss"]).all() and not np.isfinite(history.history["val_loss"]).any()


@ours
def test_labels_of_yes_and_no_that_are_not_finite_reach_terminate_on_nan(keras):
    y = np.arange(64) % 2.0
    y[40] = np.nan
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    history = model.fit(X, y, epochs=3, verbose=0, callbacks=keras.callbacks.TerminateOnNaN())
    assert history.epoch == [0]


@ours
def test_without_such_a_callback_data_that_are_not_finite_are_refused(keras):
    y = Y.copy()
    y[40] = np.inf
    for callbacks in (None, [keras.callbacks.EarlyStopping("loss")]):
        with pytest.raises(keras.errors.LabelError, match=r"y\[40, 0\] is inf"):
            dense(keras).fit(X, y, verbose=0, callbacks=callbacks)
    numbers = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    numbers.compile("sgd", "sparse_categorical_crossentropy")
    for bad in (np.inf, np.nan):  # Keras takes NaN for class 0
        with pytest.raises(keras.errors.LabelError, match="class labels are whole numbers"):
            numbers.fit(X, np.where(np.arange(64) == 40, bad, 0.0), callbacks=keras.callbacks.TerminateOnNaN())


def not_finite(keras, **compiled):
    """A model whose first step makes its weights so large that the second loss is infinite."""
    return dense(keras, optimizer=keras.optimizers.SGD(1e30), **compiled)


@both
def test_training_goes_on_with_a_loss_that_is_not_finite(keras):
    lamina.config.set_non_finite("warn")
    model = not_finite(keras)
    with pytest.warns(lamina.errors.LaminaWarning) if keras is lamina else contextlib.nullcontext() as seen:
        history = model.fit(X, Y, epochs=3, batch_size=16, verbose=0).history
    assert len(history["loss"]) == 3 and not np.isfinite(history["loss"]).any()
    assert np.isnan(model.get_weights()[0]).all()
    assert model.optimizer.iterations == 12
    if keras is lamina:
        [said] = seen
        assert re.match(r"the loss became (inf|nan) in epoch 1, at step 2; training goes on\.$", str(said.message))
        assert said.filename == __file__


@both
def test_train_on_batch_goes_on_with_a_loss_that_is_not_finite(keras):
    lamina.config.set_non_finite("warn")
    model = not_finite(keras)
    with pytest.warns(lamina.errors.LaminaWarning) if keras is lamina else contextlib.nullcontext():
        losses = [model.train_on_batch(X, Y) for _ in range(4)]
    assert np.isfinite(losses[0]) and not np.isfinite(losses[1:]).any()
    assert np.isnan(model.get_weights()[0]).all()


@both
def test_terminate_on_nan_ends_training_without_an_error(keras, capsys):
    model = not_finite(keras)
    stop = keras.callbacks.TerminateOnNaN()
    history = model.fit(X, Y, epochs=3, batch_size=16, verbose=0, callbacks=[stop]).history
    assert len(history["loss"]) == 1 and not np.isfinite(history["loss"]).any()
    assert "Batch 1: " in capsys.readouterr().out
    assert model.optimizer.iterations == (1 if keras is lamina else 2)  # ours undoes the second step


@ours
def test_stop_ends_training_with_the_weights_from_before(keras):
    for config in ("stop", "warn", "raise"):  # another setting is read when the next fit begins
        keras.config.set_non_finite(config)
        model, kept = not_finite(keras), []
        hear = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: lamina.config.set_non_finite("raise"))
        if config == "raise":
            with pytest.raises(keras.errors.NonFiniteError, match=r"in epoch 1, at step 2\."):
                model.fit(X, Y, batch_size=16, verbose=0, callbacks=[hear])
        else:
            with pytest.warns(keras.errors.LaminaWarning, match="epoch 1, at step 2; training"):
                kept = model.fit(X, Y, epochs=2, batch_size=16, verbose=0, callbacks=[hear]).epoch
        assert kept == {"stop": [0], "warn": [0, 1], "raise": []}[config]
        assert np.isfinite(model.get_weights()[0]).all() == (config != "warn")
    keras.config.set_non_finite("stop")
    model = not_finite(keras)
    model.train_on_batch(X, Y)
    before = model.get_weights()
    with pytest.warns(keras.errors.LaminaWarning, match=r"in train_on_batch; training stops \(model.stop_training\)"):
        model.train_on_batch(X, Y)
    assert model.stop_training and all(map(np.array_equal, before, model.get_weights()))


@ours
def test_a_callback_that_deals_with_such_a_loss_may_go_on(keras):
    class Recover(keras.callbacks.Callback):
        handles_nan = True

        def on_train_begin(self, logs=None):
            self.start, self.ends = self.model.get_weights(), []

        def on_epoch_end(self, epoch, logs=None):
            self.ends.append(np.isfinite(logs["loss"]))
            if not self.ends[-1]:
                self.model.set_weights(self.start)
                self.model.optimizer.learning_rate = 0.01
                self.model.stop_training = False

    model, recover = not_finite(keras), Recover()
    model.fit(X, Y, epochs=3, batch_size=16, verbose=0, callbacks=[recover])
    assert recover.ends == [False, True, True]


@both
def test_where_such_a_loss_is_only_said_so_are_data_that_are_not_finite(keras):
    lamina.config.set_non_finite("warn")
    x, model = X.copy(), dense(keras)
    x[3, 2] = np.nan
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        history = model.fit(x, Y, epochs=2, shuffle=False, verbose=0)
        loss = model.evaluate(x, Y, verbose=0)
        model.fit(((x[:9], Y[:9]) for _ in range(4)), steps_per_epoch=2, epochs=2, verbose=0)
    assert np.isnan([*history.history["loss"], loss]).all()
    words = [str(each.message)[:12] for each in shown if each.category is lamina.errors.LaminaWarning]
    data, loss = "x[3, 2] is N", "the loss bec"
    assert words == ([data, loss, data, data, loss] if keras is lamina else [])


@ours
def test_set_non_finite_takes_three_words(keras):
    assert keras.config.non_finite() == "raise"
    with pytest.raises(
        ValueError, match=r"set_non_finite\(does='wran'\).*'raise', 'warn', 'stop'.*Did you mean 'warn'"
    ):
        keras.config.set_non_finite("wran")
    assert keras.config.non_finite() == "raise"


@ours
def test_lr_is_learning_rate_and_says_so(keras):
    model = dense(keras, optimizer=keras.optimizers.Adam(0.5))
    with pytest.warns(keras.errors.LaminaWarning, match="^lr is Keras 2's name of learning_rate, which it sets.$"):
        model.optimizer.lr = 0.25
    assert model.optimizer.learning_rate == model.optimizer.lr == 0.25
    with pytest.raises(TypeError, match=r"Adam has no argument 'lr'\. Type learning_rate="):
        keras.optimizers.Adam(lr=0.5)


# Processes and files on disk.


def run_file(folder, text, *arguments, options=("-W", "error"), **environment):
    """Run a program as a user does, from a file; its standard output."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(text))
    done = subprocess.run(
        [sys.executable, *options, str(path), *arguments], capture_output=True, text=True, timeout=240, cwd=folder,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


START = """
    import multiprocessing
    import numpy as np
    import lamina as keras

    X, Y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")

    def train(units):
        model = keras.Sequential([keras.layers.Dense(units), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(X, Y, verbose=0)
        return model.predict(X, verbose=0).shape
"""


@pytest.mark.parametrize("way", ["fork", "spawn", pytest.param("forkserver", marks=pytest.mark.nightly)])
@ours
def test_models_are_trained_in_the_processes_of_a_pool(keras, tmp_path, way):
    text = f"""{START}
    if __name__ == "__main__":
        with multiprocessing.get_context("{way}").Pool(2) as pool:
            print(pool.map(train, [3, 4, 5]))
    """
    assert run_file(tmp_path, text, LAMINA_CACHE=str(tmp_path / "cache")) == "[(8, 1), (8, 1), (8, 1)]\n"


@ours
def test_an_import_starts_no_thread_touches_no_file_and_leaves_jax_alone(keras, tmp_path):
    text = """
    import threading
    import lamina
    from jax._src.xla_bridge import backends_are_initialized
    lamina.Sequential([lamina.layers.Dense(3)])
    lamina.optimizers.Adam(0.1), lamina.losses.MeanSquaredError()
    print(threading.active_count(), backends_are_initialized())
    """
    assert run_file(tmp_path, text, LAMINA_CACHE=str(tmp_path / "cache")) == "1 False\n"
    assert not (tmp_path / "cache").exists()


@ours
def test_a_fork_of_a_process_that_has_used_jax_says_so_in_every_verb(keras, tmp_path):
    text = f"""{START}
    import os, signal, sys, warnings
    warnings.simplefilter("ignore")  # JAX's own, at the fork
    import jax.numpy as jnp

    layer, norm, adam = keras.layers.Dense(2), keras.layers.Normalization(), keras.optimizers.Adam()
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    layer(X), model(X), model.fit(X, Y, verbose=0), model.evaluate(X, Y, verbose=0), model.predict(X, verbose=0)
    verbs = [
        lambda: train(3),
        lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]),
        lambda: model.fit(X, Y, verbose=0),
        lambda: model.evaluate(X, Y, verbose=0),
        lambda: model.predict(X, verbose=0),
        lambda: model.predict(X[:3], verbose=0),
        lambda: model.predict_on_batch(X),
        lambda: model.train_on_batch(X, Y),
        lambda: model.test_on_batch(X, Y),
        lambda: model(X),
        lambda: model(X, training=True),
        lambda: layer(X),
        lambda: keras.layers.Dense(1)(X),
        lambda: keras.layers.Dense(1).build((None, 4)),
        lambda: model.set_weights([0 * array for array in model.get_weights()]),
        lambda: norm.adapt(X),
        lambda: adam.apply(model.get_weights(), model.trainable_weights),
        lambda: keras.losses.MeanSquaredError()(Y, Y),
        lambda: model.metrics[0](Y, Y),
        lambda: keras.activations.relu(X),
        lambda: keras.initializers.HeNormal()((3, 3)),
        lambda: jnp.ones(3) + 1,
    ]

    def refused(verb):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        signal.alarm(60)  # a hang ends here
        try:
            verb()
        except keras.errors.ProcessError as error:
            os._exit(7 if "multiprocessing.get_context('spawn')" in str(error) else 8)
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
        os._exit(9)

    print([refused(verb) for verb in verbs])
    print(refused(lambda: (model.get_weights(), keras.utils.pad_sequences([[1]]), os._exit(5))))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map(keras.Sequential.count_params, [model]))
        try:
            pool.map(model.predict, [X])
        except keras.errors.ProcessError as error:
            print(error)
    model.fit(X, Y, verbose=0)
    """
    refusals, rest, weights, *error = run_file(tmp_path, text, options=()).splitlines()
    assert refusals == str([7] * 22)
    assert (rest, weights) == ("5", "[5]")
    assert "which was forked from one where JAX had run already" in error[0]


USE = """
    import sys
    import jax
    import numpy as np
    import lamina as keras

    misses = []
    listen = lambda event, **kwargs: misses.append(event) if event.endswith("/cache_misses") else None
    jax.monitoring.register_event_listener(listen)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4)), np.ones((8, 1))
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    model.predict(x[:2], verbose=0)
    print(len(misses))
"""


@ours
def test_a_damaged_program_on_disk_is_compiled_once_and_written_anew(keras, tmp_path):
    folder = tmp_path / "cache"
    run = functools.partial(run_file, tmp_path, USE, LAMINA_CACHE=str(folder))
    first = int(run())
    assert first > 3 and run() == "0\n"
    files = sorted(folder.glob("*/*"))
    assert len(files) == first
    for place, file in enumerate(files):
        whole = file.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        file.write_bytes([whole[:middle], b"", flipped, whole[:-1]][place % 4])
    assert int(run()) == first and run() == "0\n"
    assert sorted(folder.glob("*/*")) == files


@ours
def test_a_folder_that_cannot_be_written_is_one_line(keras, tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("file", "file/below"):
        text = f"""
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            {USE.replace("    ", "            ").strip()}
        print(*[warning.message for warning in caught])
        """
        misses, said = run_file(tmp_path, text, LAMINA_CACHE=str(tmp_path / folder)).splitlines()
        assert int(misses) > 3
        assert said.startswith("compiled programs are not kept for the next run") and "LAMINA_CACHE" in said


@ours
def test_a_folder_that_was_set_through_jax_stays_and_a_user_without_a_home_has_none(keras, tmp_path):
    text = """
    import pathlib
    import jax
    {0}
    import lamina
    {1}
    lamina.layers.Dense(3).build((None, 2))
    print(jax.config.jax_compilation_cache_dir)
    """
    set_by_user = f"jax.config.update('jax_compilation_cache_dir', {str(tmp_path / 'own')!r})"
    for lines in ((set_by_user, ""), ("", set_by_user)):
        said = run_file(tmp_path, text.format(*lines), LAMINA_CACHE=str(tmp_path / "ours"))
        assert said == f"{tmp_path / 'own'}\n" and not (tmp_path / "ours").exists()
    homeless = "def no_home(): raise RuntimeError\n    pathlib.Path.home = no_home"
    assert run_file(tmp_path, text.format(homeless, ""), LAMINA_CACHE="", XDG_CACHE_HOME="") == "None\n"


@ours
def test_threads_and_processes_that_write_at_once_leave_whole_programs(keras, tmp_path):
    text = """
    import pathlib, sys, threading
    from lamina._programs.cache import Entries

    entries, seen = Entries(pathlib.Path(sys.argv[1])), []

    def work(thread):
        for turn in range(50):
            key = f"key{turn % 5}"
            entries.put(key, key.encode() * 20_000)
            if turn % 7 == thread % 7:  # as if a process had been killed half-way
                entries._file(key).write_bytes(key.encode() * 10_000)
            seen.append(entries.get(key) in (None, key.encode() * 20_000))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    print(all(seen), len(seen), entries.fails)
    """
    path = tmp_path / "program.py"
    path.write_text(textwrap.dedent(text))
    command = [sys.executable, "-W", "error", str(path), str(tmp_path / "cache")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [each.communicate(timeout=240)[0] for each in started] == ["True 400 False\n"] * 4
    entries = Entries(tmp_path / "cache")
    for number in range(5):
        entries.put(f"key{number}", b"last")
    assert {path.name for path in entries._path.iterdir()} == {f"key{number}-cache" for number in range(5)}
    assert {entries.get(f"key{number}") for number in range(5)} == {b"last"}


# Large data and short batches.


@both
@pytest.mark.parametrize("rows", [1, 5, 300])
def test_the_arrays_that_predict_gives_are_the_users_own(keras, rows):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    x = np.ones((rows, 3), "float32")
    answers = [model.predict(x, verbose=0), model.predict(x, batch_size=4, verbose=0), model.predict_on_batch(x)]
    for y in answers[: None if keras is lamina else 2]:  # Keras's predict_on_batch may be read only
        assert type(y) is np.ndarray and y.flags.owndata and y.flags.writeable and y.flags.c_contiguous
        before = model.get_weights()
        y += 1
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


@ours
def test_predict_fills_no_piece_up_but_the_last(keras, monkeypatch):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    sizes = []
    core = sys.modules["lamina.layers.core"]
    monkeypatch.setattr(core, "matmul", seen_by(core.matmul, sizes))
    x = np.random.default_rng(0).normal(size=(250, 3)).astype("float32")
    model.compile("sgd", "mse", run_eagerly=True)
    sizes.clear()
    y = model.predict(x, batch_size=100, verbose=0)
    assert sizes == [100, 100, 100]
    sizes.clear()
    np.testing.assert_allclose(model.predict(x[:100], verbose=0), y[:100], rtol=1e-6)
    assert sizes == [128]


def seen_by(call, sizes):
    """`call`, which also writes down how many rows it is given."""

    @functools.wraps(call)
    def watched(x, *args, **kwargs):
        sizes.append(x.shape[0])
        return call(x, *args, **kwargs)

    return watched


@ours
def test_predict_takes_so_many_images_at_a_time_as_stay_in_the_cache(keras):
    from lamina._training.predict import CACHED, predictor_for

    def rows_at_once(model, shape):
        return predictor_for(model).rows_at_once(shape)

    inner = keras.Sequential([keras.Input((28, 28, 3)), keras.layers.Conv2D(32, 3), keras.layers.GlobalMaxPooling2D()])
    model = keras.Sequential([keras.Input((28, 28, 3)), inner, keras.layers.Dense(10)])
    rows = rows_at_once(model, (4096, 28, 28, 3))
    assert rows == 64 and rows * 26 * 26 * 32 <= CACHED < 2 * rows * 26 * 26 * 32
    two = [keras.layers.Conv2D(32, 3, activation="relu"), keras.layers.MaxPooling2D(), keras.layers.Conv2D(64, 3)]
    gray = keras.Sequential([keras.Input((28, 28, 1)), *two])  # what the first one gives is no array
    assert rows_at_once(gray, (4096, 28, 28, 1)) == 256 and 256 * 11 * 11 * 64 <= CACHED < 512 * 11 * 11 * 64
    wide = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    assert rows_at_once(wide, (10**6, 8)) == 2048


def growing(rows=(70, 81, 92, 103, 114, 125, 136, 147, 158, 169, 180, 191)):
    """The first rows of one table, more each time; with 8 rows a batch each number leaves another short one."""
    random = np.random.default_rng(0)
    x = random.normal(size=(max(rows), 4)).astype("float32")
    return [(x[:n], x[:n, :1] ** 2) for n in rows]


def regression(keras):
    return dense(keras, 3, 1, metrics=["mae"])


@ours
@pytest.mark.parametrize("again", [False, True], ids=["one model", "new models"])
def test_growing_data_shares_its_programs(keras, again):
    from lamina._programs import programs

    programs.clear()
    model = regression(keras)
    for x, y in growing():
        model = regression(keras) if again else model
        model.fit(x, y, batch_size=8, verbose=0)
        model.evaluate(x, y, batch_size=8, verbose=0)
    kinds = [full[0][0] for full, *_ in programs._compiled]
    assert sorted(kinds) == ["test", "test", "train", "train"]  # whole batches, and the short one that is filled up


@both
def test_a_short_batch_that_is_filled_up_counts_as_it_is(keras):
    lamina.utils.set_random_seed(0)
    model, oracle = regression(keras), regression(real_keras)
    oracle.set_weights(model.get_weights())
    for x, y in growing()[::4]:
        weight = np.linspace(0.5, 2, len(x)).astype("float32")
        for weights in (None, weight):
            told = {"batch_size": 8, "sample_weight": weights, "verbose": 0}
            mine, its = (m.fit(x, y, shuffle=False, epochs=2, **told).history for m in (model, oracle))
            assert list(mine) == list(its)
            for name, values in its.items():
                np.testing.assert_allclose(mine[name], values, rtol=1e-5)
            np.testing.assert_allclose(model.evaluate(x, y, **told), oracle.evaluate(x, y, **told), rtol=1e-5)
        for a, b in zip(model.get_weights(), oracle.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def normalized(keras, **how):
    layers = [keras.layers.BatchNormalization(), keras.layers.Dense(1, **how)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


@both
@pytest.mark.parametrize("how", [{}, {"activity_regularizer": "l2"}], ids=["batch norm", "activity"])
def test_layers_that_see_the_batch_see_the_short_one(keras, how):
    lamina.utils.set_random_seed(0)
    model, oracle = normalized(keras, **how), normalized(real_keras, **how)
    oracle.set_weights(model.get_weights())
    for x, y in growing()[::5]:
        mine, its = (m.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"] for m in (model, oracle))
        np.testing.assert_allclose(mine, its, rtol=1e-5)
        mine, its = (m.evaluate(x, y, batch_size=8, verbose=0) for m in (model, oracle))
        np.testing.assert_allclose(mine, its, rtol=1e-5)


@ours
def test_a_loss_of_the_users_own_sees_the_short_batch(keras):
    model, rows = regression(keras), []

    def loss(y, y_pred):
        rows.append(y.shape[0])
        return jnp.mean((y - y_pred) ** 2)

    model.compile("sgd", loss)
    model.fit(*growing()[0], batch_size=8, verbose=0)
    assert set(rows) == {8, 6}


def mapped(tmp_path, rows=203, dtype="float64"):
    x = np.random.default_rng(0).normal(size=(rows, 4)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    return x, np.load(tmp_path / "x.npy", mmap_mode="r"), x[:, :1].astype("float32") ** 2


@both
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
@pytest.mark.parametrize("steps", [None, 7])
def test_an_x_in_a_file_trains_as_the_array_in_memory(keras, tmp_path, dtype, steps):
    x, file, y = mapped(tmp_path, dtype=dtype)
    results = []
    for data in (x, file):
        keras.utils.set_random_seed(0)
        model = regression(keras)
        history = model.fit(data, y, epochs=3, batch_size=8, validation_split=0.1, steps_per_epoch=steps, verbose=0)
        answers = [history.history["loss"], history.history["val_loss"], model.evaluate(data, y, verbose=0)]
        results.append([*answers, model.predict(data, verbose=0), model.predict(data, batch_size=50, verbose=0)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@ours
def test_an_x_in_a_file_is_looked_at_as_it_is_read(keras, tmp_path):
    x, _, y = mapped(tmp_path)
    x[150, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    file, model = np.load(tmp_path / "x.npy", mmap_mode="r"), regression(keras)
    for verb in (model.fit, model.evaluate):
        with pytest.raises(keras.errors.DataError, match=r"x\[150, 2\] is NaN; 1 of 203 rows that were read with it"):
            verb(file, y, verbose=0)
    y[7] = np.nan
    with pytest.raises(keras.errors.LabelError, match=r"y\[7, 0\] is NaN"):
        model.fit(file, y, verbose=0)
    words = keras.Sequential([keras.Input((4,)), keras.layers.Embedding(10, 2), keras.layers.GlobalMaxPooling1D()])
    words.compile("sgd", "mse")
    np.save(tmp_path / "words.npy", np.where(np.arange(203)[:, None] == 33, 10, np.full((203, 4), 3)))
    file = np.load(tmp_path / "words.npy", mmap_mode="r")
    for verb in (lambda: words.fit(file, np.ones((203, 2)), verbose=0), lambda: words.predict(file, verbose=0)):
        with pytest.raises(keras.errors.DataError, match="row 33 of x holds 10"):
            verb()


READ = r"""
import numpy as np, re, sys, threading
import {package} as keras
x = np.lib.format.open_memmap(sys.argv[1], "r")
model = keras.Sequential([keras.Input((800,)), keras.layers.Dense(8), keras.layers.Dense(1)])
model.compile("sgd", "mse")
y = np.zeros(len(x), "float32")

def held():
    return int(re.findall(r"RssAnon:\s+(\d+)", open("/proc/self/status").read())[0]) / 1024

def verbs():
    model.fit(x, y, batch_size=512, verbose=0)
    model.fit(x, y, batch_size=512, steps_per_epoch=20, verbose=0)
    model.evaluate(x, y, batch_size=512, verbose=0)
    model.predict(x, batch_size=512, verbose=0)

small, x, y = (x, y), x[:1024], y[:1024]
verbs()  # compiles
(x, y), before, seen, done = small, held(), [], threading.Event()
watch = threading.Thread(target=lambda: [seen.append(held()) for _ in iter(lambda: done.wait(0.005), True)])
watch.start()
verbs()
done.set()
watch.join()
print(max(seen) - before)
"""


@ours
def test_an_x_in_a_file_stays_there(keras, tmp_path):
    path = tmp_path / "x.npy"
    file = np.lib.format.open_memmap(path, "w+", "float32", (40_000, 800))  # 122 MiB
    for start in range(0, len(file), 4_000):
        file[start : start + 4_000] = np.random.default_rng(start).normal(size=(4_000, 800)) * 0.01
    file.flush()
    program = READ.replace("{package}", keras.__name__)
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, timeout=300)
    assert float(run.stdout.split()[-1]) < 90  # MiB; most of what is added is the compiler's


def mixing(keras, kind):
    """A layer whose output for a row depends on the other rows, and the same in NumPy."""
    if kind == "layer":

        class Centred(keras.layers.Layer):
            def call(self, x):
                return x - keras.ops.mean(x, axis=0, keepdims=True)

        return Centred(), lambda x: x - x.mean(axis=0)
    if kind == "activation":
        return keras.layers.Dense(2, activation=lambda x: x / (1 + abs(x).sum(axis=0))), None
    if kind == "axis":
        return keras.layers.Softmax(axis=0), lambda x: np.exp(x) / np.exp(x).sum(axis=0)
    if kind == "statistics":

        class Normalized(keras.layers.Layer):
            def build(self, shape):
                self.inner = keras.layers.BatchNormalization()
                self.inner.build(shape)

            def call(self, x):
                return self.inner(x, training=True)

        return Normalized(), lambda x: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)
    return keras.layers.Lambda(lambda x: x + jnp.mean(x, axis=0)), lambda x: x + x.mean(axis=0)


@both
@pytest.mark.parametrize("kind", ["layer", "activation", "axis", "statistics", "lambda"])
def test_predict_keeps_the_batches_of_a_layer_that_looks_across_rows(keras, kind):
    layer, formula = mixing(keras, kind)
    model = keras.Sequential([keras.layers.Input((2,)), layer])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    if formula is None:
        kernel = model.get_weights()[0]
        formula = lambda x: x @ kernel / (1 + abs(x @ kernel).sum(axis=0))  # noqa: E731

    def of_batches(size):
        return np.concatenate([formula(x[start : start + size]) for start in range(0, 40, size)])

    for size in (16, 64):
        np.testing.assert_allclose(model.predict(x, batch_size=size, verbose=0), of_batches(size), 1e-4, 1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), of_batches(32), 1e-4, 1e-5)
    np.testing.assert_allclose(model.predict_on_batch(x), of_batches(40), 1e-4, 1e-5)
    batches = [x[:24], x[24:]]
    want = np.concatenate([formula(each) for each in batches])
    np.testing.assert_allclose(model.predict(((each,) for each in batches), steps=2, verbose=0), want, 1e-4, 1e-5)
    loss = np.mean([np.mean(np.square(formula(each))) * len(each) for each in (x[:32], x[32:])]) * 2 / 40
    np.testing.assert_allclose(model.evaluate(x, np.zeros_like(x), verbose=0), loss, 1e-4)


@both
def test_predict_keeps_the_batches_of_a_step_of_ones_own(keras):
    class Centred(keras.Sequential):
        def predict_step(self, state, data):
            x = data[0] if isinstance(data, (tuple, list)) else data
            y, others = self.stateless_call(state[0], state[1], x, training=False)
            return y - y.mean(axis=0), others

    model = Centred([keras.layers.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    x = np.arange(80, dtype="float32").reshape(40, 2)
    y = x.sum(axis=1, keepdims=True)
    want = np.concatenate([y[:32] - y[:32].mean(), y[32:] - y[32:].mean()])
    np.testing.assert_allclose(model.predict(x, verbose=0), want, 1e-5)


# Weights of classes and of samples.


def three_classes(keras, **compiled):
    told = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "weighted_metrics": ["accuracy"], **compiled}
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(**told)
    return model


@both
def test_class_weight_counts_in_training_and_not_in_the_rows_that_are_held_out(keras):
    labels, weights = np.arange(64) % 3, {0: 1.0, 1: 5.0, 2: 20.0}
    model = three_classes(keras)
    model.build((None, 4))
    before, held = model.get_weights(), (X[48:], labels[48:])
    runs = []
    for told in ({"validation_split": 0.25}, {"validation_data": held}):
        model.set_weights(before)
        x, y = (X, labels) if "validation_split" in told else (X[:48], labels[:48])
        runs.append(model.fit(x, y, shuffle=False, class_weight=weights, verbose=0, **told).history)
    assert list(runs[0]) == list(runs[1])
    np.testing.assert_allclose(list(runs[0].values()), list(runs[1].values()), rtol=1e-5)
    held_out = [runs[0]["val_loss"][0], runs[0]["val_accuracy"][0]]
    np.testing.assert_allclose(model.evaluate(*held, verbose=0), held_out, rtol=1e-5)


@both
@pytest.mark.parametrize("size", [16, 9], ids=["full batches", "a short last batch"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_sample_weights_may_stand_in_a_column(keras, one_hot, size):
    labels, weights = np.arange(64) % 3, np.linspace(0, 2, 64)
    labels = np.eye(3)[labels] if one_hot else labels
    model = three_classes(keras, loss="categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy")
    model.build((None, 4))
    before, runs = model.get_weights(), []
    for each in (weights, weights[:, None]):
        model.set_weights(before)
        history = model.fit(X, labels, size, shuffle=False, sample_weight=each, verbose=0).history
        measured = model.evaluate(X, labels, size, sample_weight=each, verbose=0)
        runs.append([*np.ravel(list(history.values())), *measured])
    np.testing.assert_allclose(*runs, rtol=1e-5)


# Random numbers outside of training.


def noisy_dropout(keras):
    class Always(keras.layers.Dropout):
        def call(self, x, training=None):
            return super().call(x, training=True)

    return Always(0.5)


def noisy_layer(keras):
    class Noise(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(1)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    return Noise()


@both
@pytest.mark.parametrize("make", [noisy_dropout, noisy_layer])
def test_what_draws_in_inference_draws_anew_in_each_call_and_batch(keras, make):
    model = keras.Sequential([keras.Input((4,)), make(keras)])
    model.compile("sgd", "mse")
    x = np.ones((32, 4), "float32")
    drawn = [model.predict(x, verbose=0), model.predict(x, verbose=0), model(x), model(x), model.predict_on_batch(x)]
    drawn += np.split(model.predict(np.tile(x, (2, 1)), batch_size=32, verbose=0), 2)
    for number, one in enumerate(drawn):
        assert not any(np.array_equal(one, other) for other in drawn[:number])
    assert np.std(np.mean(drawn, axis=(1, 2))) > 0


@ours
def test_a_test_draws_anew_in_each_batch(keras):
    seen = []

    class Seen(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    model = keras.Sequential([keras.Input((4,)), noisy_dropout(keras)])
    model.compile("sgd", "mse")
    x, y = np.ones((64, 4), "float32"), np.zeros((64, 4), "float32")
    model.evaluate(x, y, batch_size=32, verbose=0, callbacks=[Seen()])
    assert seen[0] != seen[1]  # the mean of both, else the same
    seen.clear()
    model.evaluate(((x[:32], y[:32]) for _ in range(2)), verbose=0, callbacks=[Seen()])
    assert seen[0] != seen[1]


# A model, or a layer, that holds a metric.


def holding(keras, **methods):
    class Holding(keras.Sequential):
        def __init__(self, *layers):
            super().__init__(*layers)
            self.tracked = keras.metrics.Mean(name="tracked")

    model = type("Own", (Holding,), methods)([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


@both
def test_a_model_may_hold_a_metric(keras):
    model = holding(keras)
    model.fit(X, Y, verbose=0)
    assert model.predict(X, verbose=0).shape == (64, 3) and model(X).shape == (64, 3)
    assert len(model.evaluate(X, Y, verbose=0)) >= 2 and len(model.train_on_batch(X, Y)) >= 2


@both
@pytest.mark.parametrize("where", ["compute_loss", "compute_metrics"])
def test_a_metric_that_the_model_holds_is_updated_and_logged(keras, where):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = keras.ops.mean((y - y_pred) ** 2)
        self.tracked.update_state(loss * 2)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.tracked.update_state(keras.ops.mean((y - y_pred) ** 2) * 2)
        return keras.Sequential.compute_metrics(self, x, y, y_pred, sample_weight)

    model = holding(keras, **{where: locals()[where]})
    history = model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["tracked"], 2 * np.array(history["loss"]), rtol=1e-5)
    assert "tracked" in [metric.name for metric in model.metrics]
    measured = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert measured["tracked"] == pytest.approx(2 * measured["loss"], rel=1e-5)


@ours
def test_a_metric_that_a_layer_would_update_is_named(keras):
    class Counting(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seen = keras.metrics.Mean(name="seen")

        def call(self, x):
            self.seen.update_state(x)
            return x

    model = keras.Sequential([keras.Input((4,)), Counting(), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    for run in (lambda: model.fit(X, Y, verbose=0), lambda: model.predict(X, verbose=0)):
        with pytest.raises(lamina.errors.StackError, match=r"'seen/.*no weight of a layer"):
            run()


# Losses of calls outside of a step.


@both
def test_losses_of_calls_by_hand(keras):
    class Adding(keras.layers.Layer):
        def call(self, x):
            self.add_loss(0.5 * keras.ops.mean(x))
            return x

    regularized = {"kernel_initializer": "ones", "kernel_regularizer": keras.regularizers.L2(0.1)}
    first = keras.layers.Dense(2, activity_regularizer=keras.regularizers.L1(0.1), **regularized)
    model = keras.Sequential([keras.Input((3,)), first, Adding()])
    x = np.full((5, 3), 0.5, "float32")
    expected = [0.3, 0.6, 0.75]
    model(x)
    np.testing.assert_allclose(sorted(map(float, model.losses)), expected, rtol=1e-5)
    model(x, training=True)
    np.testing.assert_allclose(sorted(map(float, model.losses)), expected, rtol=1e-5)
    trained, kept = (
        [weight.value for weight in each] for each in (model.trainable_variables, model.non_trainable_variables)
    )
    for training in (False, True):
        *_, losses = model.stateless_call(trained, kept, x, training=training, return_losses=True)
        np.testing.assert_allclose(sorted(map(float, losses)), expected, rtol=1e-5)
    alone = Adding()
    alone(x)
    np.testing.assert_allclose(alone.losses, [0.25])


@both
@pytest.mark.parametrize("rows", [5, 8, 3])
def test_the_activity_of_a_call_by_hand_is_that_of_its_own_rows(keras, rows):
    told = {"bias_initializer": "ones", "activity_regularizer": keras.regularizers.L1(0.1)}
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer="ones", **told)])
    model.predict(np.ones((rows, 3), "float32"), verbose=0)
    model(np.ones((rows, 3), "float32"))
    np.testing.assert_allclose(model.losses, [0.8], rtol=1e-6)


@both
@pytest.mark.parametrize("mode", ["multi_hot", "count"])
def test_one_category_by_itself_is_a_vector(keras, mode):
    np.testing.assert_array_equal(np.ravel(keras.layers.CategoryEncoding(4, output_mode=mode)(2)), [0, 0, 1, 0])


# Weights beside outputs whose last axis is 1; validation that is told only its steps.


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # of real Keras
@both
@pytest.mark.parametrize(("shape", "size"), [((6, 6, 1), 6), ((6, 1), 6), ((5, 1), 6), ((8, 8, 1), 6)])
def test_counts_of_a_short_last_batch_whose_targets_end_in_an_axis_of_1(keras, shape, size):
    x = np.random.default_rng(0).random((16, *shape)).astype("float32")
    y = (x > 0.5).astype("float32")
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(1, activation="sigmoid")])
    model.set_weights([np.ones((1, 1)), -0.7 * np.ones(1)])
    counted = [keras.metrics.TruePositives(), keras.metrics.FalseNegatives(), keras.metrics.BinaryIoU(name="iou")]
    model.compile("sgd", "binary_crossentropy", metrics=[*counted, keras.metrics.AUC(name="auc")])
    _, true, missed, iou, auc = model.evaluate(x, y, batch_size=size, verbose=0)
    right, wrong = int((x > 0.7).sum()), int(((x > 0.5) & (x <= 0.7)).sum())
    assert (true, missed) == (right, wrong)
    assert iou == pytest.approx(np.mean([right / (right + wrong), (y == 0).sum() / ((y == 0).sum() + wrong)]), rel=1e-5)
    assert auc > 0.999


@both
def test_weights_of_each_step_beside_outputs_whose_last_axis_is_1(keras):
    y = (np.arange(64 * 4).reshape(64, 4, 1) % 3 == 0).astype("float32")
    weights = np.linspace(0, 1, 64 * 4).reshape(64, 4)
    model = keras.Sequential(
        [keras.Input((4, 1)), keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")]
    )
    model.compile("sgd", "mse", weighted_metrics=[keras.metrics.TruePositives()])
    _, true = model.evaluate(X[..., None], y, sample_weight=weights, batch_size=64, verbose=0)
    assert true == pytest.approx((y[..., 0] * weights).sum(), rel=1e-5)


@both
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"validation_steps": 1}, 34.5),
        ({"validation_steps": 2}, 34.5),
        ({"validation_steps": 1, "steps_per_epoch": 7}, 34.5),
    ],
)
def test_a_validation_that_is_told_its_steps_sees_all_rows(keras, told, expected):
    x, y = np.zeros((70, 1)), np.arange(70.0)[:, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    assert model.fit(x, y, validation_data=(x, y), verbose=0, **told).history["val_loss"] == [pytest.approx(expected)]
    assert model.predict(x, steps=2, verbose=0).shape == (70, 1)


@both
def test_a_validation_split_that_is_told_its_steps_sees_all_rows(keras):
    x, y = np.zeros((70, 1)), np.arange(70.0)[::-1, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    with contextlib.suppress(AssertionError) if keras is real_keras else says(keras, "y is sorted"):
        history = model.fit(x, y, validation_split=0.5, validation_steps=1, verbose=0).history
    assert history["val_loss"] == [pytest.approx(17.0)]


@both
def test_a_callback_of_predict_sees_batches_of_32(keras):
    seen = []
    callback = keras.callbacks.LambdaCallback()
    callback.on_predict_batch_end = lambda batch, logs=None: seen.append(len(logs["outputs"]))
    dense(keras).predict(np.ones((70, 4)), verbose=0, callbacks=[callback])
    assert seen == [32, 32, 6]


@both
def test_the_mask_counts_in_the_metrics_in_which_it_does_in_keras(keras):
    x = np.random.default_rng(0).integers(1, 9, (40, 7))
    x[:30, 2:] = 0
    y = np.eye(3)[x % 3]
    layers = [keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((7,)), *layers])
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    measures = [
        keras.metrics.CategoricalAccuracy(name="right"),
        keras.metrics.RootMeanSquaredError(name="rmse"),
        keras.metrics.TruePositives(name="true"),
    ]
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy", metrics=measures)
    logs = model.fit(x, y, verbose=0, validation_data=(x, y)).history
    p = model.predict(x, verbose=0)
    right, there = p.argmax(-1) == x % 3, x > 0
    assert logs["val_right"] == [pytest.approx(right[there].mean())]
    for name, expected in {
        "rmse": np.sqrt(((p - y) ** 2).mean()),
        "true": (p * y > 0.5).sum(),
    }.items():
        np.testing.assert_allclose([*logs[name], *logs[f"val_{name}"]], expected, rtol=1e-5)


@both
def test_a_focal_loss_takes_a_factor_for_each_class(keras):
    y, p = np.eye(4, dtype="float32")[[0, 2]], np.array([[0.4, 0.2, 0.2, 0.2], [0.1, 0.2, 0.3, 0.4]], "float32")
    loss = keras.losses.CategoricalFocalCrossentropy(alpha=[0.1, 0.2, 0.3, 0.4], gamma=1.0)
    expected = np.mean([-0.1 * 0.6 * np.log(0.4), -0.3 * 0.7 * np.log(0.3)])
    assert float(loss(y, p)) == pytest.approx(expected, rel=1e-5)
    if keras is lamina:
        again = type(loss).from_config(loss.get_config())
        assert float(again(y, p)) == pytest.approx(expected, rel=1e-5)
        with pytest.raises(lamina.errors.ArgumentError, match="alpha"):
            keras.losses.CategoricalFocalCrossentropy(alpha=["a"])


WHOLE = {
    "kept": (lambda keras: [keras.layers.Reshape((2, 1)), keras.layers.Flatten()], lambda x: x),
    "own": (lambda keras: [keras.layers.Flatten(), keras.layers.Lambda(lambda x: x // 2)], lambda x: x // 2),
    "bits": (
        lambda keras: [keras.layers.Reshape((2,)), keras.layers.Lambda(lambda x: keras.ops.bitwise_and(x, 1))],
        lambda x: x & 1,
    ),
    "pooled": (
        lambda keras: [keras.layers.Reshape((2, 1)), keras.layers.MaxPooling1D(2), keras.layers.Flatten()],
        lambda x: x.max(1, keepdims=True),
    ),
}


@both
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize(("dtype", "kind"), [*itertools.product(["int32", "uint8", "int64"], WHOLE), ("bool", "kept")])
def test_an_input_of_whole_numbers_stays_one(keras, dtype, kind):
    layers, expected = WHOLE[kind]
    x = np.array([[0, 1], [1, 1]]) if dtype == "bool" else np.array([[1, 5], [16_777_217 if "32" in dtype else 7, 9]])
    model = keras.Sequential([keras.Input((2,), dtype=dtype), *layers(keras)])
    x = x.astype(dtype)
    for y in (model.predict(x, verbose=0), np.asarray(model(x)), model.predict_on_batch(x)):
        assert y.dtype == ("int32" if dtype == "int64" else dtype)
        np.testing.assert_array_equal(y, expected(x))


@both
def test_stacks_that_differ_in_the_dtype_of_their_input_share_no_program(keras):
    for dtype in ("uint8", "int32", None, "uint8"):
        model = keras.Sequential([keras.Input((2,), dtype=dtype), keras.layers.Reshape((2, 1))])
        assert model.predict(np.array([[1, 2]], "uint8"), verbose=0).dtype == (dtype or "float32")


@ours  # Keras's Masking fails there
def test_layers_take_an_input_of_whole_numbers(keras):
    x, histories = np.random.default_rng(1).integers(0, 9, (12, 6, 2)), []
    for dtype in ("int32", "float32"):
        layers = [keras.layers.Masking(), keras.layers.Conv1D(3, 2, activation="relu"), keras.layers.Flatten()]
        model = keras.Sequential([keras.Input((6, 2), dtype=dtype), *layers, keras.layers.Dense(1)])
        rng = np.random.default_rng(2)
        model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
        model.compile(keras.optimizers.SGD(1e-4), "mse")
        history = model.fit(x, np.zeros((12, 1)), epochs=2, shuffle=False, verbose=0).history
        histories.append(history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)


def aligned(shape, value=1.0):
    """Memory that JAX takes as it is, which other arrays have by chance."""
    size = int(np.prod(shape)) * 4
    memory = np.zeros(size + 64, "uint8")
    start = -memory.ctypes.data % 64
    array = memory[start : start + size].view("float32").reshape(shape)
    array[:] = value
    return array


@ours  # Keras shares the memory of some
@pytest.mark.parametrize("way", ["constant", "function", "variable"])
def test_initial_values_are_not_those_of_an_array_that_changes_later(keras, way):
    given = aligned((64, 64))
    initializer = keras.initializers.Constant(given) if way == "constant" else lambda shape, dtype=None: given
    layer = keras.layers.Dense(64, use_bias=False, kernel_initializer=initializer)
    layer.build((None, 64))
    kernel = keras.Variable(given) if way == "variable" else layer.kernel
    given[:] = 5
    assert float(np.asarray(kernel.value)[0, 0]) == 1.0


@ours
@pytest.mark.parametrize("way", ["set_weights", "assign", "weights"])
def test_weights_that_are_set_are_not_those_of_an_array_that_changes_later(keras, way):
    given = aligned((64, 64))
    layer = keras.layers.Embedding(64, 64, weights=[given] if way == "weights" else None)
    layer.build()
    if way == "set_weights":
        layer.set_weights([given])
    elif way == "assign":
        layer.embeddings.assign(given)
    given[:] = 5
    assert layer.get_weights()[0].max() == 1.0


@both
def test_numbers_of_a_layer_are_not_those_of_an_array_that_changes_later(keras):
    mean, scale = np.ones(3, "float32"), np.ones(3, "float32")
    layer, x = keras.layers.Normalization(mean=mean, variance=np.ones(3)), np.full((2, 3), 2.0, "float32")
    layer(x)
    mean[:] = 7
    np.testing.assert_allclose(layer(x), 1.0, rtol=1e-6)
    if keras is lamina:
        layer = keras.layers.Rescaling(scale)
        scale[:] = 7
        np.testing.assert_allclose(layer(x), 2.0)


@both
def test_variables_stand_layer_by_layer(keras):
    layers = [keras.layers.Dropout(0.1), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
    names = [variable.name for variable in model.non_trainable_variables]
    assert names == ["seed_generator_state", "moving_mean", "moving_variance", "seed_generator_state"]
    everything = [variable.name for variable in model.variables]
    seed, *others = everything
    assert seed == names[0] and others == ["gamma", "beta", *names[1:], "kernel", "bias"]
    model.layers[1].trainable = False
    names = [variable.name for variable in model.non_trainable_variables]
    assert names == ["seed_generator_state", "gamma", "beta", "moving_mean", "moving_variance", "seed_generator_state"]


@both
def test_softmax_over_all_axes(keras):
    x = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    expected = np.exp(x) / np.exp(x).sum()
    for softmax in (keras.ops.softmax, keras.activations.softmax):
        np.testing.assert_allclose(softmax(x, axis=None), expected, rtol=1e-5)
    np.testing.assert_allclose(keras.ops.log_softmax(x, axis=None), np.log(expected), rtol=1e-5)


@both
def test_numbers_in_the_other_byte_order(keras):
    x = np.arange(12.0).reshape(3, 4).astype(">f4")
    layer = keras.layers.Dense(2, kernel_initializer="ones")
    np.testing.assert_allclose(layer(x), x.sum(1, keepdims=True) * np.ones(2), rtol=1e-6)
    np.testing.assert_array_equal(keras.layers.Flatten()(x.reshape(3, 2, 2)), x)


@both
def test_one_hot_of_one_number_is_a_row(keras):
    encoded = keras.layers.CategoryEncoding(4, output_mode="one_hot")(2)
    np.testing.assert_array_equal(encoded, [[0, 0, 1, 0]])
    encoded = keras.layers.Discretization([0.0, 1.0], output_mode="one_hot")(np.float32(0.5))
    np.testing.assert_array_equal(encoded, [[0, 1, 0]])


@both
def test_images_of_whole_numbers_are_scaled_up_rounded(keras):
    x = np.arange(12, dtype="uint8").reshape(1, 2, 2, 3) * 20
    y = np.asarray(keras.layers.UpSampling2D(2, interpolation="bilinear")(x))
    exact = keras.layers.UpSampling2D(2, interpolation="bilinear")(x.astype("float32"))
    assert y.dtype == "uint8"
    np.testing.assert_array_equal(y, np.round(exact))


@ours
def test_sparsemax_of_whole_numbers_without_a_sign(keras):
    np.testing.assert_allclose(keras.ops.sparsemax(np.array([1, 3], "uint32")), [0, 1])


@both
def test_configs_name_the_quantization(keras):
    for layer in (keras.layers.Embedding(3, 2), keras.layers.EinsumDense("ab,bc->ac", 3), keras.layers.Dense(1)):
        assert layer.get_config()["quantization_config"] is None
        assert type(layer).from_config(layer.get_config()).get_config()["quantization_config"] is None


@ours
def test_a_log_with_another_separator_is_not_gone_on_with(keras, tmp_path):
    name = str(tmp_path / "log.csv")
    dense(keras).fit(X, Y, verbose=0, callbacks=[keras.callbacks.CSVLogger(name, separator=";")])
    before = Path(name).read_text()
    model = dense(keras)
    weights = model.get_weights()
    with pytest.raises(lamina.errors.ArgumentError, match="'epoch;loss;val_loss'"):
        model.fit(X, Y, verbose=0, callbacks=[keras.callbacks.CSVLogger(name, append=True)])
    assert Path(name).read_text() == before
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@both
def test_an_input_says_the_shape_with_the_batch_axis(keras):
    assert keras.Input((3, 4)).shape == (None, 3, 4)
    assert keras.Input(batch_shape=(2, 3)).shape == (2, 3)


def refilled(keras, columns):
    """Batches in one pair of arrays that is filled again for each."""

    class Refilled(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.x, self.y = np.empty((4, columns), "float32"), np.zeros((4, 1), "float32")

        def __len__(self):
            return 6

        def __getitem__(self, index):
            self.x[:] = index / columns
            return self.x, self.y

    return Refilled()


@pytest.mark.parametrize(("keras", "columns"), [(lamina, 1), (lamina, 4096), (real_keras, 1)])
def test_a_batch_may_stand_in_the_arrays_of_the_one_before(keras, columns):
    model = keras.Sequential([keras.Input((columns,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    history = model.fit(
        refilled(keras, columns), validation_data=refilled(keras, columns), shuffle=False, verbose=0
    ).history
    np.testing.assert_allclose([*history["loss"], *history["val_loss"]], 2.5, rtol=1e-5)
    assert model.evaluate(refilled(keras, columns), verbose=0) == pytest.approx(2.5, rel=1e-5)
    np.testing.assert_allclose(model.predict(refilled(keras, columns), verbose=0)[::4, 0], range(6), rtol=1e-5)


@ours  # Keras trains on the second batch twice
def test_a_generator_may_fill_its_arrays_again(keras):
    def batches(kind=np.asarray):
        x = np.empty((4, 1), "float32")
        for number in range(6):
            x[:] = number
            yield kind(x), kind(x * 0)

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    assert model.evaluate(batches(), verbose=0) == pytest.approx(2.5)
    assert model.evaluate(batches(memoryview), verbose=0) == pytest.approx(2.5)
    np.testing.assert_array_equal(model.predict(batches(), verbose=0)[::4, 0], range(6))
