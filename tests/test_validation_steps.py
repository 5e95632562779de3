"""Validation that is told its steps, and the batches that a callback of predict sees."""

import contextlib

import keras as real_keras
import numpy as np
import pytest
from small_models import both, dense, says


@both
def test_a_validation_split_that_is_told_its_steps_sees_all_rows(keras):
    x, y = np.zeros((70, 1)), np.arange(70.0)[::-1, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    with contextlib.suppress(AssertionError) if keras is real_keras else says(keras, "y is sorted"):
        history = model.fit(x, y, validation_split=0.5, validation_steps=1, verbose=0).history
    assert history["val_loss"] == [pytest.approx(17.0)]


@both
def test_a_callback_of_predict_sees_batches_of_32(keras):
    seen = []
    callback = keras.callbacks.LambdaCallback()
    callback.on_predict_batch_end = lambda batch, logs=None: seen.append(len(logs["outputs"]))
    dense(keras).predict(np.ones((70, 4)), verbose=0, callbacks=[callback])
    assert seen == [32, 32, 6]


@both
def test_the_mask_counts_in_the_metrics_in_which_it_does_in_keras(keras):
    x = np.random.default_rng(0).integers(1, 9, (40, 7))
    x[:30, 2:] = 0
    y = np.eye(3)[x % 3]
    layers = [keras.layers.Embedding(9, 4, mask_zero=True), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.Input((7,)), *layers])
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    measures = [
        keras.metrics.CategoricalAccuracy(name="right"),
        keras.metrics.RootMeanSquaredError(name="rmse"),
        keras.metrics.TruePositives(name="true"),
    ]
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy", metrics=measures)
    logs = model.fit(x, y, verbose=0, validation_data=(x, y)).history
    p = model.predict(x, verbose=0)
    right, there = p.argmax(-1) == x % 3, x > 0
    assert logs["val_right"] == [pytest.approx(right[there].mean())]
    for name, expected in {
        "rmse": np.sqrt(((p - y) ** 2).mean()),
        "true": (p * y > 0.5).sum(),
    }.items():
        np.testing.assert_allclose([*logs[name], *logs[f"val_{name}"]], expected, rtol=1e-5)
