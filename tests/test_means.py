"""Means over very many batches are as exact as those over a few."""

import keras
import numpy as np
import pytest

import lamina
from lamina import callbacks, layers, metrics


def stack(**more):
    model = lamina.Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(lamina.optimizers.SGD(0.0), "mse", **more)
    return model


def rows(count, seed=0):
    random = np.random.default_rng(seed)
    return random.random((count, 1), "float32"), random.random((count, 1), "float32")


def exact(model, x, y):
    """The loss and the mean absolute error, (2,), in float64."""
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    error = x.astype("float64") @ kernel + bias - y
    return np.array([np.mean(error**2), np.mean(np.abs(error))])


def errors_of(batches, size):
    model, (x, y) = stack(metrics=["mae"]), rows(batches * size)
    history = model.fit(x, y, batch_size=size, shuffle=False, verbose=0).history
    measured = model.evaluate(x, y, batch_size=size, verbose=0)
    found = np.array([[history["loss"][0], history["mae"][0]], measured])
    return np.abs(found / exact(model, x, y) - 1).max()


def test_means_over_many_batches_are_those_in_float64():
    assert errors_of(60_000, 1) < 2e-7  # it was 1.6e-6


@pytest.mark.nightly
def test_means_over_a_million_batches_are_within_a_millionth_of_float64():
    assert errors_of(10**6, 3) < 1e-6


def test_a_count_beyond_what_float32_counts_goes_on():
    """Of 33 rows a batch float32 alone counts 32 or 36 from 2 ** 26 on, so that the mean drifts."""
    metric, start = metrics.Mean(), np.float32(2**26)
    metric.total.assign(start * 0.5)
    metric.count.assign(start)
    for _ in range(400):
        metric.update_state(np.full(33, 0.25, "float32"))
    counted = 2.0**26 + 400 * 33
    np.testing.assert_allclose(float(metric.count), counted, rtol=1e-7)
    np.testing.assert_allclose(float(metric.result()), (2.0**25 + 400 * 33 * 0.25) / counted, rtol=2e-7)
    total = metrics.Sum()
    total.update_state(np.float32(2**24))
    for _ in range(1000):
        total.update_state(1.0)
    assert float(total.result()) == 2**24 + 1000


def test_what_users_read_of_a_metric_is_what_keras_has():
    for library in (lamina, keras):
        metric = library.metrics.Mean()
        metric.update_state([1.0, 3.0])
        metric.update_state([5.0], sample_weight=[2.0])
        assert [float(np.asarray(each)) for each in metric.variables] == [14.0, 4.0]
        after = metric.stateless_update_state([np.float32(3), np.float32(2)], np.array([5.0], "float32"))
        assert [float(each) for each in after] == [8.0, 3.0]
        assert float(metric.stateless_result(after)) == pytest.approx(8 / 3)
        assert float(np.asarray(metric.result())) == 3.5
        metric.reset_state()
        assert float(np.asarray(metric.result())) == 0
    model = stack(metrics=["mae"])
    model.fit(*rows(50), batch_size=3, verbose=0)
    total, count = model.metrics[1].variables
    assert float(count) == 50 and float(model.metrics[1].result()) == pytest.approx(float(total) / 50)
    assert len(model.metrics_variables) == 4


def test_an_infinite_value_stays_infinite_and_the_next_epoch_begins_anew():
    metric = metrics.Mean()
    metric.update_state([1.0])
    metric.update_state([np.inf])
    metric.update_state([2.0])
    assert float(metric.result()) == np.inf
    metric.reset_state()
    metric.update_state([2.0])
    assert float(metric.result()) == 2.0


@pytest.mark.parametrize("own", [False, True])
def test_the_history_is_equal_to_the_bit_however_the_steps_are_cut_and_with_a_restart(tmp_path, own):
    class Own(lamina.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return super().compute_loss(x, y, y_pred, sample_weight)

    def run(folder=None, *more, every=None):
        lamina.utils.set_random_seed(1)
        model = (Own if own else lamina.Sequential)([layers.Input((1,)), layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae", metrics.MeanSquaredError(name="squares")])
        kept = callbacks.Checkpoint(folder, every=every) if folder else None
        return model.fit(*rows(3000), batch_size=1, epochs=2, verbose=0, callbacks=[*more], checkpoint=kept).history

    class Stop(Exception):
        pass

    seen = []

    def stop(batch, logs):
        seen.append(batch)
        if len(seen) == 3500:
            raise Stop

    whole = run()
    assert run(None, callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)) == whole
    with pytest.raises(Stop):
        run(tmp_path, callbacks.LambdaCallback(on_train_batch_end=stop), every=700)
    assert run(tmp_path, every=700) == whole
