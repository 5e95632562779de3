"""Optimizers by hand and schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_models import X, Y, both, dense, ours


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
