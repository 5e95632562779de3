"""Masks between layers that call layers."""

import warnings

import numpy as np
from small_models import both

from lamina import Input, Layer, Sequential, layers

WORDS = np.array([[3, 5, 0, 0], [7, 2, 4, 0]])


@both
def test_masks_go_along_when_layers_are_called_by_hand(keras):
    embedding, lstm = keras.layers.Embedding(10, 4, mask_zero=True), keras.layers.LSTM(3)
    padded = np.asarray(lstm(embedding(WORDS)))
    np.testing.assert_allclose(padded[:1], np.asarray(lstm(embedding(WORDS[:1, :2]))), rtol=1e-5)
    np.testing.assert_allclose(padded[1:], np.asarray(lstm(embedding(WORDS[1:, :3]))), rtol=1e-5)


@both
def test_masks_go_along_within_a_layer_of_ones_own(keras):
    class Reader(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.embedding, self.lstm = keras.layers.Embedding(10, 4, mask_zero=True), keras.layers.LSTM(3)

        def build(self, input_shape):
            self.embedding.build(input_shape)
            self.lstm.build((*input_shape, 4))

        def call(self, x):
            return self.lstm(self.embedding(x))

    model = keras.Sequential([keras.Input((None,), dtype="int32"), Reader(), keras.layers.Dense(1)])
    long, short = WORDS[1:], WORDS[1:, :3]
    np.testing.assert_allclose(model.predict(long, verbose=0), model.predict(short, verbose=0), rtol=1e-5)
    model.compile("sgd", "mse")
    before = model.get_weights()
    losses = []
    for words in (long, short):
        model.set_weights(before)
        losses.append(model.fit(words, np.ones((1, 1)), epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-5)


@both
def test_the_mask_of_a_whole_stack_goes_along(keras):
    embedding = keras.Sequential([keras.Input((None,)), keras.layers.Embedding(10, 4, mask_zero=True)])
    lstm = keras.layers.LSTM(3)
    padded = np.asarray(lstm(embedding(WORDS)))
    np.testing.assert_allclose(padded[:1], np.asarray(lstm(embedding(WORDS[:1, :2]))), rtol=1e-5)


def test_a_layer_without_masks_within_time_distributed_loses_none():
    class Double(Layer):
        def call(self, x):
            return x * 2

    x = np.ones((2, 5, 4), "float32")
    x[:, 3:] = 0
    model = Sequential([Input((5, 4)), layers.Masking(), layers.TimeDistributed(Double()), layers.LSTM(2)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = model(x)
        model.compile("sgd", "mse")
        model.fit(x, np.zeros((2, 2)), verbose=0)
    lstm = layers.LSTM(2)
    lstm.build((None, 5, 4))
    short = Sequential([Input((3, 4)), lstm])
    weights = Sequential([Input((5, 4)), layers.LSTM(2)]).get_weights()
    lstm.set_weights(weights)
    model.set_weights(weights)
    np.testing.assert_allclose(model(x), short(2 * x[:, :3]), atol=1e-6)
    assert y.shape == (2, 2)
