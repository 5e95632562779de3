"""lamina-onednn from many threads at once, in children, and in processes that end while a call is under way."""

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lamina._kernels import recurrent
from lamina._kernels.blocks import relu
from lamina._kernels.convolution import convolve
from lamina._kernels.normalization import normalize
from lamina._kernels.pooling import largest, max_pool
from lamina._layer.passes import Pass

pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
LIMIT = 120
"""Seconds until a process counts as one that hangs: each takes 2 to 5, with sanitizers 20."""

START = """
import os, sys, threading, multiprocessing
import numpy as np
import lamina
import lamina_onednn
from lamina._kernels import recurrent
from lamina._kernels.convolution import convolve

def work(seed):
    import jax, jax.numpy as jnp

    rng = np.random.default_rng(seed)
    x, kernel, *net = (
        jnp.asarray(rng.normal(size=shape), jnp.float32)
        for shape in [(5, 9, 8), (3, 8, 16), (9, 5, 8), (8, 24), (24,), (5, 6), (5, 6), (6, 24)]
    )
    slope = jax.grad(lambda *a: jnp.sum(jnp.sin(convolve(*a, (1,), "same", (1,)))), (0, 1))(x, kernel)
    images, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in [(12, 9, 9, 16), (3, 3, 16, 16)])
    tiles = jax.grad(lambda *a: jnp.sum(jnp.sin(convolve(*a, (1, 1), "same", (1, 1)))), (0, 1))(images, kernel)
    ones, pool = jnp.ones(16), (2, 2, 2, 2)
    p, places = lamina_onednn.normalization_pooled(images, ones, ones, (12, 4, 4, 16), pool)
    back = lamina_onednn.normalization_pooled_gradient(p, places, images, ones, ones, ones, jnp.int32(12), pool)
    states = jax.grad(lambda *a: jnp.sum(recurrent.lstm(*a, None)[0]), 1)(*net)
    few = [jnp.ones(shape) for shape in [(300, 1, 8), (8, 512), (512,), (1, 128), (1, 128), (128, 512)]]
    steps = recurrent.lstm(*few, None)[0]
    return [float(jnp.sum(abs(array))) for array in (*slope, *tiles, *back, states, steps)]
"""


def run(text, then=None, **environment):
    """A program's exit status and what it prints; `then` is done to it once it has printed a line."""
    command = [sys.executable, "-c", START + textwrap.dedent(text)]
    environment = {**os.environ, "LAMINA_KERNELS": "onednn", **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        try:
            first = process.stdout.readline() if then else ""
            if then:
                then(process)
            rest, errors = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    return process.returncode, first + rest, errors


def assert_alike_at_once(work, times, near):
    """`work` of four seeds gives in four threads at once what it gives alone, so many times."""
    alone = [work(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for place, found in enumerate(pool.map(work, [*range(4)] * times)):
            for got, want in zip(found, alone[place % 4], strict=True):
                np.testing.assert_allclose(got, want, near, near)


def test_four_threads_convolve_and_pool_at_once(monkeypatch):
    monkeypatch.setenv("LAMINA_KERNELS", "onednn")

    @jax.jit
    def slopes(x, kernel, gamma):
        def loss(x, kernel, gamma):
            with Pass({}):
                y = normalize(convolve(x, kernel, (1, 1), "same", (1, 1)), gamma, gamma, 3, 1e-3)[0]
                pooled = max_pool(relu(y), (2, 2), (2, 2), "valid", (1, 2))
                return jnp.sum(largest(relu(convolve(pooled, kernel, (1, 1), "valid", (1, 1))), (1, 2)))

        return jax.grad(loss, (0, 1, 2))(x, kernel, gamma)

    def work(seed):
        rng = np.random.default_rng(seed)
        shapes = [(9 + seed % 2, 12, 13, 16), (3, 3, 16, 16), (16,)]
        return slopes(*(jnp.asarray(rng.normal(size=shape) / 4, jnp.float32) for shape in shapes))

    assert_alike_at_once(work, times=10, near=1e-4)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_four_threads_at_once(kind, monkeypatch):
    monkeypatch.setenv("LAMINA_KERNELS", "onednn")
    gates, states = {"lstm": (4, 2), "gru": (3, 1)}[kind]

    @jax.jit
    def slopes(*taken):
        def loss(*taken):
            return sum(jnp.sum(jnp.sin(array)) for array in getattr(recurrent, kind)(*taken, None, True))

        return jax.grad(loss, tuple(range(6)))(*taken)

    def work(seed):
        rng, units, rows = np.random.default_rng(seed), *((7, 9), (128, 2))[seed % 2]
        shapes = [(11, rows, 5), (5, gates * units), (gates * units,), *[(rows, units)] * states]
        shapes += [(units, gates * units), *[(gates * units,)] * (2 - states)]
        return slopes(*(jnp.asarray(rng.normal(size=shape) / 4, jnp.float32) for shape in shapes))

    assert_alike_at_once(work, times=25, near=1e-5)


nightly = pytest.mark.nightly


@pytest.mark.parametrize("way", ["fork", pytest.param("spawn", marks=nightly)])
def test_children_compute_what_the_parent_does(way, tmp_path):
    """Forked ones before the parent uses JAX, and while it does."""
    file = tmp_path / "program.py"
    file.write_text(
        START
        + textwrap.dedent(f"""
        if __name__ == "__main__":
            with multiprocessing.get_context("{way}").Pool(2) as pool:
                children = pool.map_async(work, [3, 4, 5])
                mine = [work(seed) for seed in (3, 4, 5)]
                np.testing.assert_allclose(children.get({LIMIT}), mine, 1e-5)
            print("alike")
        """)
    )
    environment = {**os.environ, "LAMINA_KERNELS": "onednn"}
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, env=environment, timeout=LIMIT)
    assert (done.returncode, done.stdout) == (0, "alike\n"), done.stderr


@nightly
def test_openmp_may_give_fewer_threads_than_asked_for():
    assert run("print(len(work(0)))", OMP_DYNAMIC="true", OMP_NUM_THREADS="4")[:2] == (0, "9\n")


UNDER_WAY = """
import jax, jax.numpy as jnp
from jax import lax

jax.config.update("jax_cpu_enable_async_dispatch", ASYNCHRONOUS)

@jax.jit
def long(x, kernel, net):
    def step(_, carry):
        x, h = carry
        return jnp.tanh(convolve(x, kernel, (1,), "same", (1,))), recurrent.lstm(*net[:3], h, *net[4:], None)[1]

    return lax.fori_loop(0, TIMES, step, (x, net[3]))

rng = np.random.default_rng(0)
x, kernel, *net = (
    jnp.asarray(rng.normal(size=shape) / 9, jnp.float32)
    for shape in [(32, 200, 32), (5, 32, 32), (50, 32, 8), (8, 64), (64,), (32, 16), (32, 16), (16, 64)]
)
compiled = long.lower(x, kernel, net).compile()

def call():
    jax.block_until_ready(compiled(x, kernel, net))

if ASYNCHRONOUS:
    result = compiled(x, kernel, net)
else:
    threading.Thread(target=call, daemon=True).start()
    import time
    time.sleep(0.3)
print("under way", flush=True)
"""


@pytest.mark.parametrize("asynchronous", [False, pytest.param(True, marks=nightly)], ids=["in a thread", "dispatched"])
@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("sys.exit(3)", 3),
        pytest.param("os._exit(3)", 3, marks=nightly),
        pytest.param("raise ValueError", 1, marks=nightly),
        pytest.param("threading.Event().wait()", -signal.SIGTERM, marks=nightly),
    ],
)
def test_a_process_ends_while_a_call_is_under_way(end, status, asynchronous):
    """JAX may wait for the call's end: the call takes 2 seconds."""
    text = UNDER_WAY.replace("ASYNCHRONOUS", str(asynchronous)).replace("TIMES", "2000") + end
    ended = signal.SIGTERM if status == -signal.SIGTERM else 0
    found, said, errors = run(text, then=lambda process: process.send_signal(ended))
    assert (found, said) == (status, "under way\n"), errors
    assert "Fatal" not in errors and "terminate called" not in errors
