"""Normalization layers beside Keras's: numbers that 16 bits lack, integers, and masks that broadcast."""

import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import LaminaError

BOTH = keras, lamina


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("GroupNormalization", {"groups": 2}), ("LayerNormalization", {}), ("BatchNormalization", {}),
        ("RMSNormalization", {}), ("UnitNormalization", {}),
    ],
)  # fmt: skip
def test_a_normalization_in_16_bits_of_numbers_that_float16_lacks_is_keras(kind, told, policy):
    x = np.array([[[70000, 60000, 1, 2], [5, 6, 7, 70001]]], "float32")
    made = [getattr(each.layers, kind)(dtype=policy, **told) for each in BOTH]
    theirs, ours = (layer(x) for layer in made)
    assert str(theirs.dtype) == str(ours.dtype)
    np.testing.assert_allclose(*(np.asarray(y, "float32") for y in (theirs, ours)), atol=2e-2, rtol=1e-2)
    assert [layer.autocast for layer in made] == [made[0].autocast] * 2
    assert "autocast" not in made[1].get_config()


def test_integers_are_normalized_as_floats():
    x = np.array([[1, 2, 3, 7]])  # Keras's GroupNormalization makes 0 of them
    for kind, told in (("GroupNormalization", {"groups": 2}), ("LayerNormalization", {})):
        theirs = getattr(keras.layers, kind)(**told)(x.astype("float32"))
        ours = getattr(layers, kind)(**told)(x)
        assert ours.dtype == "float32"
        np.testing.assert_allclose(theirs, ours, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 2, 1), (2, 1, 3), (1, 2, 3), (2, 2, 3)])
def test_a_mask_of_size_1_on_an_axis_counts_for_all_of_it(shape):
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype("float32")
    mask = np.ones(shape, "float32")
    mask.flat[0] = 0
    made = [each.layers.BatchNormalization(momentum=0.5) for each in BOTH]
    theirs, ours = (layer(x, training=True, mask=mask) for layer in made)
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    for before, after in zip(made[0].weights, made[1].weights, strict=True):
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(LaminaError, match="mask that begins as its input"):
        layers.BatchNormalization()(np.ones((2, 2, 3, 4)), training=True, mask=np.ones((2, 3)))
