"""Random numbers outside of training."""

import numpy as np
import pytest
from small_models import both, ours


def noisy_dropout(keras):
    class Always(keras.layers.Dropout):
        def call(self, x, training=None):
            return super().call(x, training=True)

    return Always(0.5)


def noisy_layer(keras):
    class Noise(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(1)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    return Noise()


@both
@pytest.mark.parametrize("make", [noisy_dropout, noisy_layer])
def test_what_draws_in_inference_draws_anew_in_each_call_and_batch(keras, make):
    model = keras.Sequential([keras.Input((4,)), make(keras)])
    model.compile("sgd", "mse")
    x = np.ones((32, 4), "float32")
    drawn = [model.predict(x, verbose=0), model.predict(x, verbose=0), model(x), model(x), model.predict_on_batch(x)]
    drawn += np.split(model.predict(np.tile(x, (2, 1)), batch_size=32, verbose=0), 2)
    for number, one in enumerate(drawn):
        assert not any(np.array_equal(one, other) for other in drawn[:number])
    assert np.std(np.mean(drawn, axis=(1, 2))) > 0


@ours
def test_a_test_draws_anew_in_each_batch(keras):
    seen = []

    class Seen(keras.callbacks.Callback):
        def on_test_batch_end(self, batch, logs=None):
            seen.append(logs["loss"])

    model = keras.Sequential([keras.Input((4,)), noisy_dropout(keras)])
    model.compile("sgd", "mse")
    x, y = np.ones((64, 4), "float32"), np.zeros((64, 4), "float32")
    model.evaluate(x, y, batch_size=32, verbose=0, callbacks=[Seen()])
    assert seen[0] != seen[1]  # the mean of both, else the same
    seen.clear()
    model.evaluate(((x[:32], y[:32]) for _ in range(2)), verbose=0, callbacks=[Seen()])
    assert seen[0] != seen[1]
