"""A learning rate that is set again: a number, a schedule, a function, before, between and in trainings."""

import keras
import numpy as np
import pytest

import lamina
from lamina import callbacks
from lamina.errors import ArgumentError, FixedError

X, Y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def stack(library, optimizer):
    layers = library.layers
    model = library.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="zeros", use_bias=False)])
    model.compile(optimizer, "mse")
    return model


def trained(model, epochs=1, **how):
    """The weights after some epochs from 0; they tell the rate of each step."""
    model.set_weights([np.zeros((2, 1), "float32")])
    how = {"batch_size": 8, "verbose": 0, **how}
    model.fit(X, Y, epochs=epochs, **how)
    return np.round(model.get_weights()[0].ravel(), 5).tolist()


def rate(optimizer):
    return round(float(np.asarray(optimizer.learning_rate)), 6)


def falling(library, start=0.5):
    return library.optimizers.schedules.ExponentialDecay(start, 1, 0.5)


def setting(library, hook, at, value):
    """A callback that sets the rate in a hook, when it is called with a number."""

    def set_it(self, place=at, logs=None):
        if place == at:
            self.model.optimizer.learning_rate = value

    return type("Setting", (library.callbacks.Callback,), {hook: set_it})()


def after_assign(library, optimizer, model):
    trained(model)
    optimizer.learning_rate.assign(0.01)
    slow = trained(model)
    optimizer.learning_rate.assign(0.02)
    optimizer.learning_rate = falling(library)
    return slow, rate(optimizer), trained(model), rate(optimizer)


def after_a_read(library, optimizer, model):
    trained(model)
    read = np.asarray(optimizer.learning_rate)
    optimizer.learning_rate = falling(library)
    return read.item(), trained(model), rate(optimizer)


def before_the_first_fit(library, optimizer, model):
    np.asarray(optimizer.learning_rate)
    optimizer.learning_rate = falling(library)
    return trained(model), rate(optimizer)


def a_variable_of_before(library, optimizer, model):
    trained(model)
    held = optimizer.learning_rate
    optimizer.learning_rate = falling(library)
    trained(model)
    before = float(np.asarray(held))
    held.assign(0.3)
    return before, float(np.asarray(held)), rate(optimizer), trained(model)


def a_number_after_assign(library, optimizer, model):
    trained(model)
    optimizer.learning_rate.assign(0.2)
    optimizer.learning_rate = 0.3
    return rate(optimizer), trained(model)


def after_a_scheduler(library, optimizer, model):
    model.fit(X, Y, verbose=0, callbacks=[library.callbacks.LearningRateScheduler(lambda epoch, rate: 0.05)])
    optimizer.learning_rate = falling(library)
    return rate(optimizer), trained(model)


def a_function(library, optimizer, model):
    trained(model)
    optimizer.learning_rate = lambda: 0.25
    return rate(optimizer), trained(model)


def in_fit(hook, at, epochs=2, **how):
    def run(library, optimizer, model):
        before = trained(model)
        weights = trained(model, epochs, callbacks=[setting(library, hook, at, falling(library))], **how)
        return before, weights, rate(optimizer), int(np.asarray(optimizer.iterations))

    return run


def its_variables(library, optimizer, model):
    trained(model)
    before = len(optimizer.variables)
    optimizer.learning_rate = falling(library)
    return before, len(optimizer.variables), optimizer.get_config()["learning_rate"]["config"]


PROGRAMS = {
    "after assign": after_assign, "after a read": after_a_read, "before": before_the_first_fit,
    "a variable of before": a_variable_of_before, "a number": a_number_after_assign, "scheduler": after_a_scheduler,
    "a function": a_function, "its variables": its_variables, "train begin": in_fit("on_train_begin", 0),
    "epoch begin": in_fit("on_epoch_begin", 1), "epoch end": in_fit("on_epoch_end", 0),
    "batch begin": in_fit("on_train_batch_begin", 1, 1, batch_size=4),
    "batch end": in_fit("on_train_batch_end", 0, 1, batch_size=4),
    "validation": in_fit("on_test_begin", 0, validation_data=(X, Y)),
    "plateau": in_fit("on_epoch_end", 1, 3),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "program"), [("SGD", name) for name in PROGRAMS] + [("Adam", "after assign"), ("Adam", "batch end")]
)
def test_a_rate_that_is_set_again_is_that_of_keras(kind, program):
    found = []
    for library in (lamina, keras):
        optimizer = getattr(library.optimizers, kind)(0.1)
        found.append(PROGRAMS[program](library, optimizer, stack(library, optimizer)))
    np.testing.assert_equal(*found)


def test_a_schedule_in_the_place_of_another_one_counts_at_once():
    """Keras goes on with the old one, which its compiled step holds."""
    optimizer = lamina.optimizers.SGD(falling(lamina))
    model = stack(lamina, optimizer)
    trained(model)
    optimizer.learning_rate = falling(lamina, 0.1)
    assert rate(optimizer) == 0.05
    np.testing.assert_allclose(trained(model), [0.1, 0.1], rtol=1e-6)
    weight = lamina.Variable(np.zeros(1, "float32"), name="w")
    alone = lamina.optimizers.SGD(falling(lamina))
    alone.apply([np.ones(1, "float32")], [weight])
    alone.learning_rate = falling(lamina, 0.1)
    alone.apply([np.ones(1, "float32")], [weight])
    np.testing.assert_allclose(weight.numpy(), [-0.55])


def test_a_schedule_that_is_set_in_fit_compiles_one_more_program(monkeypatch):
    from lamina._programs import programs

    made = []
    compiled = programs.compiled
    monkeypatch.setattr(programs, "compiled", lambda *a, **k: made.append(1) or compiled(*a, **k))
    slow, fast = (lamina.optimizers.schedules.PiecewiseConstantDecay([100], [start, 0.0]) for start in (0.01, 0.5))
    optimizer = lamina.optimizers.SGD(0.1)
    model = stack(lamina, optimizer)

    def other(epoch, logs):
        optimizer.learning_rate = (slow, fast)[epoch % 2]

    trained(model, 6, callbacks=[callbacks.LambdaCallback(on_epoch_end=other)])
    assert len(made) == 3  # for the number and for each of the two schedules


def test_back_to_a_number_is_refused_as_in_keras_and_changes_nothing():
    optimizer = lamina.optimizers.SGD(falling(lamina))
    model = stack(lamina, optimizer)
    with pytest.raises(FixedError, match="follows ExponentialDecay"):
        trained(model, 2, callbacks=[setting(lamina, "on_epoch_begin", 1, 0.2)])
    assert rate(optimizer) == 0.25 and model.history.epoch == [0]
    theirs = keras.optimizers.SGD(falling(keras))
    with pytest.raises(TypeError, match="not settable"):
        theirs.learning_rate = 0.2


def test_a_schedule_in_fit_with_a_step_of_ones_own_and_with_a_scaled_loss():
    class Own(lamina.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return super().compute_loss(x, y, y_pred, sample_weight)

    told = {"epochs": 2, "callbacks": [setting(lamina, "on_epoch_begin", 1, falling(lamina))]}
    plain = trained(stack(lamina, lamina.optimizers.SGD(0.1)), **told)
    own = Own([lamina.layers.Input((2,)), lamina.layers.Dense(1, kernel_initializer="zeros", use_bias=False)])
    own.compile(lamina.optimizers.SGD(0.1), "mse")
    scaled = stack(lamina, lamina.optimizers.LossScaleOptimizer(lamina.optimizers.SGD(0.1)))
    assert trained(own, **told) == trained(scaled, **told) == plain


def test_a_loss_that_is_not_finite_after_it_takes_the_weights_back():
    model = stack(lamina, lamina.optimizers.SGD(0.1))
    huge = lamina.optimizers.schedules.PiecewiseConstantDecay([100], [1e30, 0.0])
    with pytest.raises(lamina.errors.NonFiniteError):
        trained(model, 6, batch_size=4, callbacks=[setting(lamina, "on_train_batch_end", 0, huge)])
    assert np.isfinite(model.get_weights()[0]).all()


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0])
def test_a_rate_that_cannot_be_names_the_callback_and_the_epoch(rate):
    with pytest.raises(ArgumentError, match="LearningRateScheduler: the schedule must return the rate of epoch 0"):
        stack(lamina, "sgd").fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: rate)])
