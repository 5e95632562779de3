"""What is said of mistakes in a layer of one's own that holds other layers: where, what came, and what to type."""

import traceback

import numpy as np
import pytest

from lamina import Sequential, layers, ops
from lamina.errors import LaminaError

ROWS = np.ones((8, 4), "float32")
SERIES = np.ones((8, 5, 4), "float32")


def block(call, **held):
    """A stack of one layer that holds these layers, and whose `call` is this function."""

    def init(self):
        layers.Layer.__init__(self)
        for name, layer in held.items():
            setattr(self, name, layer)

    return Sequential([type("Block", (layers.Layer,), {"__init__": init, "call": call})()])


def said(model, x=ROWS):
    """What Python prints of the error, without the lines of code."""
    with pytest.raises((LaminaError, KeyError)) as caught:
        model(x)
    return "".join(traceback.format_exception_only(caught.value))


CASES = {
    "one list for two arguments": (
        lambda: said(block(lambda self, x: self.a([x, x]), a=layers.MultiHeadAttention(2, 3, name="a")), SERIES),
        ["a (MultiHeadAttention)", "got a list of 2", "a(query, value)"],
    ),
    "a list for one tensor": (
        lambda: said(block(lambda self, x: self.d([x, x]), d=layers.Dense(2, name="d"))),
        ["d (Dense) takes one array, got a list of 2", "layers.Concatenate()"],
    ),
    "two arguments for a list": (
        lambda: said(block(lambda self, x: self.a(x, x), a=layers.Add(name="a"))),
        ["a (Add)", "one tensor", "write a([a, b])"],
    ),
    "attention of one tensor": (
        lambda: said(block(lambda self, x: self.a(x), a=layers.Attention()), SERIES),
        ["got one tensor", "layer([query, value])"],
    ),
    "an inner layer without return": (
        lambda: said(block(lambda self, x: self.d(self.n(x)), n=layers.Lambda(lambda x: None), d=layers.Dense(2))),
        ["takes one array, got None", "no return"],
    ),
    "a layer returned": (
        lambda: said(block(lambda self, x: self.d, d=layers.Dense(2))),
        ["returns a Dense, and a layer returns a tensor"],
    ),
    "a text returned": (lambda: said(block(lambda self, x: "x")), ["returns a str, and a layer returns a tensor"]),
    "a layer that was not called": (
        lambda: said(block(lambda self, x: x + self.d, d=layers.Dense(2))),
        ["'Array' and 'Dense'"],
    ),
    "NumPy in call": (
        lambda: said(block(lambda self, x: self.d(np.tanh(np.asarray(x))), d=layers.Dense(2))),
        ["NumPy, SciPy and others cannot take it: write the function of jax.numpy"],
    ),
    "no input": (lambda: said(block(lambda self: 1)), ["Its call takes no input: write def call(self, x)"]),
    "not even self": (lambda: said(block(lambda: 1)), ["Its call takes no input: write def call(self, x)"]),
    "a key that is not there": (
        lambda: said(block(lambda self, x: self.f({"a": x}), f=layers.Lambda(lambda d: d["b"], name="f"))),
        ["KeyError: 'b'", "f (Lambda) was given a dict with the keys 'a'"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_told_with_what_to_type(case):
    found, wanted = CASES[case][0](), CASES[case][1]
    for text in wanted:
        assert text in found
    assert found.count("\n") <= 15 and "Tracer" not in found and "forward.py" not in found


def test_a_name_is_suggested_once():
    model = block(lambda self, x: self.attn(x, x), att=layers.MultiHeadAttention(2, 3))
    assert said(model, SERIES).count("Did you mean") == 1


def test_other_rows_are_told():
    layer = layers.MultiHeadAttention(2, 3)
    with pytest.raises(ValueError, match=r"expects as many rows in each\s+input,\s+got\s+\(8, 5, 4\), \(4, 5, 4\)"):
        layer(SERIES, SERIES[:4])
    assert layer(SERIES, SERIES[:1]).shape == SERIES.shape  # one row is for all


def test_a_list_that_a_layer_of_ones_own_returns():
    model = block(lambda self, x: [ops.sum(x, axis=-1, keepdims=True)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"takes one tensor\.\sLet its call return"):
        model.fit(ROWS, ROWS[:, :1], verbose=0)
    with pytest.raises(ValueError, match="Let its call return one tensor, not a list"):
        Sequential([block(lambda self, x: [x, x]).layers[0], layers.Dense(1)])(ROWS)
