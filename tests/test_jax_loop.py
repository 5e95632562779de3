"""A training loop in JAX with the stateless functions of models, optimizers and metrics, under both packages."""

from functools import cache

import jax
import jax.numpy as jnp
import keras as real_keras
import numpy as np
import pytest

import lamina

RNG = np.random.default_rng(3)
X = RNG.normal(size=(64, 12)).astype("float32")
Y = RNG.integers(0, 4, 64)
VALUES = [RNG.normal(0, 0.4, size=shape).astype("float32") for shape in [(12, 8), (8,), (8, 4), (4,)]]
BATCHES = [slice(start, start + 16) for start in range(0, 64, 16)]


def parts(keras):
    model = keras.Sequential([
        keras.Input((12,)), keras.layers.Dense(8, activation="relu"), keras.layers.BatchNormalization(),
        keras.layers.Dense(4, name="predictions"),
    ])  # fmt: skip
    norm = model.layers[1].get_weights()
    model.set_weights([*VALUES[:2], *norm, *VALUES[2:]])
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.05, 3, 0.5), clipnorm=1.0)
    metrics = keras.metrics.SparseCategoricalAccuracy(), keras.metrics.AUC(num_thresholds=20)
    return model, optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics


@cache
def stateless_loop(keras, values=lambda variables: [variable.value for variable in variables]):
    """Two epochs of a compiled step that gets and returns all state, with a metric in it, then an evaluation."""
    model, optimizer, loss_fn, (accuracy, _) = parts(keras)
    optimizer.build(model.trainable_variables)

    def compute_loss_and_updates(trainable_variables, non_trainable_variables, metric_variables, x, y):
        y_pred, non_trainable_variables = model.stateless_call(
            trainable_variables, non_trainable_variables, x, training=True
        )
        loss = loss_fn(y, y_pred)
        metric_variables = accuracy.stateless_update_state(metric_variables, y, y_pred)
        return loss, (non_trainable_variables, metric_variables)

    grad_fn = jax.value_and_grad(compute_loss_and_updates, has_aux=True)

    @jax.jit
    def train_step(state, data):
        trainable_variables, non_trainable_variables, optimizer_variables, metric_variables = state
        x, y = data
        (loss, (non_trainable_variables, metric_variables)), grads = grad_fn(
            trainable_variables, non_trainable_variables, metric_variables, x, y
        )
        trainable_variables, optimizer_variables = optimizer.stateless_apply(
            optimizer_variables, grads, trainable_variables
        )
        return loss, (trainable_variables, non_trainable_variables, optimizer_variables, metric_variables)

    @jax.jit
    def eval_step(state, data):
        trainable_variables, non_trainable_variables, metric_variables = state
        x, y = data
        y_pred, _ = model.stateless_call(trainable_variables, non_trainable_variables, x, training=False)
        return loss_fn(y, y_pred), accuracy.stateless_update_state(metric_variables, y, y_pred)

    state = tuple(
        values(each)
        for each in (model.trainable_variables, model.non_trainable_variables, optimizer.variables, accuracy.variables)
    )
    said = []
    for _ in range(2):
        for batch in BATCHES:
            loss, state = train_step(state, (X[batch], Y[batch]))
            said.append(float(loss))
        *weights, optimizer_variables, metric_variables = state
        said.append(float(accuracy.stateless_result(metric_variables)))
        state = (*weights, optimizer_variables, accuracy.stateless_reset_state())

    trainable_variables, non_trainable_variables, optimizer_variables, metric_variables = state
    for batch in BATCHES:
        loss, metric_variables = eval_step(
            (trainable_variables, non_trainable_variables, metric_variables), (X[batch], Y[batch])
        )
        said.append(float(loss))
    for variables, arrays in [
        (model.trainable_variables, trainable_variables), (model.non_trainable_variables, non_trainable_variables),
        (optimizer.variables, optimizer_variables), (accuracy.variables, metric_variables),
    ]:  # fmt: skip
        for variable, value in zip(variables, arrays, strict=True):
            variable.assign(value)
    said += [float(accuracy.result()), int(optimizer.iterations), float(optimizer.learning_rate)]
    return said, model.get_weights(), model.predict(X, verbose=0)


def loop_on_objects(keras):
    """Gradients by JAX, and state that the objects keep: `optimizer.apply`, `metric.update_state`, `reset_state`."""
    model, optimizer, loss_fn, (accuracy, auc) = parts(keras)

    @jax.jit
    def loss_and_updates(trainable_variables, non_trainable_variables, x, y):
        y_pred, kept = model.stateless_call(trainable_variables, non_trainable_variables, x, training=True)
        return loss_fn(y, y_pred), (y_pred, kept)

    said = []
    for batch in BATCHES[:3]:
        weights = [w.value for w in model.trainable_variables], [w.value for w in model.non_trainable_variables]
        (loss, (y_pred, kept)), grads = jax.value_and_grad(loss_and_updates, has_aux=True)(*weights, X[batch], Y[batch])
        optimizer.apply(grads, model.trainable_variables)
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)
        accuracy.update_state(Y[batch], y_pred)
        auc.update_state(Y[batch] == 1, keras.ops.softmax(y_pred)[:, 1])
        said += [float(loss), float(accuracy.result()), float(auc.result())]
    accuracy.reset_state()
    said.append(float(accuracy.result()))
    outputs = model(X)
    assert isinstance(outputs, jax.Array)
    return said, model.get_weights(), np.asarray(outputs)


@pytest.mark.parametrize("loop", [stateless_loop, loop_on_objects])
def test_a_loop_in_jax_gives_keras_numbers(loop):
    ours, theirs = loop(lamina), loop(real_keras)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=2e-5, atol=1e-6)
    for mine, other in zip((*ours[1], ours[2]), (*theirs[1], theirs[2]), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=2e-5)


def test_a_compiled_step_takes_the_weights_themselves():
    """JAX takes Keras's variables no more; ours are trees of one array."""
    ours = stateless_loop(lamina, values=list)
    np.testing.assert_allclose(ours[0], stateless_loop(lamina)[0], rtol=1e-6)


def test_a_loss_by_itself_gives_an_array():
    for keras in (lamina, real_keras):
        value = jax.jit(keras.losses.MeanSquaredError())(jnp.ones((2, 3)), jnp.zeros((2, 3)))
        assert isinstance(value, jax.Array) and float(value) == 1.0
