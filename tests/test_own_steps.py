"""Steps of the user's own: train_step, test_step, predict_step, compute_loss, compute_metrics."""

import jax
import jax.numpy as jnp
import keras as real_keras
import numpy as np
import pytest
from small_models import X, Y, both, dense, ours, stack

import lamina


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
