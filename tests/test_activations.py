"""Every activation against real Keras, its slope included; the names, configs and errors around them."""

import doctest
import inspect
import itertools
import traceback

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from lamina import activations, errors
from lamina._settings.registry import Registry
from lamina._settings.settings import Configured
from lamina._weights.weight import Weight

# Zero, the corners of all functions (with the thresholds below), and points where exp overflows or vanishes.
HALF = [0.0, 1e-3, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 3.5, 5.0, 6.0, 7.5, 20.0, 88.0, 200.0, 1e4]
POINTS = np.array([-p for p in reversed(HALF)] + HALF, np.float32)  # (34,)
ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 3
ROWS[1], ROWS[2] = [1e4, -1e4, 0.0, 200.0], [0.0, 0.0, 0.0, 0.0]

ELEMENTWISE = [
    ("linear", {}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"max_value": 5.0}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"max_value": 6, "negative_slope": 0.2}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"threshold": -1.0, "max_value": 2.0}),
    ("relu", {"negative_slope": 0.3, "threshold": 0.5, "max_value": 3}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.01}),
    ("relu6", {}),
    ("elu", {}),
    ("elu", {"alpha": 0.3}),
    ("celu", {}),
    ("celu", {"alpha": 2.0}),
    ("selu", {}),
    ("sigmoid", {}),
    ("log_sigmoid", {}),
    ("hard_sigmoid", {}),
    ("sparse_sigmoid", {}),
    ("silu", {}),
    ("swish", {}),
    ("hard_silu", {}),
    ("hard_swish", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("mish", {}),
    ("softplus", {}),
    ("sparse_plus", {}),
    ("squareplus", {}),
    ("squareplus", {"b": 0.5}),
    ("softsign", {}),
    ("tanh", {}),
    ("hard_tanh", {}),
    ("tanh_shrink", {}),
    ("soft_shrink", {}),
    ("soft_shrink", {"threshold": 1.5}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 1.5}),
    ("threshold", {"threshold": 0.5, "default_value": -2.0}),
    ("exponential", {}),
]
ALONG_AN_AXIS = [
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": -2}),
    ("glu", {}),
    ("glu", {"axis": 0}),
]
CASES = [(*case, POINTS) for case in ELEMENTWISE] + [(*case, ROWS) for case in ALONG_AN_AXIS]
PUBLIC = [n for n in dir(keras.activations) if not n.startswith("_")]


def value_and_gradient(function, x):
    y, pull = jax.vjp(function, x)
    weights = jnp.asarray(np.random.default_rng(1).normal(size=y.shape), y.dtype)
    return y, pull(weights)[0]


@pytest.mark.parametrize(("name", "arguments", "x"), CASES)
def test_equals_keras(name, arguments, x):
    x = jnp.asarray(x)
    ours = value_and_gradient(lambda x: getattr(activations, name)(x, **arguments), x)
    theirs = value_and_gradient(lambda x: getattr(keras.activations, name)(x, **arguments), x)
    compiled = jax.jit(lambda x: getattr(activations, name)(x, **arguments))(x)
    for ours_, theirs_ in [*zip(ours, theirs, strict=True), (compiled, theirs[0])]:
        assert ours_.dtype == jnp.float32
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-6, atol=1e-30)


def test_nothing_is_left_out():
    tested = {name for name, *_ in CASES} | {"sparsemax", "get", "serialize", "deserialize"}
    assert tested == set(PUBLIC)
    for name in PUBLIC:
        ours, theirs = (
            inspect.signature(getattr(module, name)).parameters for module in (activations, keras.activations)
        )
        assert {n: p.default for n, p in ours.items()} == {n: p.default for n, p in theirs.items()}, name


@pytest.mark.parametrize(("name", "arguments", "x"), [*CASES, ("sparsemax", {}, ROWS)])
def test_keeps_the_dtype(name, arguments, x):
    function = jax.jit(lambda x: value_and_gradient(lambda x: getattr(activations, name)(x, **arguments), x))
    with jax.numpy_dtype_promotion("strict"):
        assert {str(y.dtype) for y in jax.eval_shape(function, jnp.asarray(x, "bfloat16"))} == {"bfloat16"}
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        text = str(jax.make_jaxpr(function)(jnp.asarray(x, "float64")))
        assert "f64" in text
        assert "f32" not in text


@pytest.mark.parametrize(("name", "arguments", "x"), [*CASES, ("sparsemax", {}, ROWS)])
def test_nan_stays_nan(name, arguments, x):
    assert np.isnan(jax.jit(lambda x: getattr(activations, name)(x, **arguments))(x * np.float32(np.nan))).all()


def simplex_projection(z):
    """Among all sets of elements that stay above zero, the one whose result is nearest to z."""
    best = None
    for size in range(1, len(z) + 1):
        for kept in itertools.combinations(range(len(z)), size):
            p = np.zeros(len(z))
            p[list(kept)] = z[list(kept)] - (z[list(kept)].sum() - 1) / size
            if (p >= 0).all() and (best is None or ((p - z) ** 2).sum() < ((best - z) ** 2).sum()):
                best = p
    return best


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_sparsemax_is_the_projection_onto_the_simplex(scale):
    x = np.random.default_rng(2).normal(size=(8, 5)) * scale
    wanted = np.array([simplex_projection(z) for z in x])
    np.testing.assert_allclose(activations.sparsemax(x.astype(np.float32)), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(activations.sparsemax(x.astype(np.float32).T, axis=0), wanted.T, rtol=1e-5, atol=1e-6)
    far = activations.sparsemax(x.astype(np.float32) + np.float32(4096))  # a shift of all changes nothing
    np.testing.assert_allclose(far.sum(-1), 1, rtol=1e-6)


def test_sparsemax_equals_keras_where_one_element_stays_and_keras_misses_the_sum_elsewhere():
    one = np.array([[3.0, 1.0, 0.5], [-1e4, 0.0, 1e4]], np.float32)
    for ours, theirs in zip(
        jax.jit(lambda x: value_and_gradient(activations.sparsemax, x))(one),
        jax.jit(lambda x: value_and_gradient(keras.activations.sparsemax, x))(one),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)
    assert abs(float(keras.activations.sparsemax(jnp.asarray([[1.0, 0.5]])).sum()) - 1) > 0.1


def test_sparsemax_gradient_is_that_of_finite_differences():
    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(3).normal(size=(4, 6)), jnp.float64)
        weights = jnp.asarray(np.random.default_rng(4).normal(size=(4, 6)), jnp.float64)
        slope = jax.grad(lambda x: (weights * activations.sparsemax(x)).sum())(x)
        steps = jnp.eye(x.size).reshape(x.size, *x.shape) * 1e-6  # (24, 4, 6)
        rises = (weights * (activations.sparsemax(x + steps) - activations.sparsemax(x - steps))).sum((1, 2)) / 2e-6
        np.testing.assert_allclose(slope.ravel(), rises, atol=1e-8)


def test_sparsemax_ignores_masked_elements():
    y, slope = value_and_gradient(activations.sparsemax, jnp.array([[1.0, -jnp.inf, 0.5]]))
    np.testing.assert_allclose(y, [[0.75, 0.0, 0.25]], rtol=1e-6)
    assert np.isfinite(slope).all()


def test_softmax_over_two_axes():
    x = jnp.asarray(ROWS.reshape(2, 3, 4))
    np.testing.assert_allclose(activations.softmax(x, axis=(1, 2)).sum((1, 2)), 1, rtol=1e-6)


def test_takes_whatever_becomes_an_array():
    weight = Weight(jnp.array([-1.0, 2.0]))
    for x in ([-1.0, 2.0], np.array([-1, 2]), weight):
        np.testing.assert_array_equal(activations.relu(x), [0, 2])


class Doubled(Configured):
    factor: float = 2.0

    def __call__(self, x):
        return self.factor * x


def cubed(x):
    return x**3


def test_get():
    assert activations.get(None) is activations.linear
    assert activations.get("hard_swish") is activations.get("HARD_SILU") is activations.hard_silu
    doubled = Doubled()
    for given in (activations.relu, cubed, doubled):
        assert activations.get(given) is given
    assert isinstance(activations.get(Doubled), Doubled)
    for name in PUBLIC:
        if name not in ("get", "serialize", "deserialize"):
            assert activations.get(name) is getattr(activations, name)


def test_configs():
    for name in PUBLIC:
        if name not in ("get", "serialize", "deserialize"):
            config = activations.serialize(getattr(activations, name))
            assert config == keras.activations.serialize(getattr(keras.activations, name))
            assert activations.deserialize(config) is getattr(activations, name)
    config = activations.serialize(cubed)
    assert config["class_name"] == "function"
    assert activations.deserialize(config, {"cubed": cubed}) is cubed
    config = activations.serialize(Doubled(3.0))
    assert activations.deserialize(config, {"Doubled": Doubled}).factor == 3.0
    with pytest.raises(errors.UnknownNameError, match="Doubled"):
        activations.get(config)


def test_the_config_of_an_object_of_another_family(monkeypatch):
    layers = Registry("layer")
    layers.add()(Doubled)
    monkeypatch.setattr(activations._registry, "also", [layers])
    assert activations.get({"class_name": "Doubled", "config": {"factor": 5.0}}).factor == 5.0
    with pytest.raises(errors.UnknownNameError):
        activations.get("doubled")


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: activations.get("rleu"), ValueError, "no activation is called 'rleu'. Did you mean 'relu'?"),
        (
            lambda: activations.get(3),
            ValueError,
            "expected the name of an activation, an object or a function, got 3 (int).",
        ),
        (lambda: activations.glu(np.ones((2, 3))), ValueError, "even length; got shape (2, 3)"),
        (
            lambda: activations.softmax(np.ones((2, 3)), axis=2),
            ValueError,
            "axis=2 does not exist in an array of shape (2, 3)",
        ),
        (lambda: activations.log_softmax(np.ones(3), axis=-2), ValueError, "axis=-2 does not exist"),
        (lambda: activations.sparsemax(np.ones(3), axis=1), ValueError, "axis=1 does not exist"),
        (lambda: activations.rleu, AttributeError, "no attribute 'rleu'. Did you mean 'relu'?"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
    assert isinstance(caught.value, errors.LaminaError)


def test_the_traceback_ends_on_the_users_line():
    with pytest.raises(errors.ShapeError) as caught:
        activations.glu(np.ones(3))
    assert traceback.extract_tb(caught.value.__traceback__)[-1].filename == __file__


def test_import_of_a_misspelt_name():
    with pytest.raises(ImportError, match="Did you mean 'sigmoid'"):
        from lamina.activations import sigmod  # noqa: F401


def test_softmax_over_one_element_is_worth_a_warning():
    with pytest.warns(errors.LaminaWarning, match="sigmoid") as caught:
        activations.softmax(np.ones((4, 1)))
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", PUBLIC)
def test_examples(name):
    function = getattr(activations, name)
    (example,) = doctest.DocTestFinder(recurse=False).find(function, name, globs=vars(activations))
    assert doctest.DocTestRunner().run(example).failed == 0
    assert example.examples or name in ("serialize", "deserialize")
