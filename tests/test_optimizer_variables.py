"""A variable of an optimizer is one object: it stays the same through trainings, and when other layers are trained."""

import copy
import gc
import pickle
import weakref

import jax.numpy as jnp
import keras as real_keras
import numpy as np
import pytest

import lamina
from lamina import Variable, layers, optimizers

X, Y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")


class Momentum(optimizers.Optimizer):
    """One that holds its variables in a dict of its own."""

    def build(self, variables):
        super().build(variables)
        self.moments = {v.path: self.add_variable_from_reference(v, "moment") for v in variables}

    def update_step(self, gradient, variable, learning_rate):
        moment = self.moments[variable.path]
        moment.assign(0.5 * moment + gradient)
        variable.assign_sub(learning_rate * moment)


def stack(optimizer):
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(3, name="first"), layers.Dense(1, name="last")])
    model.compile(optimizer, "mse")
    return model


def test_each_read_gives_the_same_objects():
    adam = optimizers.Adam()
    assert adam.learning_rate is adam.learning_rate and adam.iterations is adam.variables[0]
    rate = adam.learning_rate
    model = stack(adam)
    model.fit(X, Y, verbose=0)
    held = adam.variables
    model.fit(X, Y, verbose=0)
    assert rate is adam.learning_rate and all(a is b for a, b in zip(held, adam.variables, strict=True))
    assert int(held[0]) == 2


@pytest.mark.parametrize("make", [optimizers.Adam, Momentum, lambda: optimizers.LossScaleOptimizer("adam")])
def test_variables_stay_the_same_when_other_layers_are_trained(make):
    model = stack(make())
    model.layers[0].trainable = False
    model.fit(X, Y, verbose=0)
    held = {v.path: v for v in model.optimizer.variables if "last" in v.path}
    before = {path: v.numpy() for path, v in held.items()}
    model.layers[0].trainable = True
    model.fit(X, Y, verbose=0)
    now = {v.path: v for v in model.optimizer.variables}
    assert held and all(now[path] is v and (v.numpy() != before[path]).any() for path, v in held.items())
    assert any("first" in path for path in now)


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_holds_its_own_variables_in_its_attributes(twin_of):
    own, w = Momentum(0.1), Variable(np.ones(2, "float32"), name="w")
    own.apply([jnp.ones(2)], [w])
    twin = twin_of(own)
    assert twin.moments["w"] is twin.variables[2] is not own.variables[2]
    twin.moments["w"].assign([5.0, 5.0])
    assert own.moments["w"].numpy().tolist() == [1.0, 1.0]


def test_an_array_that_begins_a_variable_stays_readable():
    start = jnp.full((2, 3), 0.5)

    class Own(Momentum):
        def build(self, variables):
            super().build(variables)
            self.extra = self.add_variable((2, 3), initializer=lambda shape, dtype: start)

    model = stack(Own(0.1))
    model.fit(X, Y, verbose=0)
    assert start.sum() == 3 and model.optimizer.extra.numpy().sum() == 3


def test_a_function_that_gives_the_rate_is_followed_in_fit():
    rates = [0.0, 0.0]
    model = stack(optimizers.SGD(0.5))
    model.fit(X, Y, verbose=0)
    model.optimizer.learning_rate = lambda: rates[-1]
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    rates.append(0.5)
    model.fit(X, Y, verbose=0)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_variable_may_have_the_shape_of_a_weight_that_build_did_not_get():
    def first_steps(library):
        other = library.Variable(np.ones(2, "float32"), name="other")

        class Shared(library.optimizers.Optimizer):
            def build(self, variables):
                super().build(variables)
                self.total = self.add_variable_from_reference(other, "total")

            def update_step(self, gradient, variable, learning_rate):
                self.total.assign(self.total + gradient)
                variable.assign(variable - learning_rate * self.total)

        own, w = Shared(0.5), library.Variable(np.ones(2, "float32"), name="w")
        for _ in range(2):
            own.apply([np.ones(2, "float32")], [w])
        return np.asarray(w.value), np.asarray(own.total.value), [v.name for v in own.variables]

    (w, total, names), (kw, ktotal, knames) = first_steps(lamina), first_steps(real_keras)
    assert w.tolist() == kw.tolist() == [-0.5, -0.5] and total.tolist() == ktotal.tolist()
    assert names == knames


@pytest.mark.parametrize("make", [optimizers.Adam, lambda: optimizers.LossScaleOptimizer("adam")])
def test_an_optimizer_is_freed_when_it_is_dropped(make):
    model = stack(make())
    model.fit(X, Y, verbose=0)
    held = [weakref.ref(model.optimizer), *map(weakref.ref, model.optimizer.variables)]
    gc.collect()
    gc.disable()  # the memory is needed at once
    try:
        model.compile("sgd", "mse")
        assert [each() for each in held] == [None] * len(held)
    finally:
        gc.enable()
