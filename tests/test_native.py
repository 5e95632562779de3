"""lamina-onednn against the same formulas in XLA: recurrent nets, loops, threads, and what it leaves alone."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import layers, optimizers
from lamina._kernels import recurrent
from lamina._kernels.convolution import Window, forward

pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")


@pytest.fixture
def computed_by(monkeypatch):
    return lambda tier: monkeypatch.setenv("LAMINA_KERNELS", tier)


def arguments(seed, time, batch, features, units, gates, states):
    """x, kernel, bias, states and the recurrent kernel."""
    rng = np.random.default_rng(seed)

    def array(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32) / 2

    kernels = array(time, batch, features), array(features, gates * units), array(gates * units)
    return *kernels, *[array(batch, units) for _ in range(states)], array(units, gates * units)


def results(net, arguments, reverse, mask=None):
    """The outputs, and the gradients of all arguments."""
    outputs, back = jax.vjp(lambda *a: net(*a, mask, reverse), *arguments)
    return outputs, back(jax.tree.map(jnp.cos, outputs))


sizes = st.tuples(st.integers(1, 9), st.integers(1, 21), st.integers(1, 9), st.integers(1, 20))


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@given(sizes, st.booleans(), st.booleans(), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_recurrent_nets_of_any_size_equal_the_scan(kind, size, reverse, masked, seed):
    mask = jnp.asarray(np.random.default_rng(seed).random(size[:2]) < 0.7) if masked else None
    if kind == "lstm":
        net, taken = recurrent.lstm, arguments(seed, *size, 4, 2)
    else:
        net, taken = recurrent.gru, arguments(seed, *size, 3, 1)
        taken = (*taken, taken[2] / 3)  # the second bias
    both = []
    for tier in ("xla", "onednn"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAMINA_KERNELS", tier)
            both.append(jax.jit(lambda *a: (net(*a, mask, reverse), results(net, a, reverse, mask)))(*taken))
    for want, got in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_long_sequences_end_within_a_span(computed_by):
    """Steps go through the products in spans of about 128 rows: here 9 steps of 15 rows, and 41 are no multiple."""
    taken = arguments(0, 41, 29, 5, 7, 4, 2)
    got, want = ((computed_by(tier), results(recurrent.lstm, taken, True))[1] for tier in ("onednn", "xla"))
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_gradient_of_data_is_not_computed(computed_by):
    computed_by("onednn")
    x, *others = arguments(0, 4, 3, 5, 6, 4, 2)

    def loss(others, x):
        return jnp.sum(recurrent.lstm(x, *others, None)[0])

    shapes = [
        [v.aval.shape for v in e.outvars]
        for e in jax.make_jaxpr(jax.grad(loss))(others, x).eqns
        if e.primitive.name == "ffi_call"
    ]
    assert shapes[-1][0] == (0, 0, 0)
    want = jax.grad(loss)(others, x)
    for a, b in zip(want, jax.grad(loss, (0, 1))(others, x)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "unroll"),
    [("float64", False), ("float32", True)],
    ids=["64 bits", "unroll"],
)
def test_what_it_does_not_take_goes_by_xla(computed_by, dtype, unroll):
    computed_by("onednn")
    with jax.enable_x64(dtype == "float64"):
        taken = [a.astype(dtype) for a in arguments(0, 4, 3, 5, 6, 4, 2)]
        text = str(jax.make_jaxpr(lambda *a: recurrent.lstm(*a, None, False, unroll)[0])(*taken))
    assert "ffi_call" not in text and "scan" in text


def test_a_batch_axis_of_vmap_becomes_a_loop(computed_by):
    computed_by("onednn")
    taken = arguments(0, 4, 3, 5, 6, 4, 2)
    many = jnp.stack([taken[0], taken[0] / 2])
    got = jax.jit(jax.vmap(lambda x: recurrent.lstm(x, *taken[1:], None)[0]))(many)
    want = jnp.stack([recurrent.lstm(x, *taken[1:], None)[0] for x in many])
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_many_threads_share_primitives(computed_by):
    computed_by("onednn")
    window = Window((1, 1), ((1, 1), (1, 1)), (1, 1))

    def work(seed):
        rng = np.random.default_rng(seed % 3)
        x = jnp.asarray(rng.normal(size=(4, 8 + seed % 3, 8, 8)), jnp.float32)
        kernel = jnp.asarray(rng.normal(size=(3, 3, 8, 16)), jnp.float32)
        net = arguments(seed % 3, 6, 5 + seed % 3, 4, 8, 4, 2)
        slope = jax.grad(lambda k: jnp.sum(jnp.sin(forward(x, k, None, window))))(kernel)
        return np.asarray(slope), np.asarray(recurrent.lstm(*net, None)[0])

    alone = [work(seed) for seed in range(3)]
    with ThreadPoolExecutor(8) as pool:
        for seed, found in enumerate(pool.map(work, range(48))):
            for got, want in zip(found, alone[seed % 3], strict=True):
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_both_ways_train_alike(computed_by):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(64, 12, 6)).astype("float32"), rng.integers(0, 3, 64)
    found = []
    for tier in ("onednn", "xla"):
        computed_by(tier)
        lamina.utils.clear_session()
        lamina.utils.set_random_seed(1)
        stack = [
            layers.Conv1D(8, 3, padding="causal", activation="relu"),
            layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
            layers.GRU(4),
            layers.Dense(3, activation="softmax"),
        ]
        model = lamina.Sequential([layers.Input((12, 6)), *stack])
        model.compile("adam", "sparse_categorical_crossentropy")
        history = model.fit(x, y, epochs=3, batch_size=16, verbose=0)
        found.append((history.history["loss"], model.predict(x, verbose=0)))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_a_process_ends_as_it_should_and_says_when_the_package_is_not_there():
    code = "import lamina, numpy; print(lamina.layers.LSTM(3)(numpy.ones((2, 4, 5), 'float32')).shape)"
    environment = {**os.environ, "LAMINA_KERNELS": "onednn"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout.strip() == "(2, 3)"
    hidden = f"import sys; sys.modules['lamina_onednn'] = None; {code}"
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, env=environment)
    assert "pip install ./native" in done.stderr and done.returncode == 1


OPTIMIZERS = [
    optimizers.Adam(0.01), optimizers.Adam(0.01, amsgrad=True, clipvalue=0.5), optimizers.AdamW(0.01, weight_decay=0.1),
    optimizers.SGD(0.1), optimizers.SGD(0.1, momentum=0.9), optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    optimizers.RMSprop(0.01, weight_decay=0.1), optimizers.Adam(0.01, use_ema=True, gradient_accumulation_steps=2),
]  # fmt: skip


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=4), st.booleans())
@settings(max_examples=3, deadline=None)
def test_a_step_of_all_weights_at_once_is_within_one_unit_of_the_formula(optimizer, shapes, strange):
    """In the last place of the weight or of its slots; NaN and infinity go where the formula lets them go."""
    rng = np.random.default_rng(len(shapes))
    arrays = [
        {str(n): rng.standard_normal(shape).astype("float32") for n, shape in enumerate([*shapes, (33000,)])}
        for _ in range(4)
    ]
    if strange:
        for where, value in enumerate((np.nan, np.inf, -np.inf, 0.0)):
            arrays[0]["0"].flat[where : where + 1] = value
            arrays[2][str(len(shapes))].flat[where] = value
    both = []
    for tier in ("xla", "onednn"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAMINA_KERNELS", tier)
            step = jax.jit(lambda *a: optimizer._lamina_update(*a))
            assert ("lamina_update" in str(jax.make_jaxpr(step)(arrays[1], arrays[0], _state(optimizer, arrays)))) == (
                tier == "onednn"
            )
            after = arrays[0], _state(optimizer, arrays)
            for grads in arrays[1:]:
                after = step(grads, *after)
            both.append(after)
    (theirs, their_state), (ours, our_state) = both
    for before, one, other in zip(arrays[0].values(), theirs.values(), ours.values(), strict=True):
        unit = np.spacing(np.maximum(np.abs(np.nan_to_num(before, posinf=1, neginf=1)), 1))
        np.testing.assert_array_less(np.abs(np.nan_to_num(one) - np.nan_to_num(other)), 4 * unit)  # one a step
        np.testing.assert_array_equal(np.isfinite(one), np.isfinite(other))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), their_state, our_state)


def _state(optimizer, arrays):
    return optimizer._lamina_init({name: jnp.asarray(array) for name, array in arrays[0].items()})


@pytest.mark.parametrize("how", ["own update_step", "float16", "centered"])
def test_what_no_formula_of_it_is_goes_by_xla(how, computed_by):
    class Own(optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            variable.assign(variable - 2 * learning_rate * gradient)

    optimizer = {"own update_step": Own(0.5), "centered": optimizers.RMSprop(0.5, centered=True)}.get(
        how, optimizers.SGD(0.5)
    )
    computed_by("onednn")
    weight = lamina.Variable(jnp.ones(2, "float16" if how == "float16" else "float32"))
    optimizer.apply([jnp.array([1.0, 0.0])], [weight])
    text = str(jax.make_jaxpr(optimizer._lamina_update)({"a": weight.value}, {"a": weight.value}, _fresh(optimizer)))
    assert "lamina_update" not in text
    expected = {"own update_step": [0, 1], "float16": [0.5, 1], "centered": [1 - 0.5 / 0.3, 1]}[how]
    np.testing.assert_allclose(weight, expected, rtol=1e-5)


def _fresh(optimizer):
    return optimizer._lamina_init({"a": jnp.ones(2)})


def test_four_threads_step_at_once(computed_by):
    """Each call has arrays of its own; the library's threads serve one after the other."""
    computed_by("onednn")
    optimizer = optimizers.Adam(0.01)
    step = jax.jit(lambda *a: optimizer._lamina_update(*a))

    def run(seed):
        p = {"p": jnp.asarray(np.random.default_rng(seed).standard_normal(50000), jnp.float32)}
        state = optimizer._lamina_init(p)
        for _ in range(20):
            p, state = step(p, p, state)
        return np.asarray(p["p"])

    alone = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(run, range(4)), strict=True):
            np.testing.assert_array_equal(one, other)
