"""Measures the gain of each kernel of lamina-onednn: steps of small stacks with and without the kernel.

    LAMINA_CACHE=off python benchmarks/native.py [rows]      # in an environment with lamina and lamina-onednn

A stack is compiled twice in one process: with all kernels, and with one kernel left to XLA's operations. Both programs
then run in turns, so that other work of the machine slows down both. A cell is the median of the ratios of all rounds,
with the quartiles. A ratio above 1 is a gain.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any
from unittest import mock

import jax
import numpy as np

from lamina import Sequential, layers, optimizers, utils
from lamina._kernels import convolution, matmul, moments, native, pooling, recurrent

ROUNDS, CALLS = 15, 0.04
"""The number of rounds, and the seconds that each program runs in a round."""
KERNELS = {
    "convolution": (convolution, "onednn"),
    "pooled": (pooling, "onednn"),  # relu and max pooling behind a convolution or a normalization
    "moments": (moments, "onednn"),
    "recurrent": (recurrent, "onednn"),
    "matmul": (matmul, "onednn"),
    "all": (native, "_package"),
}
"""The functions in which each kernel asks for the package. Without "convolution" there is no pooled convolution."""

Conv, Pool = layers.Conv2D, layers.MaxPooling2D
ROWS: dict[str, tuple[list[str], tuple[int, ...], Callable[[], list[Any]]]] = {
    "28², 1 → 32, 3², pool, batch 128": (
        ["pooled", "all"], (128, 28, 28, 1), lambda: [Conv(32, 3, activation="relu"), Pool(2)],
    ),
    "32², 3 → 32, 3², batch 64": (
        ["convolution"], (64, 32, 32, 3), lambda: [Conv(32, 3, padding="same", activation="relu")],
    ),
    "13², 32 → 64, 3², pool, batch 128": (
        ["convolution", "pooled"], (128, 13, 13, 32), lambda: [Conv(64, 3, activation="relu"), Pool(2)],
    ),
    "8², 64 → 128, 3², batch 64": (
        ["convolution"], (64, 8, 8, 64), lambda: [Conv(128, 3, padding="same", activation="relu")],
    ),
    "16², 32 → 64, 3², strides 2, batch 64": (
        ["convolution"], (64, 16, 16, 32), lambda: [Conv(64, 3, strides=2, padding="same")],
    ),
    "16², 64, 3², depthwise, batch 64": (
        ["convolution"], (64, 16, 16, 64), lambda: [layers.DepthwiseConv2D(3, padding="same")],
    ),
    "32², 32 → 32, 3², batch 1": (["convolution"], (1, 32, 32, 32), lambda: [Conv(32, 3, padding="same")]),
    "200 words, 64 → 128, 5, global maximum, batch 64": (
        ["convolution", "pooled"], (64, 200, 64),
        lambda: [layers.Conv1D(128, 5, activation="relu"), layers.GlobalMaxPooling1D()],
    ),
    "16², 32 → 32, normalization, relu, pool, batch 64": (
        ["moments", "pooled", "convolution"], (64, 16, 16, 32),
        lambda: [Conv(32, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU(), Pool(2)],
    ),
    "LSTM, 200 x 128 → 128, batch 32": (["recurrent"], (32, 200, 128), lambda: [layers.LSTM(128)]),
    "LSTM, 50 x 32 → 64, batch 4": (["recurrent"], (4, 50, 32), lambda: [layers.LSTM(64)]),
    "GRU, 30 x 8 → 64, batch 32": (["recurrent"], (32, 30, 8), lambda: [layers.GRU(64)]),
    "Dense, 784-512-512, batch 128": (
        ["matmul"], (128, 784), lambda: [layers.Dense(512, "relu"), layers.Dense(512, "relu")],
    ),
    "Dense, 63-128-128, batch 32": (
        ["matmul"], (32, 63), lambda: [layers.Dense(128, "relu"), layers.Dense(128, "relu")],
    ),
}  # fmt: skip


@contextmanager
def without(kernel: str) -> Iterator[None]:
    """Use XLA's operations instead of a kernel in programs that are traced in the block."""
    place, name = KERNELS[kernel]
    with mock.patch.object(place, name, return_value=None):
        yield


def programs(shape: tuple[int, ...], stack: Callable[[], list[Any]]) -> list[Callable[[], object]]:
    """Compile a training step and a prediction."""
    utils.clear_session()
    jax.clear_caches()
    utils.set_random_seed(0)
    model = Sequential([layers.Input(shape[1:]), *stack(), layers.Flatten(), layers.Dense(10)])
    model.compile(optimizers.SGD(1e-6), "mse")
    random = np.random.default_rng(0)
    x = random.normal(size=(32 * shape[0], *shape[1:])).astype("float32")
    y = random.normal(size=(len(x), 10)).astype("float32")
    train: Callable[[], object] = lambda: model.fit(x, y, batch_size=shape[0], verbose=0, shuffle=False)  # noqa: E731
    predict: Callable[[], object] = lambda: model.predict(x, batch_size=shape[0], verbose=0)  # noqa: E731
    for run in (train, predict):
        run()
    return [train, predict]


def seconds(run: Callable[[], object], calls: int) -> float:
    start = perf_counter()
    for _ in range(calls):
        run()
    return (perf_counter() - start) / calls


def ratios(run: Callable[[], object], bare: Callable[[], object]) -> list[float]:
    """The time of `bare` divided by that of `run`, for each round. Their order changes between rounds."""
    calls = max(1, round(CALLS / seconds(run, 1)))
    found = []
    for number in range(ROUNDS):
        order = (run, bare) if number % 2 else (bare, run)
        times = {each: seconds(each, calls) for each in order}
        found.append(times[bare] / times[run])
    return found


def said(found: list[float]) -> str:
    low, middle, high = np.quantile(found, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main(words: list[str]) -> None:
    print("| stack | without | training | predict |\n| --- | --- | --- | --- |", flush=True)
    for title, (kernels, shape, stack) in ROWS.items():
        if words and not any(word in title for word in words):
            continue
        whole = programs(shape, stack)
        for kernel in kernels:
            with without(kernel):
                bare = programs(shape, stack)
            cells = [said(ratios(*pair)) for pair in zip(whole, bare, strict=True)]
            print(f"| {title} | {kernel} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
