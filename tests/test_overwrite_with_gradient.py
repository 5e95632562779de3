"""A weight with `overwrite_with_gradient=True`: its gradient is its new value, in every optimizer as in Keras."""

import jax
import keras
import numpy as np
import pytest

import lamina

BOTH = keras, lamina


class Told:
    """What the tests of `overwrite_with_gradient` do in both libraries: a weight whose gradient says its new value."""

    @staticmethod
    def optimizer(library, kind="SGD", scaled=False, **settings):
        made = getattr(library.optimizers, kind)(**settings)
        return library.optimizers.LossScaleOptimizer(made, initial_scale=4.0) if scaled else made

    @staticmethod
    def weights(library, number=2):
        made = [library.Variable(np.array([1.0, 2.0], "float32"), name=f"w{each}") for each in range(number)]
        made[0].overwrite_with_gradient = True
        return made


SETTINGS = [
    {"learning_rate": 0.5}, {"learning_rate": 0.5, "loss_scale_factor": 8.0}, {"learning_rate": 0.5, "clipnorm": 0.1},
    {"learning_rate": 0.5, "global_clipnorm": 0.1}, {"learning_rate": 0.5, "weight_decay": 0.1},
    {"learning_rate": 0.5, "gradient_accumulation_steps": 2}, {"kind": "Adam", "learning_rate": 0.5},
    {"learning_rate": 0.5, "scaled": True},
]  # fmt: skip


@pytest.mark.parametrize("stateless", [False, True])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_weight_that_is_overwritten_gets_its_gradient(settings, stateless):
    grads = [np.array(each, "float32") for each in ([[3, 4], [1, 1]], [[2, 9], [2, 2]], [[-5, 1], [1, 1]])]
    after = []
    for library in BOTH:
        optimizer, weights = Told.optimizer(library, **settings), Told.weights(library)
        optimizer.build(weights)
        values, state = [w.value for w in weights], [v.value for v in optimizer.variables]
        seen = []
        for pair in grads:
            given = list(map(library.ops.convert_to_tensor, pair))
            if stateless or library is keras:  # LossScaleOptimizer.apply of Keras fails on JAX
                values, state = optimizer.stateless_apply(state, given, values)
            else:
                optimizer.apply(given, weights)
                values = [w.value for w in weights]
            seen.append(np.array(values))
        after.append(np.array(seen))
    np.testing.assert_allclose(*after, rtol=1e-5, atol=1e-6)


def test_a_weight_may_be_overwritten_from_the_next_step_on():
    (weight, other), optimizer = Told.weights(lamina), lamina.optimizers.SGD(0.5)
    weight.overwrite_with_gradient = False
    for flagged, expected in ((False, [0.5, 1.5]), (True, [1.0, 1.0]), (False, [0.5, 0.5])):
        weight.overwrite_with_gradient = flagged
        optimizer.apply([np.ones(2), np.ones(2)], [weight, other])
        np.testing.assert_allclose(weight.numpy(), expected)


def test_one_that_is_overwritten_alone_is_no_problem_for_clipping():
    (weight,), optimizer = Told.weights(lamina, 1), lamina.optimizers.SGD(0.5, global_clipnorm=0.1)
    optimizer.apply([np.array([7.0, 8.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [7, 8])


def test_with_averages_it_keeps_its_own_value():
    weights, optimizer = Told.weights(lamina), lamina.optimizers.SGD(0.5, use_ema=True, ema_overwrite_frequency=2)
    for value in (7.0, 8.0):
        optimizer.apply([np.full(2, value)] * 2, weights)
    optimizer.finalize_variable_values(weights)
    np.testing.assert_allclose(weights[0].numpy(), [8, 8])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_fit_overwrites_a_layers_weight_with_its_gradient(settings, tmp_path):
    """The layer holds the largest number of its latest input, as one that computes in 8 bits does."""

    @jax.custom_vjp
    def noted(x, largest):
        return x

    noted.defvjp(lambda x, largest: (x, x), lambda x, dy: (dy, jax.numpy.max(jax.numpy.abs(x)).reshape(1)))
    x = np.array([[1.0, -3], [2, 0.5], [0.25, 0.5], [7, 1]], "float32")
    seen = []
    for library in BOTH:

        class Noted(library.layers.Layer):
            def build(self, shape):
                self.largest = self.add_weight((1,), "ones", overwrite_with_gradient=True, name="largest")

            def call(self, inputs):
                return noted(inputs, jax.numpy.asarray(self.largest))

        dense = library.layers.Dense(1, kernel_initializer="ones")
        model = library.Sequential([library.Input((2,)), Noted(), dense])
        model.compile(Told.optimizer(library, **settings | {"learning_rate": 0.01}), "mse")
        model.fit(x, np.zeros((4, 1), "float32"), batch_size=1, epochs=1, shuffle=False, verbose=0)
        seen.append(model.get_weights())
    for theirs, ours in zip(*seen, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)
    assert seen[1][0] == 7
