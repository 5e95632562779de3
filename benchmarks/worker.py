"""The process of one peer: it reads an order from each line, and answers with one line of JSON.

prepare NAME        make the data and the model: {"build": seconds}
fit EPOCHS [ROWS]   {"seconds": …, "steps": …, "samples": …}
rows COUNT          {"seconds": of the fastest call of `predict` on so many rows, from NumPy to NumPy}
products            of this library: {"seconds": a step's, "limit": that of its matrix products alone}
predict             one row: {"seconds": a call's}, and, of this library, {"limit": a bare jitted call's}
peak                matrix product of 2048 x 2048 float32 with JAX: {"gflops": …}
memory              the most that the process has held so far: {"bytes": …}
make CALL           the model and the data of a call of calls.py
call                {"seconds": of the fastest call in half a second}
once                {"seconds": …}, of one call
added               {"peak": …, "after": …}, the bytes that one call adds to the anonymous memory
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import resource
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, TextIO

import numpy as np
from calls import CALLS
from programs import PROGRAMS, Program


class KerasLike:
    """Runs Keras or this library by `model.fit`, as their users do."""

    def __init__(self, package: str) -> None:
        self.package = importlib.import_module(package)

    def prepare(self, program: Program, x: Any, y: Any) -> None:
        self.program, self.x, self.y = program, x, y
        if program.policy:
            self.package.mixed_precision.set_global_policy(program.policy)
        self.model = program.keras(self.package, self.package.layers)
        self.package.mixed_precision.set_global_policy("float32")

    def make(self, name: str) -> None:
        self.call, self.units = CALLS[name].make(self.package), CALLS[name].units

    def fit(self, epochs: int, rows: int) -> None:
        self.model.fit(self.x[:rows], self.y[:rows], batch_size=self.program.batch, epochs=epochs, verbose=0)

    def predict(self) -> dict[str, float]:
        row = self.x[:1]
        return {"seconds": seconds_a_call(lambda: self.model.predict(row, verbose=0))}

    def predict_rows(self, count: int) -> float:
        x = repeated(self.x, count)
        self.model.predict(x, verbose=0)
        return fastest(lambda: self.model.predict(x, verbose=0))


class Lamina(KerasLike):
    """Runs this library, and JAX itself for comparison in the same process."""

    def predict(self) -> dict[str, float]:
        """The census stack's forward pass, by the model and as a bare jitted function of its weights."""
        jax = importlib.import_module("jax")

        def forward(weights: list[Any], x: Any) -> Any:  # (batch, 63) -> (batch, 1)
            for i in range(0, len(weights), 6):
                gamma, beta, mean, variance, kernel, bias = weights[i : i + 6]
                x = ((x - mean) * jax.lax.rsqrt(variance + 1e-3) * gamma + beta) @ kernel + bias
                x = jax.nn.relu(x) if i + 6 < len(weights) else jax.nn.sigmoid(x)
            return x

        row, jitted = self.x[:1], jax.jit(forward)
        weights = [jax.numpy.asarray(weight) for weight in self.model.get_weights()]
        np.testing.assert_allclose(self.model.predict(row, verbose=0), jitted(weights, row), rtol=1e-4, atol=1e-6)
        bare = seconds_a_call(lambda: np.asarray(jitted(weights, row)))
        return super().predict() | {"limit": bare}

    def products(self) -> dict[str, float]:
        """The time of a step of a fit, and of the matrix products of its dense layers and their gradients."""
        jax, programs = importlib.import_module("jax"), importlib.import_module("lamina._programs.programs")
        matmul = importlib.import_module("lamina._kernels.matmul").matmul
        batch, rng = self.program.batch, np.random.default_rng(0)
        steps = len(self.x) // batch
        kernels = [jax.numpy.asarray(layer.kernel) for layer in self.model.layers if hasattr(layer, "kernel")]
        x = jax.numpy.asarray(self.x)
        slopes = jax.numpy.asarray(rng.normal(size=(len(x), kernels[-1].shape[1])), "float32")

        def run(kernels: list[Any], x: Any, slopes: Any) -> Any:
            def step(done: Any, total: Any) -> Any:
                rows, dy = (jax.lax.dynamic_slice_in_dim(array, done * batch, batch) for array in (x, slopes))
                _, back = jax.vjp(lambda kernels: functools.reduce(matmul, kernels, rows), kernels)
                return total + sum(gradient[0, 0] for gradient in back(dy)[0])

            return jax.lax.fori_loop(0, steps, step, np.float32(0))

        compiled = jax.jit(run).lower(kernels, x, slopes).compile(compiler_options=dict(programs.CPU_OPTIONS))
        alone = fastest(lambda: compiled(kernels, x, slopes).block_until_ready())
        self.fit(1, steps * batch)
        return {"seconds": fastest(lambda: self.fit(1, steps * batch)) / steps, "limit": alone / steps}


class Torch:
    """Runs torch with the fastest usual eager loop: tensors indexed by a permutation, fused Adam, no metric."""

    def __init__(self, package: str) -> None:
        self.torch = importlib.import_module(package)

    def prepare(self, program: Program, x: Any, y: Any) -> None:
        self.program, self.x, self.y = program, self.torch.from_numpy(x), self.torch.from_numpy(y)
        self.model, self.host = program.torch(self.torch.nn), x
        if self.x.ndim == 4:  # images: the layers want channels first, and are fastest where memory has them last
            self.x = self.x.permute(0, 3, 1, 2)
            self.model.to(memory_format=self.torch.channels_last)
        self.optimizer = self.torch.optim.Adam(self.model.parameters(), fused=True)

    def fit(self, epochs: int, rows: int) -> None:
        model, optimizer, x, y = self.model.train(), self.optimizer, self.x[:rows], self.y[:rows]
        loss = getattr(self.torch.nn.functional, self.program.torch_loss)
        half = self.torch.autocast("cpu", self.torch.bfloat16, enabled=bool(self.program.policy))
        for _ in range(epochs):
            for batch in self.torch.randperm(len(x)).split(self.program.batch):
                optimizer.zero_grad()
                with half:
                    value = loss(model(x[batch]), y[batch])
                value.backward()
                optimizer.step()

    def predict(self) -> dict[str, float]:
        model, row = self.model.eval(), self.x[:1].numpy()
        with self.torch.inference_mode():
            return {"seconds": seconds_a_call(lambda: model(self.torch.from_numpy(row)).numpy())}

    def predict_rows(self, count: int) -> float:
        """The time of one call, or of calls with batches of 1,000, whichever is faster."""
        model, x = self.model.eval(), repeated(self.host, count)

        def output(rows: Any) -> Any:
            rows = self.torch.from_numpy(rows)
            return model(rows.permute(0, 3, 1, 2) if rows.ndim == 4 else rows).numpy()

        with self.torch.inference_mode():
            output(x[:1000])
            whole = fastest(lambda: output(x))
            return min(whole, fastest(lambda: np.concatenate([output(x[i : i + 1000]) for i in range(0, count, 1000)])))


def repeated(x: Any, count: int) -> Any:
    """The first `count` rows; if there are fewer, they are repeated."""
    return np.resize(x, (count, *x.shape[1:]))


def fastest(call: Callable[[], Any]) -> float:
    """The seconds of the fastest call in half a second of calls."""
    times: list[float] = []
    while sum(times) < 0.5:
        times.append(seconds_once(call))
    return min(times)


def seconds_a_call(call: Callable[[], Any], calls: int = 200) -> float:
    times = []
    for _ in range(calls + calls // 10):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times[calls // 10 :])  # the first ones compile


def seconds_once(call: Callable[[], Any]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def added(call: Callable[[], Any]) -> dict[str, float]:
    """The anonymous memory that a call adds, read every few milliseconds."""

    def held() -> int:
        return 1024 * int(re.findall(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[0])

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(held())

    done, seen, before = threading.Event(), [], held()
    watcher = threading.Thread(target=watch)
    watcher.start()
    call()
    sleep(0.2)  # a moment later the runtime has given back what its last program needed besides its results
    after = held()
    done.set()
    watcher.join()
    return {"peak": max(*seen, after) - before, "after": after - before}


def peak(size: int = 2048, calls: int = 8) -> dict[str, float]:
    jax = importlib.import_module("jax")
    a = jax.numpy.ones((size, size), "float32")
    product = jax.jit(lambda a, b: a @ b)
    product(a, a).block_until_ready()
    start = perf_counter()
    for _ in range(calls):
        product(a, a).block_until_ready()
    return {"gflops": 2 * size**3 * calls / (perf_counter() - start) / 1e9}


def serve(peer: Any, orders: TextIO, answers: TextIO) -> None:
    answer: dict[str, Any]
    for order in orders:
        word, *rest = order.split()
        try:
            answer = obey(peer, word, *rest)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


def obey(peer: Any, word: str, argument: str = "", rows: str = "") -> dict[str, float]:
    if word == "peak":
        return peak()
    if word == "make":
        peer.make(argument)
        return {}
    if word == "call":
        return {"seconds": fastest(peer.call) / peer.units}
    if word == "once":
        return {"seconds": seconds_once(peer.call) / peer.units}
    if word == "added":
        return added(peer.call)
    if word == "rows":
        return {"seconds": peer.predict_rows(int(argument))}
    if word == "products":
        return dict(peer.products())
    if word == "predict":
        return dict(peer.predict())
    if word == "memory":
        return {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if word == "prepare":
        program = PROGRAMS[argument]
        data = program.data(np.random.default_rng(0))
        start = perf_counter()
        peer.prepare(program, *data)
        return {"build": perf_counter() - start}
    if word == "fit":
        epochs, samples = int(argument), int(rows or len(peer.x))
        start = perf_counter()
        peer.fit(epochs, samples)
        seconds = perf_counter() - start
        return {"seconds": seconds, "steps": epochs * -(-samples // peer.program.batch), "samples": epochs * samples}
    raise ValueError(f"no such order: {word}")


if __name__ == "__main__":
    # Text that the peers print is not an answer, so it goes to their log.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    kinds: dict[str, Any] = {"keras": KerasLike, "lamina": Lamina, "torch": Torch}
    serve(kinds[sys.argv[1]](sys.argv[1]), sys.stdin, channel)
