"""What a user's function reads of weights and settings, while it trains and when it is compiled again."""

import jax
import jax.numpy as jnp
import keras as real_keras
import numpy as np
import pytest
from small_models import X, Y, both, dense, ours

import lamina


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
