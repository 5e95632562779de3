"""Arrays of the user's that change later, stand in another byte order, or are filled again."""

import keras as real_keras
import numpy as np
import pytest
from small_models import both, ours

import lamina


def aligned(shape, value=1.0):
    """Memory that JAX takes as it is, which other arrays have by chance."""
    size = int(np.prod(shape)) * 4
    memory = np.zeros(size + 64, "uint8")
    start = -memory.ctypes.data % 64
    array = memory[start : start + size].view("float32").reshape(shape)
    array[:] = value
    return array


@ours  # Keras shares the memory of some
@pytest.mark.parametrize("way", ["constant", "function", "variable"])
def test_initial_values_are_not_those_of_an_array_that_changes_later(keras, way):
    given = aligned((64, 64))
    initializer = keras.initializers.Constant(given) if way == "constant" else lambda shape, dtype=None: given
    layer = keras.layers.Dense(64, use_bias=False, kernel_initializer=initializer)
    layer.build((None, 64))
    kernel = keras.Variable(given) if way == "variable" else layer.kernel
    given[:] = 5
    assert float(np.asarray(kernel.value)[0, 0]) == 1.0


@ours
@pytest.mark.parametrize("way", ["set_weights", "assign", "weights"])
def test_weights_that_are_set_are_not_those_of_an_array_that_changes_later(keras, way):
    given = aligned((64, 64))
    layer = keras.layers.Embedding(64, 64, weights=[given] if way == "weights" else None)
    layer.build()
    if way == "set_weights":
        layer.set_weights([given])
    elif way == "assign":
        layer.embeddings.assign(given)
    given[:] = 5
    assert layer.get_weights()[0].max() == 1.0


@both
def test_numbers_of_a_layer_are_not_those_of_an_array_that_changes_later(keras):
    mean, scale = np.ones(3, "float32"), np.ones(3, "float32")
    layer, x = keras.layers.Normalization(mean=mean, variance=np.ones(3)), np.full((2, 3), 2.0, "float32")
    layer(x)
    mean[:] = 7
    np.testing.assert_allclose(layer(x), 1.0, rtol=1e-6)
    if keras is lamina:
        layer = keras.layers.Rescaling(scale)
        scale[:] = 7
        np.testing.assert_allclose(layer(x), 2.0)


@both
def test_variables_stand_layer_by_layer(keras):
    layers = [keras.layers.Dropout(0.1), keras.layers.BatchNormalization(), keras.layers.Dropout(0.2)]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(1)])
    names = [variable.name for variable in model.non_trainable_variables]
    assert names == ["seed_generator_state", "moving_mean", "moving_variance", "seed_generator_state"]
    everything = [variable.name for variable in model.variables]
    seed, *others = everything
    assert seed == names[0] and others == ["gamma", "beta", *names[1:], "kernel", "bias"]
    model.layers[1].trainable = False
    names = [variable.name for variable in model.non_trainable_variables]
    assert names == ["seed_generator_state", "gamma", "beta", "moving_mean", "moving_variance", "seed_generator_state"]


@both
def test_one_hot_of_one_number_is_a_row(keras):
    encoded = keras.layers.CategoryEncoding(4, output_mode="one_hot")(2)
    np.testing.assert_array_equal(encoded, [[0, 0, 1, 0]])
    encoded = keras.layers.Discretization([0.0, 1.0], output_mode="one_hot")(np.float32(0.5))
    np.testing.assert_array_equal(encoded, [[0, 1, 0]])


def refilled(keras, columns):
    """Batches in one pair of arrays that is filled again for each."""

    class Refilled(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.x, self.y = np.empty((4, columns), "float32"), np.zeros((4, 1), "float32")

        def __len__(self):
            return 6

        def __getitem__(self, index):
            self.x[:] = index / columns
            return self.x, self.y

    return Refilled()


@pytest.mark.parametrize(("keras", "columns"), [(lamina, 1), (lamina, 4096), (real_keras, 1)])
def test_a_batch_may_stand_in_the_arrays_of_the_one_before(keras, columns):
    model = keras.Sequential([keras.Input((columns,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    history = model.fit(
        refilled(keras, columns), validation_data=refilled(keras, columns), shuffle=False, verbose=0
    ).history
    np.testing.assert_allclose([*history["loss"], *history["val_loss"]], 2.5, rtol=1e-5)
    assert model.evaluate(refilled(keras, columns), verbose=0) == pytest.approx(2.5, rel=1e-5)
    np.testing.assert_allclose(model.predict(refilled(keras, columns), verbose=0)[::4, 0], range(6), rtol=1e-5)


@ours  # Keras trains on the second batch twice
def test_a_generator_may_fill_its_arrays_again(keras):
    def batches(kind=np.asarray):
        x = np.empty((4, 1), "float32")
        for number in range(6):
            x[:] = number
            yield kind(x), kind(x * 0)

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    assert model.evaluate(batches(), verbose=0) == pytest.approx(2.5)
    assert model.evaluate(batches(memoryview), verbose=0) == pytest.approx(2.5)
    np.testing.assert_array_equal(model.predict(batches(), verbose=0)[::4, 0], range(6))
