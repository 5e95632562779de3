"""HashedCrossing against golden values of real Keras on TensorFlow, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

from lamina import Sequential, layers, utils
from lamina.errors import ArgumentError, CallError, DataError, ShapeError, StackError

GOLDEN = json.loads((Path(__file__).parent / "golden" / "crossing.json").read_text())
WORDS, NUMBERS = np.array(["A", "B", "A"]), np.array([101, 101, 102])


@pytest.mark.parametrize("number", range(len(GOLDEN)))
def test_the_bins_are_those_of_keras_on_tensorflow(number):
    case = GOLDEN[number]
    layer = layers.HashedCrossing(**{"name": "given", **case["settings"]})
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    for each in (layer, again):
        y = each(tuple(np.array(feature) for feature in case["x"]))
        np.testing.assert_array_equal(y, case["y"])
        assert y.dtype.name == case["dtype"].replace("int64", "int32")
    assert each(case["x"]).shape == y.shape  # lists as well
    assert layer.get_config() == case["config"]
    if y.ndim:
        shape = (None, *np.shape(case["x"][0])[1:])
        told = layer.compute_output_shape([shape] * len(case["x"]))
        assert told[1:] == y.shape[1:]


def test_the_settings_stand_in_the_order_of_keras():
    layer = layers.HashedCrossing(4, "one_hot", False, "cross", "float16")
    assert layer((WORDS, NUMBERS)).dtype == "float16" and layer.name == "cross"


def test_features_are_crossed_in_a_data_set_and_trained_on():
    cross = layers.HashedCrossing(16, output_mode="one_hot")
    x = cross((np.array(["a", "b"] * 32), np.arange(64) % 3))
    y = (np.arange(64) % 2 == np.arange(64) % 3).astype("float32")
    model = Sequential([layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy")
    assert len(model.fit(x, y, epochs=1, verbose=0).history["loss"]) == 1


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: layers.HashedCrossing(0), ArgumentError, "num_bins=0"),
        (lambda: layers.HashedCrossing(2**31 + 1), ArgumentError, "num_bins"),
        (lambda: layers.Hashing(2**31 + 1), ArgumentError, "num_bins"),
        (lambda: layers.HashedCrossing(3, "multi_hot"), ArgumentError, "output_mode='multi_hot'"),
        (lambda: layers.HashedCrossing(3, sparse=True), ArgumentError, "sparse=True"),
        (lambda: layers.HashedCrossing(3)(WORDS), ArgumentError, "a tuple of two or more features"),
        (lambda: layers.HashedCrossing(3)((WORDS,)), ArgumentError, "a tuple of two or more features"),
        (lambda: layers.HashedCrossing(3)({"a": WORDS, "b": NUMBERS}), ArgumentError, "a tuple of two or more"),
        (lambda: layers.HashedCrossing(3)((WORDS, NUMBERS[:2])), ShapeError, r"got \(3,\), \(2,\)"),
        (lambda: layers.HashedCrossing(3)((np.ones((2, 2), int),) * 2), ShapeError, r"got \(2, 2\), \(2, 2\)"),
        (lambda: layers.HashedCrossing(3)((WORDS, NUMBERS / 2)), DataError, "whole numbers, got float64"),
        (lambda: layers.HashedCrossing(3)((WORDS, NUMBERS > 101)), DataError, "whole numbers, got bool"),
        (lambda: layers.HashedCrossing(3)((WORDS, NUMBERS), 4), CallError, "takes the data alone"),
        (lambda: Sequential([layers.Input((2,)), layers.HashedCrossing(3)]), ValueError, "before they go into"),
        (lambda: layers.HashedCrossing(3).compute_output_shape([(None,), (2, 1)]), ShapeError, "of one shape"),
    ],
)
def test_what_is_refused_says_what_to_type(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_within_another_layer_it_says_to_cross_before_the_model():
    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.cross = layers.HashedCrossing(3)

        def call(self, x):
            return self.cross((x[:, 0], x[:, 1]))

    with pytest.raises(StackError, match=r"Cross the features before they go into the model: x = layer\(\(a, b\)\)"):
        Own()(np.ones((4, 2), "int32"))


def test_a_data_set_crosses_its_features():
    pairs = utils.timeseries_dataset_from_array(np.arange(8), np.arange(8), 1, batch_size=4)
    cross = layers.HashedCrossing(5)
    crossed = [cross((x[:, 0], y)).tolist() for x, y in pairs]
    assert crossed == [cross((np.arange(8)[i : i + 4],) * 2).tolist() for i in (0, 4)]
