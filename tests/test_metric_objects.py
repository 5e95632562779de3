"""Metric objects hold what was measured; a model or a layer may hold them."""

import jax.numpy as jnp
import numpy as np
import pytest
from small_models import RNG, X, Y, both, dense, ours

import lamina


@both
def test_metric_objects_hold_what_was_measured(keras):
    accuracy, labels = keras.metrics.SparseCategoricalAccuracy(), RNG.integers(0, 3, 64)
    model = dense(keras, loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=[accuracy])
    seen = []
    note = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(float(accuracy.result())))
    history = model.fit(X, labels, epochs=2, verbose=0, callbacks=[note]).history
    name = accuracy.name
    np.testing.assert_allclose(seen, history[name], rtol=1e-6)
    measured = model.evaluate(X, labels, verbose=0, return_dict=True)
    np.testing.assert_allclose(float(accuracy.result()), measured[name], rtol=1e-6)
    np.testing.assert_allclose(float(model.metrics[0].result()), measured["loss"], rtol=1e-6)
    logs = model.train_on_batch(X[:7], labels[:7], return_dict=True)
    np.testing.assert_allclose(float(accuracy.result()), logs[name], rtol=1e-6)
    assert float(accuracy.count) == 7
    model.reset_metrics()
    assert float(accuracy.result()) == 0 and float(model.metrics[0].result()) == 0


@both
def test_a_metric_that_measures_two_things_logs_both(keras):
    class Errors(keras.metrics.Metric):
        def __init__(self, name="errors", **kwargs):
            super().__init__(name=name, **kwargs)
            self.largest = self.add_variable((), "zeros", name="largest")
            self.total = self.add_variable((), "zeros", name="total")

        def update_state(self, y_true, y_pred, sample_weight=None):
            error = jnp.abs(y_true - y_pred)
            self.largest.assign(jnp.maximum(self.largest.value, jnp.max(error)))
            self.total.assign(self.total.value + jnp.sum(error))

        def result(self):
            return {"largest": jnp.asarray(self.largest.value), "total": jnp.asarray(self.total.value)}

    model = dense(keras, metrics=[Errors()])
    logs = model.evaluate(X, Y, verbose=0, return_dict=True)
    error = np.abs(Y - model.predict(X, verbose=0))
    np.testing.assert_allclose([logs["largest"], logs["total"]], [error.max(), error.sum()], rtol=1e-5)
    assert {"largest", "total"} <= model.fit(X, Y, verbose=0).history.keys()


def holding(keras, **methods):
    class Holding(keras.Sequential):
        def __init__(self, *layers):
            super().__init__(*layers)
            self.tracked = keras.metrics.Mean(name="tracked")

    model = type("Own", (Holding,), methods)([keras.Input((4,)), keras.layers.Dense(3, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


@both
def test_a_model_may_hold_a_metric(keras):
    model = holding(keras)
    model.fit(X, Y, verbose=0)
    assert model.predict(X, verbose=0).shape == (64, 3) and model(X).shape == (64, 3)
    assert len(model.evaluate(X, Y, verbose=0)) >= 2 and len(model.train_on_batch(X, Y)) >= 2


@both
@pytest.mark.parametrize("where", ["compute_loss", "compute_metrics"])
def test_a_metric_that_the_model_holds_is_updated_and_logged(keras, where):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = keras.ops.mean((y - y_pred) ** 2)
        self.tracked.update_state(loss * 2)
        return loss

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        self.tracked.update_state(keras.ops.mean((y - y_pred) ** 2) * 2)
        return keras.Sequential.compute_metrics(self, x, y, y_pred, sample_weight)

    model = holding(keras, **{where: locals()[where]})
    history = model.fit(X, Y, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["tracked"], 2 * np.array(history["loss"]), rtol=1e-5)
    assert "tracked" in [metric.name for metric in model.metrics]
    measured = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert measured["tracked"] == pytest.approx(2 * measured["loss"], rel=1e-5)


@ours
def test_a_metric_that_a_layer_would_update_is_named(keras):
    class Counting(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seen = keras.metrics.Mean(name="seen")

        def call(self, x):
            self.seen.update_state(x)
            return x

    model = keras.Sequential([keras.Input((4,)), Counting(), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    for run in (lambda: model.fit(X, Y, verbose=0), lambda: model.predict(X, verbose=0)):
        with pytest.raises(lamina.errors.StackError, match=r"'seen/.*not a weight of a layer"):
            run()
