"""Convolutions with windows of one element and strides, as in the shortcuts of residual nets."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lamina._kernels.convolution import by_onednn
from lamina._kernels.window import Window
from lamina.layers import Conv2D

PROGRAM = """
import numpy as np
from lamina import Sequential, layers

model = Sequential([layers.Input((58, 60, 8)), layers.Conv2D(3, 1, strides=2), layers.Flatten(), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(np.ones((4, 58, 60, 8)), np.ones((4, 1)), 2, epochs=3, verbose=0)
print("done")
"""
CHECKS = Path("/usr/lib/x86_64-linux-gnu/libc_malloc_debug.so.0")


@pytest.mark.parametrize(("channels", "strides", "taken"), [(8, 2, False), (3, 2, False), (16, 2, True), (8, 1, True)])
def test_onednn_is_left_aside_where_it_writes_beyond_its_memory(channels, strides, taken, monkeypatch):
    """Its gradient of such a kernel of 8 channels has written 13 KB behind its memory."""
    pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
    monkeypatch.setenv("LAMINA_KERNELS", "onednn")
    size = 58 // strides
    x, dy = jnp.ones((2, 58, 58, channels)), jnp.ones((2, size, size, 3))
    window = Window((strides, strides), ((0, 0), (0, 0)), (1, 1), 1)
    native, _ = by_onednn("convolution_kernel_gradient", x, dy, window, (1, 1, channels, 3))
    assert (native is not None) == taken


@pytest.mark.parametrize(
    ("shape", "kernel", "strides", "groups", "taken"),
    [
        ((58, 58), (1, 1, 8, 3), (2, 2), 1, False),
        ((58, 58), (1, 1, 8, 3), (1, 2), 1, False),
        ((58,), (1, 24, 16), (2,), 1, False),
        ((9, 9), (1, 1, 8, 32), (2, 2), 4, False),
        ((58, 58), (1, 1, 16, 3), (2, 2), 1, True),
        ((58, 58), (1, 1, 8, 3), (1, 1), 1, True),
        ((58, 58), (1, 2, 8, 3), (2, 2), 1, True),
    ],
)
def test_lamina_onednn_itself_refuses_such_a_convolution(shape, kernel, strides, groups, taken):
    """Neither its answer nor a call by hand lets oneDNN write there."""
    native = pytest.importorskip("lamina_onednn", reason="no C++17 compiler stood here when the environment was made")
    axes = len(shape)
    sizes = [(size - window) // stride + 1 for size, window, stride in zip(shape, kernel, strides, strict=False)]
    x, dy = jnp.ones((2, *shape, kernel[-2] * groups)), jnp.ones((2, *sizes, kernel[-1]))
    window = strides, ((0, 0),) * axes, (1,) * axes, groups
    for name in ("convolution", "convolution_input_gradient", "convolution_kernel_gradient"):
        assert native.convolution_supported(name, x.shape, kernel, dy.shape, *window) == taken
    if not taken:
        with pytest.raises(jax.errors.JaxRuntimeError, match="windows of one element with strides"):
            jax.block_until_ready(native.convolution_kernel_gradient(x, dy, kernel, *window))


@pytest.mark.nightly
@pytest.mark.skipif(not CHECKS.exists(), reason="the C library that checks each block of memory is not there")
def test_training_with_such_a_layer_keeps_the_memory_whole():
    checked = {"LD_PRELOAD": str(CHECKS), "MALLOC_CHECK_": "3", "PYTHONMALLOC": "malloc", "LAMINA_CACHE": "off"}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | checked, capture_output=True, text=True, timeout=300
    )
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr[-2000:]


def test_the_gradients_are_those_of_a_slice():
    """A window of one element with strides takes every other element."""
    layer, x = Conv2D(3, 1, strides=2), jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 8, 5)), jnp.float32)
    layer.build(x.shape)
    kernel = layer.kernel.value
    found = jax.grad(lambda k: jnp.sum(jnp.sin(layer.stateless_call([k, jnp.zeros(3)], [], x)[0])))(kernel)
    expected = jax.grad(lambda k: jnp.sum(jnp.sin(x[:, ::2, ::2] @ k[0, 0])))(kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
