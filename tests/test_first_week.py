"""Small programs of a first week of use, each as a user would type it.

`both` runs a program with our import and with real Keras; `ours` only with our import, where Keras has no such thing
or gives another answer.
"""

import jax
import jax.numpy as jnp
import keras as real_keras
import numpy as np
import pytest

import lamina

both = pytest.mark.parametrize("keras", [lamina, real_keras], ids=["lamina", "keras"])
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
        np.testing.assert_allclose(model.predict(X, verbose=0), X @ np.ones((4, 3), "float32"), rtol=1e-5)
        np.testing.assert_allclose(model.predict_on_batch(X), X @ np.ones((4, 3), "float32"), rtol=1e-5)
    np.testing.assert_allclose(model(X), X @ np.ones((4, 3), "float32"), rtol=1e-5)


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


# Steps of the user's own: train_step, test_step, predict_step, compute_loss, compute_metrics.


# What a callback assigns holds.


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


# The arrays that come back, and data whose last axis is missing.


# Layers.


# Optimizers by hand, schedules, a loss that is not finite.


# Processes and files on disk.


# Large data and short batches.
