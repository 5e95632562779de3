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


class Blurred(lamina.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = lamina.random.SeedGenerator(3)

    def call(self, x):
        return x + lamina.random.normal(x.shape, seed=self.seeds)


RANDOM = {
    "dropout": lambda keras: keras.layers.Dropout(0.5),
    "seeded": lambda keras: keras.layers.Dropout(0.5, seed=3),
    "noise": lambda keras: keras.layers.GaussianNoise(1.0),
    "recurrent": lambda keras: keras.Sequential([keras.layers.Reshape((4, 3)), keras.layers.GRU(5, dropout=0.5)]),
    "generator": lambda keras: Blurred() if keras is lamina else RANDOM["noise"](keras),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("kind", RANDOM)
@pytest.mark.parametrize("keras", [lamina, real_keras], ids=["lamina", "keras"])
def test_each_step_of_a_loop_draws_random_numbers_of_its_own(keras, kind, compiled):
    model = keras.Sequential([keras.Input((12,)), RANDOM[kind](keras)])
    model(X[:2])
    trained, kept = ([each.value for each in v] for v in (model.trainable_variables, model.non_trainable_variables))
    assert len(kept) == 1 and len(model.variables) == len(model.weights) + 1
    assert len(model.get_weights()) == len(model.weights) == len(trained)

    def step(kept):
        return model.stateless_call(trained, kept, X[:2], training=True)

    step = jax.jit(step) if compiled else step
    (first, later), (again, _) = step(kept), step(kept)
    second, _ = step(later)
    np.testing.assert_array_equal(first, again)  # a pure function
    assert np.any(np.asarray(first) != second)
    for variable, value in zip(model.non_trainable_variables, later, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(model.non_trainable_variables[0].value, kept[0] + jnp.array([0, 1], "uint32"))


@pytest.mark.parametrize("keras", [lamina, real_keras], ids=["lamina", "keras"])
def test_a_call_takes_the_variables_in_place_of_their_values(keras):
    model, *_ = parts(keras)
    y, kept = model.stateless_call(model.trainable_variables, model.non_trainable_variables, X)
    np.testing.assert_allclose(y, model(X), rtol=1e-6)
    assert len(kept) == 2


@pytest.mark.parametrize("keras", [lamina, real_keras], ids=["lamina", "keras"])
def test_a_step_of_ones_own_is_given_the_states_of_random_numbers(keras):
    class Stack(keras.Sequential):
        def train_step(self, state, data):
            trained, kept, slots, measured = state
            x, y = data

            def objective(trained):
                y_pred, after = self.stateless_call(trained, kept, x, training=True)
                return jnp.mean((y_pred - y) ** 2), after

            (loss, after), grads = jax.value_and_grad(objective, has_aux=True)(trained)
            trained, slots = self.optimizer.stateless_apply(slots, grads, trained)
            return {"own": loss}, (trained, after, slots, measured)

    model = Stack([keras.Input((12,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0))
    losses = model.fit(X, X[:, :1], batch_size=64, epochs=3, verbose=0).history["own"]
    assert len(set(losses)) == 3  # the weights stay: only what is dropped differs
    assert model.predict(X, verbose=0).shape == (64, 1)
