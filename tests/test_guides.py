"""The programs of Keras's guides, written anew, give the same numbers under both libraries from the same weights."""

import jax
import keras
import numpy as np
import pytest

import lamina

RNG = np.random.default_rng(3)
X = RNG.normal(size=(48, 6)).astype("float32")
Y = (X[:, :1] + X[:, 1:2] ** 2).astype("float32")
WORDS = RNG.integers(0, 9, size=(40, 7))
WORDS[:, 4:] *= RNG.integers(0, 2, size=(40, 1))  # some end with padding


def both(program):
    """What the program returns under this library and under Keras, which begins with the weights of this one."""
    ours, kept = program(lamina, None)
    theirs, _ = program(keras, kept)
    return ours, theirs


def begins_with(model, weights):
    """The weights that the model has now; those given, if there are any."""
    if weights is not None:
        model.set_weights(weights)
    return model.get_weights()


def close(ours, theirs, tolerance=2e-5):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_customizing_what_happens_in_fit():
    """The guide for JAX: a train_step of lists of arrays, which computes its own loss and updates the metrics."""

    def program(library, weights):
        class Custom(library.Sequential):
            def loss_of(self, trainable, fixed, x, y):
                y_pred, fixed = self.stateless_call(trainable, fixed, x, training=True)
                return self.compute_loss(x, y, y_pred), (y_pred, fixed)

            def train_step(self, state, data):
                trainable, fixed, moments, measured = state
                x, y = data
                compute = jax.value_and_grad(self.loss_of, has_aux=True)
                (loss, (y_pred, fixed)), grads = compute(trainable, fixed, x, y)
                trainable, moments = self.optimizer.stateless_apply(moments, grads, trainable)
                after, logs = [], {}
                for metric in self.metrics:
                    held = measured[len(after) : len(after) + len(metric.variables)]
                    told = (loss,) if metric.name == "loss" else (y, y_pred)
                    held = metric.stateless_update_state(held, *told)
                    logs[metric.name] = metric.stateless_result(held)
                    after += held
                return logs, (trainable, fixed, moments, after)

        layers = library.layers
        model = Custom([layers.Input((6,)), layers.Dense(5, "tanh"), layers.BatchNormalization(), layers.Dense(1)])
        kept = begins_with(model, weights)
        model.compile("adam", "mse", metrics=["mae"])
        history = model.fit(X, Y, epochs=3, batch_size=16, shuffle=False, verbose=0).history
        return [*model.get_weights(), history["loss"], history["mae"]], kept

    close(*both(program))


def test_writing_your_own_callbacks():
    """One that stops at the least loss with its weights, and one that sets the learning rate by a table."""

    def program(library, weights):
        class AtMinimum(library.callbacks.Callback):
            def on_train_begin(self, logs=None):
                self.best, self.kept, self.waited = np.inf, None, 0

            def on_epoch_end(self, epoch, logs=None):
                if logs["loss"] < self.best:
                    self.best, self.kept, self.waited = logs["loss"], self.model.get_weights(), 0
                else:
                    self.waited += 1
                    if self.waited >= 2:
                        self.model.stop_training = True
                        self.model.set_weights(self.kept)

        class Table(library.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                rate = {2: 0.2, 4: 1.5}.get(epoch, float(self.model.optimizer.learning_rate))
                self.model.optimizer.learning_rate = rate

        layers = library.layers
        model = library.Sequential([layers.Input((6,)), layers.Dense(4, "tanh"), layers.Dense(1)])
        kept = begins_with(model, weights)
        model.compile(library.optimizers.SGD(0.05), "mse")
        watch = AtMinimum()
        history = model.fit(X, Y, epochs=30, shuffle=False, verbose=0, callbacks=[watch, Table()])
        assert len(history.epoch) < 30
        return [*model.get_weights(), history.history["loss"], [watch.best]], kept

    close(*both(program), 1e-4)


def test_masking_and_padding():
    """A layer that makes a mask, one that hands it on, and one that reads it in its call."""

    def program(library, weights):
        class Words(library.layers.Layer):
            def build(self, shape):
                self.table = self.add_weight(shape=(9, 4), initializer="random_normal", name="table")

            def call(self, x):
                return self.table[x.astype("int32")]

            def compute_mask(self, x, mask=None):
                return x != 0

        class Activation(library.layers.Layer):
            def __init__(self):
                super().__init__()
                self.supports_masking = True

            def call(self, x):
                return jax.nn.relu(x)

        class OverTime(library.layers.Layer):
            def call(self, x, mask=None):
                scores = jax.numpy.exp(x) * jax.numpy.expand_dims(mask, -1).astype("float32")
                return scores / scores.sum(axis=1, keepdims=True)

            def compute_mask(self, x, mask=None):
                return mask

        layers = library.layers
        stack = [
            layers.Input((7,)),
            Words(),
            Activation(),
            layers.Dense(3),
            OverTime(),
            layers.LSTM(2),
            layers.Dense(1),
        ]
        model = library.Sequential(stack)
        kept = begins_with(model, weights)
        model.compile("sgd", "mse")
        before = np.asarray(model.predict(WORDS.astype("float32"), verbose=0))
        model.fit(WORDS.astype("float32"), WORDS[:, :1] / 9, epochs=2, shuffle=False, verbose=0)
        return [before, *model.get_weights()], kept

    close(*both(program))


def test_transfer_learning_and_fine_tuning():
    """A frozen model as the first layer of a new one; then all of it with a low rate."""

    def program(library, weights):
        layers = library.layers
        base = library.Sequential(
            [layers.Input((6,)), layers.Dense(5, "relu"), layers.BatchNormalization()], name="base"
        )
        model = library.Sequential([layers.Input((6,)), base, layers.Dense(1)])
        kept = begins_with(model, weights)
        base.trainable = False
        assert len(model.trainable_weights) == 2
        model.compile(library.optimizers.Adam(0.01), "mse")
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
        frozen = base.get_weights()
        base.trainable = True
        model.compile(library.optimizers.Adam(1e-4), "mse")
        model.fit(X, Y, epochs=2, shuffle=False, verbose=0)
        assert not np.array_equal(frozen[0], base.get_weights()[0])
        return [*frozen, *model.get_weights(), model.predict(X, verbose=0)], kept

    ours, theirs = both(program)
    close(ours, theirs)


@pytest.mark.parametrize("library", [lamina, keras], ids=["lamina", "keras"])
def test_the_frozen_layers_of_the_guide_stay_as_they_are(library):
    layer = library.layers.BatchNormalization()
    model = library.Sequential([library.layers.Input((6,)), layer, library.layers.Dense(1)])
    layer.trainable = False
    model.compile("sgd", "mse")
    before = layer.get_weights()
    model.fit(X, Y, verbose=0)
    for one, other in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
