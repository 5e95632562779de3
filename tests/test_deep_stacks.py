"""Stacks of many equal layers: the shape of an output is traced once for all that are equal."""

import sys

import keras
import numpy as np
import pytest

from lamina import Sequential, layers, ops
from lamina._layer import forward
from lamina.errors import StackError


@pytest.fixture
def traced(monkeypatch):
    """The layers whose outputs were traced."""
    found = []
    run = forward.run
    monkeypatch.setattr(forward, "run", lambda now, layer, inputs: found.append(layer.name) or run(now, layer, inputs))
    return found


def stack_of(made, count=6, shape=(8,), **told):
    return Sequential([layers.Input(shape, **told), *(made() for _ in range(count))])


def test_equal_layers_of_equal_inputs_are_traced_once(traced):
    model = stack_of(lambda: layers.Dense(8, activation="relu"))
    assert len(traced) == 1
    assert [layer.output_shape for layer in model.layers] == [(None, 8)] * 6
    Sequential.from_config(model.get_config())
    assert len(traced) == 2


def test_a_stack_that_is_built_later_traces_once_too(traced):
    model = Sequential([layers.Dense(8) for _ in range(6)])
    model.build((None, 8))
    assert len(traced) == 1


def test_other_settings_shapes_and_dtypes_are_traced_anew():
    model = Sequential([
        layers.Input((12, 12, 3)), layers.Conv2D(4, 3), layers.Conv2D(4, 3), layers.Conv2D(4, 3, padding="same"),
        layers.MaxPooling2D(), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(4), layers.Dense(3),
    ])  # fmt: skip
    theirs = keras.Sequential.from_config({**model.get_config()})
    assert [layer.output_shape for layer in model.layers] == [tuple(each.output.shape) for each in theirs.layers]


def test_integers_and_masks_go_on_as_before():
    model = Sequential([layers.Input((5,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True)])
    model.add(layers.LSTM(4, return_sequences=True))
    model.add(layers.LSTM(4, return_sequences=True))
    assert [layer._lamina.mask_out for layer in model.layers] == [2, 2, 2]
    whole = stack_of(layers.Identity, 3, dtype="int32")
    assert [str(layer._lamina.whole_out) for layer in whole.layers] == ["int32"] * 3


def test_layers_of_ones_own_are_traced_each(traced):
    seen = []

    class Widen(layers.Layer):
        def call(self, x):
            seen.append(x.shape)
            return ops.concatenate([x, x[..., :1]], axis=-1)

    assert stack_of(Widen, 3).output_shape == (None, 11)
    assert len(seen) == 3


def test_text_layers_of_the_same_class_keep_their_own_shapes():
    def shape_of(**told):
        lookup = layers.StringLookup(vocabulary=["a", "b"], **told)
        return Sequential([layers.Input((1,), dtype="string"), lookup]).output_shape

    shapes = [shape_of(), shape_of(output_mode="multi_hot")]
    assert shapes == [(None, 1), (None, 3)]


def test_the_weights_of_equal_layers_differ():
    first, second, *_ = (layer.kernel.numpy() for layer in stack_of(lambda: layers.Dense(8)).layers)
    assert not np.array_equal(first, second)


def added(first, count):
    model = Sequential(first)
    for _ in range(count):
        model.add(layers.Dense(1))
    return model


WAYS = {
    "a list": lambda count: Sequential([layers.Dense(1) for _ in range(count)]),
    "a list with an Input": lambda count: Sequential([layers.Input((1,)), *(layers.Dense(1) for _ in range(count))]),
    "add": lambda count: added([], count),
    "add after an Input": lambda count: added([layers.Input((1,))], count),
    "add after input_shape": lambda count: added([layers.Dense(1, input_shape=(1,))], count),
    "config": lambda count: Sequential.from_config(WAYS["add"](count).get_config()),
}


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=[pytest.mark.nightly] * (way not in ("a list", "add"))) for way in WAYS]
)
def test_each_further_layer_runs_as_many_lines(way):
    def lines(count):
        counted = [0]

        def count_one(frame, event, arg):
            counted[0] += event == "line"
            return count_one

        before = sys.gettrace()
        sys.settrace(count_one)
        try:
            WAYS[way](count)
        finally:
            sys.settrace(before)
        return counted[0]

    lines(2)
    some, twice, thrice = lines(60), lines(120), lines(180)
    assert thrice - twice < 1.02 * (twice - some)


def test_add_traces_equal_layers_once(traced):
    model = added([layers.Input((1,))], 6)
    assert len(traced) == 1 and model.output_shape == (None, 1)
    model.pop()
    model.add(layers.Dense(3))
    assert len(traced) == 2 and model.output_shape == (None, 3)


def test_names_of_many_layers():
    model = added([], 12)
    assert [layer.name for layer in model.layers] == ["dense", *(f"dense_{n}" for n in range(1, 12))]
    model.pop()
    model.layers[3].name = "dense_11"
    model.add(layers.Dense(1, name="dense_40"))
    model.add(layers.Dense(1))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(1))
    names = [layer.name for layer in model.layers]
    assert names[-4:] == ["dense_40", "dense_12", "dropout", "dense_13"] and len({*names}) == len(names)
    with pytest.raises(StackError, match="two layers are called 'dense_11'"):
        model.add(layers.Dense(1, name="dense_11"))


def test_layers_that_say_they_are_equal_are_two():
    class Same(layers.Layer):
        def __eq__(self, other):
            return True

        __hash__ = layers.Layer.__hash__

        def call(self, x):
            return x

    first = Same()
    model = Sequential([first, Same()])
    assert len(model.layers) == 2
    with pytest.raises(StackError, match="is layer 1 of this stack already"):
        model.add(first)
