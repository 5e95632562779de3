"""An input of whole numbers stays one."""

import itertools

import numpy as np
import pytest
from small_models import both, ours

WHOLE = {
    "kept": (lambda keras: [keras.layers.Reshape((2, 1)), keras.layers.Flatten()], lambda x: x),
    "own": (lambda keras: [keras.layers.Flatten(), keras.layers.Lambda(lambda x: x // 2)], lambda x: x // 2),
    "bits": (
        lambda keras: [keras.layers.Reshape((2,)), keras.layers.Lambda(lambda x: keras.ops.bitwise_and(x, 1))],
        lambda x: x & 1,
    ),
    "pooled": (
        lambda keras: [keras.layers.Reshape((2, 1)), keras.layers.MaxPooling1D(2), keras.layers.Flatten()],
        lambda x: x.max(1, keepdims=True),
    ),
}


@both
@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")
@pytest.mark.parametrize(("dtype", "kind"), [*itertools.product(["int32", "uint8", "int64"], WHOLE), ("bool", "kept")])
def test_an_input_of_whole_numbers_stays_one(keras, dtype, kind):
    layers, expected = WHOLE[kind]
    x = np.array([[0, 1], [1, 1]]) if dtype == "bool" else np.array([[1, 5], [16_777_217 if "32" in dtype else 7, 9]])
    model = keras.Sequential([keras.Input((2,), dtype=dtype), *layers(keras)])
    x = x.astype(dtype)
    for y in (model.predict(x, verbose=0), np.asarray(model(x)), model.predict_on_batch(x)):
        assert y.dtype == ("int32" if dtype == "int64" else dtype)
        np.testing.assert_array_equal(y, expected(x))


@both
def test_stacks_that_differ_in_the_dtype_of_their_input_share_no_program(keras):
    for dtype in ("uint8", "int32", None, "uint8"):
        model = keras.Sequential([keras.Input((2,), dtype=dtype), keras.layers.Reshape((2, 1))])
        assert model.predict(np.array([[1, 2]], "uint8"), verbose=0).dtype == (dtype or "float32")


@ours  # Keras's Masking fails there
def test_layers_take_an_input_of_whole_numbers(keras):
    x, histories = np.random.default_rng(1).integers(0, 9, (12, 6, 2)), []
    for dtype in ("int32", "float32"):
        layers = [keras.layers.Masking(), keras.layers.Conv1D(3, 2, activation="relu"), keras.layers.Flatten()]
        model = keras.Sequential([keras.Input((6, 2), dtype=dtype), *layers, keras.layers.Dense(1)])
        rng = np.random.default_rng(2)
        model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
        model.compile(keras.optimizers.SGD(1e-4), "mse")
        history = model.fit(x, np.zeros((12, 1)), epochs=2, shuffle=False, verbose=0).history
        histories.append(history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-5)
