"""What layers added to the loss, as each layer and each stack within another tells it."""

import keras
import numpy as np
import pytest

import lamina

X = np.ones((8, 2), "float32")


def made(library):
    layers, ops = library.layers, library.ops

    class Adds(layers.Layer):
        def call(self, x):
            self.add_loss(ops.sum(x) * 0 + 1.5)
            self.add_loss(ops.sum(x) * 0 + 2.5)
            return x

    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.adds, self.dense = Adds(), layers.Dense(2, kernel_regularizer="l2", kernel_initializer="ones")

        def build(self, shape):
            self.dense.build(shape)

        def call(self, x):
            return self.dense(self.adds(x))

    inner = library.Sequential(
        [layers.Input((2,)), Adds(), Block(), layers.Dense(2, activity_regularizer="l1", kernel_initializer="ones")]
    )
    return library.Sequential([layers.Input((2,)), inner, layers.Dense(1)]), inner


def told(layer):
    return sorted(round(float(np.asarray(each)), 3) for each in layer.losses)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_each_layer_tells_what_it_added_as_in_keras():
    seen = []
    for library in (lamina, keras):
        model, inner = made(library)
        model(X)
        adds, block, dense = inner.layers
        seen.append([told(each) for each in (model, inner, adds, block, block.adds, block.dense, dense)])
    assert seen[0] == seen[1]
    assert seen[0][2] == [1.5, 2.5] and len(seen[0][1]) == 6


def test_of_equal_models_that_share_a_program_each_layer_tells_it_too():
    for _ in range(2):
        layers = lamina.layers
        inner = lamina.Sequential([layers.Input((2,)), layers.Dense(2, activity_regularizer="l2")])
        model = lamina.Sequential([layers.Input((2,)), inner, layers.Dense(1)])
        model(X)
        assert len(model.losses) == len(inner.losses) == len(inner.layers[0].losses) == 1
        assert told(model) == told(inner) == told(inner.layers[0])


def test_a_layer_that_is_called_by_itself_tells_it_of_those_within_it():
    _, inner = made(lamina)
    block = inner.layers[1]
    block(X)
    assert told(block.adds) == [1.5, 2.5] and told(block) == [0.04, 1.5, 2.5]
    inner(X, training=True)
    assert told(inner.layers[0]) == [1.5, 2.5] and len(inner.losses) == 6
