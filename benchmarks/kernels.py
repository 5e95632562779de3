"""Times each formula of a convolution or a recurrent net for several shapes, as a table in Markdown.

    python benchmarks/kernels.py        # in an environment with lamina and lamina-onednn

Each call runs within a compiled loop, as in training, and depends on the result of the call before. The numbers are
milliseconds in the fastest of several loops. "Peak" is the time for the multiply-adds at the speed of the fastest
square matrix product.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina._kernels import convolution, recurrent
from lamina._kernels import convolution_by_xla as by_xla
from lamina._kernels.window import Window
from lamina._programs import programs

Array = jax.Array
NAMES = ("convolution", "convolution_input_gradient", "convolution_kernel_gradient")
CONVOLUTIONS = {  # x, kernel, strides, groups; "same" padding
    "128 x 28², 1 → 32, 3²": ((128, 28, 28, 1), (3, 3, 1, 32), 1, 1),
    "64 x 32², 3 → 32, 3²": ((64, 32, 32, 3), (3, 3, 3, 32), 1, 1),
    "128 x 13², 32 → 64, 3²": ((128, 13, 13, 32), (3, 3, 32, 64), 1, 1),
    "64 x 8², 64 → 128, 3²": ((64, 8, 8, 64), (3, 3, 64, 128), 1, 1),
    "64 x 16², 32 → 64, 3², strides 2": ((64, 16, 16, 32), (3, 3, 32, 64), 2, 1),
    "64 x 16², 64 → 64, 3², 8 groups": ((64, 16, 16, 64), (3, 3, 8, 64), 1, 8),
    "64 x 16², 64, 3², depthwise": ((64, 16, 16, 64), (3, 3, 1, 64), 1, 64),
    "64 x 200, 64 → 128, 5": ((64, 200, 64), (5, 64, 128), 1, 1),
    "8 x 16³, 16 → 32, 3³": ((8, 16, 16, 16, 16), (3, 3, 3, 16, 32), 1, 1),
}
NETS = {"LSTM, 32 x 200, 128 → 128": (32, 200, 128, 128, 4), "GRU, 32 x 30, 8 → 64": (32, 30, 8, 64, 3)}


def milliseconds(function: Callable[..., Array], *arrays: Array, calls: int = 5, loops: int = 4) -> float:
    """The time of one call in a loop in which each input depends on the result before."""

    def loop(*arrays: Array) -> Any:
        def step(carry: Any) -> Any:
            count, first, rest, _ = carry
            result = function(first, *rest)  # a loop carry, so XLA computes all of it, not only the element in use
            return count + 1, first.at[(0,) * first.ndim].set(result.ravel()[0] * 1e-9), rest, result

        empty = jnp.zeros_like(jax.eval_shape(function, *arrays))
        *_, result = lax.while_loop(lambda carry: carry[0] < calls, step, (0, arrays[0], arrays[1:], empty))
        return result

    program = jax.jit(loop).lower(*arrays).compile(compiler_options=programs.CPU_OPTIONS)
    program(*arrays).block_until_ready()
    times = []
    for _ in range(loops):
        start = perf_counter()
        program(*arrays).block_until_ready()
        times.append((perf_counter() - start) / calls * 1e3)
    return min(times)


def array(*shape: int) -> Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32) / 10


def by(tier: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that is traced with `LAMINA_KERNELS` set."""

    def traced(*arrays: Array) -> Any:
        os.environ["LAMINA_KERNELS"] = tier
        return function(*arrays)

    return traced


def convolution_rows(peak: float) -> Iterator[list[str]]:
    for title, (x, kernel, stride, groups) in CONVOLUTIONS.items():
        axes = len(kernel) - 2
        pads = lax.padtype_to_pads(x[1:-1], kernel[:-2], (stride,) * axes, "SAME")
        window = Window((stride,) * axes, tuple(map(tuple, pads)), (1,) * axes, groups)  # type: ignore[arg-type]
        y = by_xla.result_shape(array(*x), array(*kernel), window)
        bound = 2 * math.prod(y) * math.prod(kernel[:-1]) / peak / 1e6
        maps = [
            (x, kernel, y, lambda a, b, w=window: convolution.forward(a, b, None, w)),
            (y, kernel, x, partial(convolution.input_gradient, window=window, shape=x)),
            (x, y, kernel, lambda a, b, w=window, k=kernel: convolution.kernel_gradient(a, b, w, k)[0]),
        ]
        cells = []
        for name, (a, b, shape, ours) in zip(NAMES, maps, strict=True):
            plain = partial(by_xla.plain, name, shape=shape, window=window)
            ways = (plain, by("xla", ours), by("onednn", ours))
            cells.append(", ".join(f"{milliseconds(way, array(*a), array(*b)):.2f}" for way in ways))
        yield [title, f"{bound:.2f}", *cells]


def recurrent_rows(peak: float) -> Iterator[list[str]]:
    for title, (batch, time, features, units, gates) in NETS.items():
        net: Any = recurrent.lstm if gates == 4 else recurrent.gru
        states = [array(batch, units)] * (2 if gates == 4 else 1)
        tail = [] if gates == 4 else [array(gates * units)]
        given = array(time, batch, features), array(features, gates * units), array(gates * units)
        taken = (*given, *states, array(units, gates * units), *tail)

        def forward(*taken: Array, net: Any = net) -> Array:
            return jnp.sum(net(*taken, None)[0])

        def step(*taken: Array, forward: Any = forward, count: int = len(taken)) -> Array:
            return sum(jnp.sum(g) for g in jax.grad(forward, tuple(range(count)))(*taken))

        bound = 2 * time * batch * (features + units) * gates * units / peak / 1e6
        cells = []
        for function in (forward, step):
            cells.append(", ".join(f"{milliseconds(by(tier, function), *taken):.2f}" for tier in ("xla", "onednn")))
        yield [title, f"{bound:.2f}", *cells]


def table(head: list[str], rows: Iterator[list[str]]) -> None:
    print("|", " | ".join(head), "|")
    print("|", " | ".join("---" for _ in head), "|")
    for row in rows:
        print("|", " | ".join(row), "|", flush=True)
    print()


if __name__ == "__main__":
    square = array(1024, 1024)
    best = 2 * 1024**3 / milliseconds(jnp.matmul, square, square, calls=20) / 1e6
    print(f"Peak: {best:.0f} GFLOP/s.\n")
    ways = "XLA's own, composed, oneDNN"
    table(["convolution", "peak", *(f"{m}: {ways}" for m in ("forward", "input", "kernel"))], convolution_rows(best))
    table(["net", "peak, forward", "forward: scan, oneDNN", "with gradients: scan, oneDNN"], recurrent_rows(best))
