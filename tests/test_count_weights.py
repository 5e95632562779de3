"""`CategoryEncoding` with `count_weights=` within a layer of one's own, where they are an array of the pass."""

import keras
import numpy as np
import pytest

import lamina

X = np.array([[0, 1, 1], [3, 2, 0]])


def weighted(package):
    class Weighted(package.layers.Layer):
        def __init__(self):
            super().__init__()
            self.encode = package.layers.CategoryEncoding(4, output_mode="count")

        def call(self, x):
            return self.encode(x, count_weights=x * 0.5 + 1)

    return Weighted()


def test_the_sums_are_those_of_keras_by_hand_and_in_a_stack():
    known = weighted(keras)(X)
    np.testing.assert_allclose(weighted(lamina)(X), known)
    stack = lamina.Sequential([lamina.layers.Input((3,), dtype="int32"), weighted(lamina), lamina.layers.Dense(1)])
    np.testing.assert_allclose(lamina.Model(stack.inputs, stack.layers[0].output).predict(X, verbose=0), known)
    stack.compile("sgd", "mse")
    assert np.isfinite(stack.fit(X, np.ones(2), verbose=0).history["loss"]).all()


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot"])
def test_other_modes_refuse_weights(mode):
    with pytest.raises(ValueError, match="count_weights are for output_mode='count'"):
        lamina.layers.CategoryEncoding(4, output_mode=mode)(X, count_weights=X)
