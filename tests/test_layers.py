"""Properties that every layer has, over the rows of cases.py, with real Keras as the oracle."""

import functools
import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from cases import CASES, Case, one_of_each
from quick import OPTIONS, quickly

import lamina
from lamina import layers

# These reach next to no line that the layers' other tests do not, and to measure it takes a third more time.
pytestmark = pytest.mark.no_cover

ROWS = 6
every_case = pytest.mark.parametrize("case", CASES, ids=str)
one_of_each_class = pytest.mark.parametrize("case", one_of_each())


def formulas(case):
    """A layer that is not told of training has one formula."""
    told = "training" in inspect.signature(getattr(layers, case.name).call).parameters
    return [False, True] if told else [False]


in_both_ways = pytest.mark.parametrize(
    ("case", "training"), [(case, training) for case in CASES for training in formulas(case)], ids=str
)
one_of_each_in_both_ways = pytest.mark.parametrize(
    ("case", "training"),
    [
        pytest.param(*row.values, training, marks=row.marks, id=f"{row.id}-{training}")
        for row in one_of_each()
        for training in formulas(*row.values)
    ],
)


def data(case: Case, rows: int = ROWS, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(7).normal(0.5, 2, (rows, *case.shape)).astype(dtype)


def made(case: Case, dtype: str | None = None):
    """Our layer, built, with weights that are not at their tidy start."""
    layer = case.make(layers, dtype=dtype)
    layer.compute_output_shape((ROWS, *case.shape))  # builds it, and compiles nothing
    rng = np.random.default_rng(3)
    layer.set_weights([rng.uniform(0.5, 1.5, w.shape).astype(w.dtype) for w in layer.weights])
    return layer


@functools.lru_cache(maxsize=2)  # the tests of one case follow each other: conftest.py
def inference(case_index: int):
    """The case's layer in float32 as one program of its weights and the data."""
    layer = made(CASES[case_index])
    return quickly(lambda params, state, x: layer.stateless_call(params, state, x, training=False)[0])


def theirs(case: Case, layer):
    """Keras's layer with the same weights."""
    other = case.make(keras.layers)
    other.build((None, *case.shape))
    mine, its = arrays(layer), (other.trainable_variables, other.non_trainable_variables)
    for values, variables in zip(mine, its, strict=True):
        for value, variable in zip(values, variables, strict=True):
            variable.assign(value)
    return other


def arrays(layer):
    return their_arrays(layer)


def their_arrays(layer):
    return [v.value for v in layer.trainable_variables], [v.value for v in layer.non_trainable_variables]


def scalar(call, x):
    """A loss whose gradient reaches every output and every weight with another factor."""

    def loss(params, x):
        y = call(params, x)
        return jnp.sum(y * jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    return jax.grad(loss, (0, 1))


@in_both_ways
def test_equals_keras(case, training):
    if training and case.random:
        pytest.skip("draws random numbers: test_random.py looks at those")
    ours = made(case)
    other = theirs(case, ours)
    x = jnp.asarray(data(case))
    (p, s), (kp, ks) = arrays(ours), their_arrays(other)
    told = {"training": training} if "training" in inspect.signature(other.call).parameters else {}

    def mine(p, x):
        gradients = scalar(lambda p, x: ours.stateless_call(p, s, x, training=training)[0], x)
        return *ours.stateless_call(p, s, x, training=training), gradients(p, x)

    def its(kp, x):
        gradients = scalar(lambda p, x: other.stateless_call(p, ks, x, **told)[0], x)
        return *other.stateless_call(kp, ks, x, **told), gradients(kp, x)

    y, state, grads = jax.jit(mine)(p, x)
    want, want_state, want_grads = jax.jit(its)(kp, x)
    assert_alike(y, want)
    for got, expected in zip(state, want_state, strict=True):
        if got.dtype == "uint32":  # the state of a seed, which Keras counts in training only
            continue
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-6)
    for got, expected in zip(jax.tree.leaves(grads), jax.tree.leaves(want_grads), strict=True):
        assert_alike(got, expected)


def assert_alike(mine, its):
    """What cancels to a small element still has the rounding of its terms, which are of the others' size."""
    np.testing.assert_allclose(mine, its, rtol=1e-5, atol=max(3e-6, 2e-7 * np.abs(its).max()))


@every_case
def test_output_shape_needs_no_batch_size(case):
    layer = case.make(layers)
    shape = layer.compute_output_shape((None, *case.shape))
    assert shape[0] is None
    assert jax.eval_shape(layer, data(case)).shape == (ROWS, *shape[1:])


@every_case
def test_rows_do_not_depend_on_each_other(case):
    weights, run = arrays(made(case)), inference(CASES.index(case))
    x = data(case)
    np.testing.assert_allclose(run(*weights, x)[:2], run(*weights, x[:2]), rtol=1e-6, atol=1e-6)


@one_of_each_in_both_ways
def test_gradients_equal_finite_differences(case, training):
    if training and (case.random or case.divides or case.settings.get("renorm")):
        pytest.skip("draws random numbers, or takes some of its factors as constants")
    with jax.enable_x64(True):
        layer = made(case, "float64")
        params, state = arrays(layer)
        x = jnp.asarray(data(case, dtype="float64"))

        def loss(params, x):
            y = layer.stateless_call(params, state, x, training=training)[0]
            return jnp.sum(y * jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

        value, grads = quickly(loss), quickly(jax.grad(loss, (0, 1)))(params, x)
        assert value(params, x).dtype == jnp.float64
        rng = np.random.default_rng(1)
        along = jax.tree.map(lambda a: rng.normal(size=a.shape), (params, x))
        step = 1e-6
        plus, minus = (
            jax.tree.map(lambda a, d, s=s: np.asarray(a) + s * step * d, (params, x), along) for s in (1, -1)
        )
        slope = (value(*plus) - value(*minus)) / (2 * step)
        want = sum(np.vdot(g, d) for g, d in zip(jax.tree.leaves(grads), jax.tree.leaves(along), strict=True))
        np.testing.assert_allclose(slope, want, rtol=1e-6, atol=1e-8)


@one_of_each_class
@pytest.mark.parametrize(
    "policy",
    ["bfloat16", "mixed_float16", *(pytest.param(p, marks=pytest.mark.nightly) for p in ("mixed_bfloat16", "float16"))],
)
def test_sixteen_bits(case, policy):
    layer = made(case, policy)
    each_rounds = {"xla_allow_excess_precision": False}  # to 16 bits, as an operation by itself does
    y = jax.jit(functools.partial(layer, training=False), compiler_options=OPTIONS | each_rounds)(data(case))
    if case.random:
        assert quickly(functools.partial(layer, training=True))(data(case)).dtype == y.dtype
    assert y.dtype == policy.removeprefix("mixed_")
    assert {w.dtype for w in layer.weights} <= {"float32" if policy.startswith("mixed") else y.dtype.name}
    weights = jax.tree.map(lambda w: w.astype("float32"), arrays(layer))
    wide = inference(CASES.index(case))(*weights, data(case))
    np.testing.assert_allclose(np.asarray(y, "float32"), wide, rtol=0.05, atol=0.5 if case.steep else 0.1)


@one_of_each_class
def test_two_calls_leave_no_traced_value_behind(case):
    layer, x = case.make(layers), jnp.asarray(data(case))
    shape = layer(x).shape  # the first call builds it
    first = quickly(lambda x: layer(x, training=False))(x)
    second = quickly(lambda x: layer(x, training=False) * 1)(x)
    np.testing.assert_allclose(first, second, rtol=1e-6)
    assert all(isinstance(w.value, jax.Array) and not isinstance(w.value, jax.core.Tracer) for w in layer.weights)
    assert_alike(layer(x, training=False), first)  # the same operations one by one
    assert first.shape == shape


@one_of_each_class
@pytest.mark.filterwarnings("ignore:.*supports no masks:lamina.errors.LaminaWarning")
def test_trains_in_a_stack(case):
    model = lamina.Sequential([layers.Input(case.shape), case.make(layers)])
    model.add(layers.Flatten())
    model.add(layers.Dense(1))
    model.compile("sgd", "mse")
    history = model.fit(data(case), np.ones(ROWS, "float32"), epochs=2, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    again = lamina.Sequential.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(data(case)), model.predict(data(case)))
