"""EinsumDense, with real Keras as the oracle."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.einsum import EinsumDense

ROWS = [
    ("ab,bc->ac", 4, "c", (5,)),
    ("abc,cd->abd", (None, 4), None, (3, 5)),
    ("...x,xy->...y", 4, "y", (3, 2, 5)),
    ("abc,cde->abde", (None, 2, 3), "de", (3, 5)),
    ("ab...,bc->ac...", 4, "c", (5, 3)),
]


@pytest.mark.parametrize(("equation", "sizes", "bias", "shape"), ROWS)
def test_equals_keras(equation, sizes, bias, shape):
    settings = {"bias_axes": bias, "activation": "tanh"}
    ours = EinsumDense(equation, sizes, **settings, name="e")
    theirs = keras.layers.EinsumDense(equation, sizes, **settings, name="e")
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype("float32")
    theirs.build((None, *shape))
    ours(x)
    ours.set_weights([w + 0.1 for w in theirs.get_weights()])
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-5, atol=1e-6)
    assert ours.compute_output_shape((None, *shape))[0] is None
    config, want = ours.get_config(), theirs.get_config()
    assert list(config["output_shape"]) == list(want["output_shape"]) and config["equation"] == want["equation"]
    assert set(want) == set(config)
    assert EinsumDense.from_config(config).get_config() == config


def test_the_fans_follow_the_letters():
    kernel = EinsumDense("abc,cde->abde", (None, 20, 30))
    kernel(jnp.ones((1, 2, 10)))
    limit = np.sqrt(6 / (10 + 20 * 30))
    assert 0.9 * limit < np.abs(kernel.kernel.numpy()).max() <= limit


def test_what_it_refuses():
    with pytest.raises(ArgumentError, match="expected 'ab,bc->ac'"):
        EinsumDense("ab,bc", 3)
    for equation, sizes, bias, hint in (
        ("abc,cd->abd", (None, 4), None, "expects 3 dimensions"),
        ("ab,bc->ac", (3, 4), None, "sizes and letters differ"),
        ("ab,bc->ac", 4, "b", "does not have in its output"),
        ("ab,bd->ac", 4, None, "neither in the input nor in the kernel"),
        ("ab,bde->ad", 4, None, "neither input nor output"),
    ):
        with pytest.raises(ShapeError) as caught:
            lamina.Sequential([layers.Input((5,)), EinsumDense(equation, sizes, bias_axes=bias)])
        assert hint in " ".join(str(caught.value).split()), equation
