"""lamina-onednn against the same formulas in XLA: recurrent nets, loops, threads, and what it leaves alone."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import layers
from lamina._kernels import matmul, recurrent
from lamina._kernels.convolution import forward
from lamina._kernels.window import Window

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


@pytest.mark.parametrize("size", [(41, 29, 5, 7), (1030, 2, 3, 96)], ids=["rows", "units"])
def test_long_sequences_end_within_a_span(size, computed_by):
    """Of many rows a span is about 128: 9 steps of 15. Of few rows, whose units are shared out, 512: 256 steps of 2."""
    *taken, recurrent_kernel = arguments(0, *size, 4, 2)
    taken = *taken, recurrent_kernel / size[3] ** 0.5  # else an error would grow from step to step
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


DERIVED = {
    "gradient": lambda f: jax.grad(f, (0, 1, 2)),
    "gradient of a gradient": lambda f: jax.grad(lambda x, *other: jnp.sum(jax.grad(f)(x, *other) ** 2), (0, 1)),
    "forward": lambda f: lambda *taken: jax.jvp(f, taken, taken),
    "hessian": lambda f: lambda x, k, b: jax.hessian(lambda b: f(x, k, b))(b),
    "batch of rows": lambda f: jax.vmap(jax.grad(f, 1), (0, None, None)),
    "batch of kernels": lambda f: jax.vmap(jax.grad(f), (None, 0, None)),
}


@pytest.mark.parametrize("way", DERIVED)
@pytest.mark.parametrize("units", [9, 3], ids=["oneDNN", "too narrow"])
def test_products_of_layers_are_derived_as_xlas_are(computed_by, monkeypatch, way, units):
    computed_by("onednn")
    monkeypatch.setattr(matmul, "LEAST", 0)
    rng = np.random.default_rng(0)
    shapes = [(2, 10, 11), (2, 11, units) if way == "batch of kernels" else (11, units), (units,)]
    taken = [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]

    def loss(product):
        return lambda x, kernel, bias: jnp.sum(jnp.sin(product(x, kernel, bias)))

    got, want = (
        jax.jit(DERIVED[way](loss(product)))(*taken)
        for product in (matmul.matmul, lambda x, k, b: jnp.matmul(x, k) + b)
    )
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-4)
    text = str(jax.make_jaxpr(DERIVED[way](loss(matmul.matmul)))(*taken))
    assert ("lamina_product" in text) == ("batch" not in way)


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
