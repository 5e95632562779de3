"""Every regularizer and constraint against real Keras; configs, names, the user's own, and errors."""

import inspect
import json

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from lamina import constraints, errors, regularizers
from lamina._weights.weight import Weight

W = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
W[1], W[:, 2], W[3, 3] = 0.0, [0.0, 0.0, 3.0, -4.0, 0.0], 1e4  # a row of zeros, a column of length 5, one far out
KERNEL = np.random.default_rng(1).normal(size=(2, 3, 4, 6)).astype(np.float32)

REGULARIZERS = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 2}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]
CONSTRAINTS = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 5.0, "axis": 1}),
    ("MaxNorm", {"max_value": 1.5, "axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": -1}),
    ("UnitNorm", {"axis": [0, 1]}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 2.0, "max_value": 5, "rate": 0.3, "axis": 1}),
]
FAMILIES = [(regularizers, keras.regularizers, case) for case in REGULARIZERS]
FAMILIES += [(constraints, keras.constraints, case) for case in CONSTRAINTS]


@pytest.mark.parametrize(("name", "arguments"), REGULARIZERS)
@pytest.mark.parametrize("w", [W[[0, 2, 3, 4]], KERNEL], ids=["matrix", "kernel"])
def test_regularizer_equals_keras(name, arguments, w):
    if name == "OrthogonalRegularizer" and w.ndim > 2:
        w = w.reshape(-1, 6)
    ours, theirs = getattr(regularizers, name)(**arguments), getattr(keras.regularizers, name)(**arguments)
    (cost, slope), (cost_, slope_) = (jax.jit(jax.value_and_grad(each))(w) for each in (ours, theirs))
    assert cost.shape == ()
    assert_allclose(cost, cost_, rtol=1e-6)
    assert_allclose(slope, slope_, rtol=1e-6, atol=1e-6 * abs(slope_).max())
    assert_allclose(ours(Weight(w)), cost, rtol=1e-6)


def test_rows_of_zeros_cost_nothing_and_have_a_gradient():
    for dtype in ("float32", "float16"):
        cost, slope = jax.jit(jax.value_and_grad(regularizers.OrthogonalRegularizer()))(jnp.zeros((3, 4), dtype))
        assert float(cost) == 0.0
        assert np.isfinite(slope).all()
    assert float(regularizers.OrthogonalRegularizer()(jnp.ones((1, 4)))) == 0.0


def test_a_part_with_factor_zero_is_left_out():
    far = jnp.full((4,), 300.0, jnp.float16)  # its sum of squares is infinite in 16 bits
    assert float(regularizers.L1L2(l1=0.5)(far)) == 600.0


@pytest.mark.parametrize(("name", "arguments"), CONSTRAINTS)
@pytest.mark.parametrize("w", [W, KERNEL], ids=["matrix", "kernel"])
def test_constraint_equals_keras(name, arguments, w):
    ours, theirs = getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)
    assert_allclose(jax.jit(ours)(w), jax.jit(theirs)(w), rtol=1e-6)
    assert_allclose(ours(Weight(w)), ours(w), rtol=1e-6)


def test_norms_after_the_constraint():
    assert_allclose(np.linalg.norm(constraints.UnitNorm(axis=[0, 1, 2])(KERNEL).reshape(-1, 6), axis=0), 1, rtol=1e-5)
    assert np.linalg.norm(constraints.MaxNorm(2.0)(W), axis=0).max() <= 2 + 1e-5
    held = np.linalg.norm(constraints.MinMaxNorm(2.0, 5.0, axis=1)(W[[0, 2, 3, 4]]), axis=1)
    assert held.min() >= 2 - 1e-5
    assert held.max() <= 5 + 1e-5


@pytest.mark.parametrize(("ours", "theirs", "case"), FAMILIES)
def test_keeps_the_dtype(ours, theirs, case):
    function = getattr(ours, case[0])(**case[1])
    with jax.numpy_dtype_promotion("strict"):
        assert function(jnp.asarray(W, "bfloat16")).dtype == "bfloat16"
        with jax.enable_x64(True):
            text = str(jax.make_jaxpr(function)(jnp.asarray(W, "float64")))
            assert "f64" in text
            assert "f32" not in text


@pytest.mark.parametrize(("ours", "theirs", "case"), FAMILIES)
def test_configs(ours, theirs, case):
    name, arguments = case
    config, config_ = (
        json.loads(json.dumps(module.serialize(getattr(module, name)(**arguments)))) for module in (ours, theirs)
    )
    values, values_ = config.pop("config"), config_.pop("config")
    assert config == config_
    for key in values_:  # Keras rounds some to float32
        assert values[key] == (pytest.approx(values_[key], rel=1e-6) if key in ("l1", "l2", "factor") else values_[key])
    assert values.keys() == values_.keys()
    config["config"] = values
    for again in (ours.get(config), ours.deserialize(config)):
        assert type(again) is getattr(ours, name)
        assert json.loads(json.dumps(ours.serialize(again))) == config
        assert_array_equal(again(W), getattr(ours, name)(**arguments)(W))
    assert_allclose(theirs.get(config)(jnp.asarray(W[[0, 2]])), ours.get(config)(W[[0, 2]]), rtol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [(regularizers, keras.regularizers), (constraints, keras.constraints)])
def test_names(ours, theirs):
    for name in (n for n in dir(theirs) if not n.startswith("_")):
        one, other = getattr(ours, name), getattr(theirs, name)
        assert one.__name__ == other.__name__
        one, other = inspect.signature(one).parameters, inspect.signature(other).parameters
        assert [(n, p.default) for n, p in one.items()] == [(n, p.default) for n, p in other.items()], name
        if name not in ("get", "serialize", "deserialize", "Regularizer", "Constraint"):
            assert type(ours.get(name)) is getattr(ours, name)
            assert type(ours.get(getattr(ours, name))) is getattr(ours, name)
    assert ours.get(None) is None


def test_l1_l2_by_its_name_alone_does_something():
    for name in ("l1_l2", "L1L2", "l1l2"):
        assert regularizers.get(name).get_config() == {"l1": 0.01, "l2": 0.01}
    assert regularizers.L1L2().get_config() == {"l1": 0.0, "l2": 0.0}
    assert regularizers.L1(None).l1 == 0.01
    assert regularizers.L1L2(None, 0.5).get_config() == {"l1": 0.0, "l2": 0.5}


class Spread(regularizers.Regularizer):
    """As one writes it for Keras."""

    def __init__(self, strength=0.1):
        self.strength = strength

    def __call__(self, x):
        return self.strength * jnp.var(x)

    def get_config(self):
        return {"strength": self.strength}


class Clipped(constraints.Constraint):
    """As one writes it for Keras."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, w):
        return jnp.clip(w, -self.limit, self.limit)


def halved(w):
    return w / 2


@pytest.mark.parametrize(
    ("family", "own", "config"),
    [(regularizers, Spread(0.5), {"strength": 0.5}), (constraints, Clipped(limit=1), {"limit": 1})],
)
def test_the_users_own(family, own, config):
    assert family.get(own) is own
    assert family.get(halved) is halved
    described = family.serialize(own)
    assert (described["module"], described["class_name"], described["config"]) == (__name__, type(own).__name__, config)
    again = family.deserialize(described, {type(own).__name__: type(own)})
    assert_array_equal(again(W), own(W))
    assert family.deserialize(family.serialize(halved), {"halved": halved}) is halved


def test_base_classes_do_nothing():
    assert float(regularizers.Regularizer()(W)) == 0.0
    assert_array_equal(constraints.Constraint()(W), W)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: regularizers.get("l22"), ValueError, "no regularizer is called 'l22'. Did you mean 'l2'?"),
        (
            lambda: regularizers.get(0.01),
            ValueError,
            "expected the name of a regularizer, an object or a function, got 0.01",
        ),
        (
            lambda: regularizers.l3,
            AttributeError,
            "There are: deserialize, get, l1, l1_l2, l2,",
        ),
        (lambda: regularizers.L1(-0.1), ValueError, "L1(l1=-0.1): expected a finite number of at least 0"),
        (lambda: regularizers.L2(float("inf")), ValueError, "L2(l2=inf): expected a finite number"),
        (lambda: regularizers.L2(float("nan")), ValueError, "L2(l2=nan): expected a finite number of at least 0"),
        (lambda: regularizers.L2("0.1"), ValueError, "L2(l2='0.1'): expected a number"),
        (lambda: regularizers.L2(l1=0.1), ValueError, "L2 has no argument 'l1'.\nIts arguments are: l2."),
        (lambda: regularizers.OrthogonalRegularizer(mode="row"), ValueError, "Did you mean 'rows'?"),
        (lambda: regularizers.OrthogonalRegularizer()(KERNEL), ValueError, "weights of 2 axes, got shape (2, 3, 4, 6)"),
        (lambda: constraints.get("maxnrm"), ValueError, "no constraint is called 'maxnrm'. Did you mean 'max_norm'?"),
        (lambda: constraints.get(2), ValueError, "expected the name of a constraint, an object or a function, got 2"),
        (lambda: constraints.NonNegative, AttributeError, "Did you mean 'NonNeg'?"),
        (lambda: constraints.MaxNorm(-1), ValueError, "MaxNorm(max_value=-1): expected a finite number of at least 0"),
        (lambda: constraints.MaxNorm(axis=0.5), ValueError, "MaxNorm(axis=0.5): expected a whole number"),
        (lambda: constraints.MaxNorm(axis=2)(W), ValueError, "axis=2 does not exist in a weight of shape (5, 4)"),
        (
            lambda: constraints.UnitNorm(axis=[0, 1, 2])(W),
            ValueError,
            "axis=2 does not exist in a weight of shape (5, 4)",
        ),
        (lambda: constraints.MinMaxNorm(2.0, 1.0), ValueError, "MinMaxNorm: min_value=2.0 lies above max_value=1.0"),
        (lambda: constraints.MinMaxNorm(rate=1.5), ValueError, "MinMaxNorm(rate=1.5): expected a number from 0 to 1"),
        (lambda: constraints.MaxNorm(max=1), ValueError, "MaxNorm has no argument 'max'"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
    assert isinstance(caught.value, errors.LaminaError)
