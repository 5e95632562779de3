"""Dtype policies and the global defaults."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from lamina import Layer, dtypes, layers
from lamina._kernels import precision
from lamina._settings.settings import serialize
from lamina.errors import ArgumentError, UnknownNameError


@pytest.fixture(autouse=True)
def defaults():
    before = dict(dtypes._default)
    yield
    dtypes._default.update(before)


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "int32"])
def test_policy_is_that_of_keras(name):
    ours, theirs = dtypes.DTypePolicy(name), keras.DTypePolicy(name)
    assert (ours.name, ours.compute_dtype, ours.variable_dtype) == (
        theirs.name,
        theirs.compute_dtype,
        theirs.variable_dtype,
    )
    assert serialize(ours) == keras.saving.serialize_keras_object(theirs)
    assert dtypes.get(serialize(ours)) == ours and hash(dtypes.get(name)) == hash(ours)


@pytest.mark.parametrize("identifier", [jnp.bfloat16, np.dtype("float16"), np.float32, float, "mixed_float16"])
def test_get_takes_what_keras_takes(identifier):
    assert dtypes.get(identifier).name == keras.dtype_policies.get(identifier).name


def test_get_returns_a_policy_as_it_is():
    policy = dtypes.DTypePolicy("bfloat16")
    assert dtypes.get(policy) is policy
    assert repr(policy) == repr(keras.DTypePolicy("bfloat16")) == '<DTypePolicy "bfloat16">'
    assert policy != dtypes.DTypePolicy("mixed_bfloat16") and policy != "bfloat16"


def test_global_policy():
    assert dtypes.get(None).name == dtypes.DTypePolicy().name == "float32"
    dtypes.set_floatx("float16")
    assert dtypes.dtype_policy().name == "float16"
    dtypes.set_dtype_policy("mixed_bfloat16")
    assert dtypes.get().name == dtypes.DTypePolicy(None).name == "mixed_bfloat16"
    assert dtypes.floatx() == "float16"


def test_epsilon():
    assert dtypes.epsilon() == keras.config.epsilon() == 1e-7
    dtypes.set_epsilon(1e-3)
    assert dtypes.epsilon() == 1e-3
    for wrong in (0, -1.0, "small"):
        with pytest.raises(ArgumentError, match="number"):
            dtypes.set_epsilon(wrong)


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("flaot32", "float32"),
        ("mixed_bfloat", "mixed_bfloat16"),
        ("mixed_flaot16", "mixed_float16"),
        ("FLOAT16", "float16"),
    ],
)
def test_misspelt_name(wrong, nearest):
    for call in (dtypes.DTypePolicy, dtypes.get, dtypes.set_dtype_policy):
        with pytest.raises(UnknownNameError, match=f"{wrong}.*Did you mean '{nearest}'"):
            call(wrong)


def test_wrong_values():
    for call, wrong in [
        (dtypes.get, 3.5),
        (dtypes.get, {"class_name": "Dense", "config": {}}),
        (dtypes.DTypePolicy, 32),
        (dtypes.set_dtype_policy, None),
        (dtypes.set_floatx, 64),
    ]:
        with pytest.raises(ArgumentError, match="expected"):
            call(wrong)
    with pytest.raises(UnknownNameError, match="There are: bfloat16, float16"):
        dtypes.set_floatx("mixed_float16")


@pytest.mark.parametrize("how", ["DTypePolicy('float64')", "set_floatx('float64')", "get(numpy.float64)"])
def test_float64_switches_jax_over(how):
    code = f"""if True:
        import jax.numpy as jnp
        import numpy
        from lamina import dtypes
        dtypes.DTypePolicy("int64")
        assert jnp.asarray(1.0).dtype == "float32"
        dtypes.{how}
        assert jnp.zeros(2, "float64").dtype == "float64"
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dense(3, activation="relu"), (2, 4)),
        (layers.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d"), (2, 5, 3)),
        (layers.Conv2D(3, 2), (2, 5, 5, 2)),
        (layers.Conv2DTranspose(3, 2), (2, 5, 5, 2)),
        (layers.DepthwiseConv2D(2), (2, 5, 5, 2)),
        (layers.SeparableConv2D(3, 2), (2, 5, 5, 2)),
        (layers.LSTM(3), (2, 4, 3)),
        (layers.GRU(3, reset_after=False), (2, 4, 3)),
        (layers.MaxPooling2D(), (2, 4, 4, 3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_a_cpu_computes_products_of_16_bits_in_float32(layer, shape, monkeypatch):
    """Where its own instructions for 16-bit products are slower than those for float32, or are missing."""
    monkeypatch.setattr(precision, "half_pays", lambda: False)
    layer = type(layer).from_config(layer.get_config() | {"dtype": "mixed_bfloat16"})
    x = np.linspace(-1, 1, np.prod(shape)).reshape(shape).astype("bfloat16")
    layer.build(shape)
    weights = [jnp.asarray(weight) for weight in layer.trainable_variables]
    fixed = [weight.value for weight in layer.non_trainable_variables]

    def loss(weights, x):
        y = layer.stateless_call(weights, fixed, x)[0]
        assert y.dtype == "bfloat16"
        return jnp.sum(jnp.square(y.astype("float32")))

    text = str(jax.make_jaxpr(jax.grad(loss, (0, 1)))(weights, x))
    products = [line for line in text.splitlines() if re.search("dot_general|conv_general|ffi_call", line)]
    assert "f32" in text and not [line for line in products if re.search("bf16.* = ", line)]
    wide = type(layer).from_config(layer.get_config() | {"dtype": "float32"})
    wide.build(shape)
    expected = wide.stateless_call(weights, fixed, x.astype("float32"))[0]
    twice = isinstance(layer, (layers.SeparableConv2D, layers.GRU))  # in between, as in Keras, stand 16 bits
    np.testing.assert_allclose(layer(x).astype("float32"), expected.astype("bfloat16"), atol=0.01 if twice else 0)
