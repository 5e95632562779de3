"""An optimizer knows its weights themselves, whatever they are called."""

import keras as real_keras
import numpy as np
import pytest

import lamina


def pair(keras):
    """Two models whose weights have equal paths here, and a gradient for each weight of one of them."""
    models = []
    for _ in range(2):
        models.append(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")]))
    return *models, [np.full((2, 1), 0.5, "float32"), np.ones(1, "float32")]


@pytest.mark.parametrize("keras", [lamina, real_keras], ids=["lamina", "keras"])
def test_weights_of_a_second_model_are_refused_though_they_are_called_as_those_of_the_first(keras):
    one, two, gradients = pair(keras)
    optimizer = keras.optimizers.Adam(0.1)
    optimizer.apply(gradients, one.trainable_variables)
    before = two.get_weights()
    with pytest.raises(ValueError, match=r"[Uu]nknown variable|built for other weights"):
        optimizer.apply(gradients, two.trainable_variables)
    assert all((a == b).all() for a, b in zip(before, two.get_weights(), strict=True))


def test_weights_of_one_of_two_models_move_with_their_own_moments():
    found = []
    for keras in (lamina, real_keras):
        one, two, gradients = pair(keras)
        optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
        optimizer.build(one.trainable_variables + two.trainable_variables)
        for model in (one, one, two, one):
            optimizer.apply(gradients, model.trainable_variables)
        found.append([*one.get_weights(), *two.get_weights()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_an_activation_that_is_set_to_none_is_none():
    found = []
    for keras in (lamina, real_keras):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, "relu", kernel_initializer="ones")])
        x, layer = -np.ones((3, 2), "float32"), model.layers[0]
        model.predict(x, verbose=0)
        layer.activation = None
        found.append([np.asarray(layer(x)), keras.Sequential([layer]).predict(x, verbose=0)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert found[0][0][0, 0] == -2
