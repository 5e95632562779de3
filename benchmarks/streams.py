"""Compares the time of an epoch for each kind of stream with that for arrays, in one process, in rounds.

python benchmarks/streams.py [--rounds 15] [--batch 32 512] [--steps 400]

Each line has the median over the rounds of the ratio to the arrays' epoch in the same round, in wall time and in
processor time. For a source that can be read alone, it also has the ratio to a bound. The bound is the largest of the
time of the source alone, the time of the arrays, and the processor time of both divided by the number of cores. torch
and pyarrow are measured if they are installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import lamina
from lamina import layers

FEATURES = 784
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Timed = tuple[float, float]
"""The seconds of wall time and of processor time."""


def timed(call: Callable[[], Any]) -> Timed:
    wall, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - used


def model(features: int = FEATURES) -> Any:
    made = lamina.Sequential(
        [layers.Input((features,)), layers.Dense(128, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    made.compile("adam", "sparse_categorical_crossentropy")
    return made


def sources(x: Any, y: Any, size: int, folder: Path) -> Iterator[tuple[str, Callable[[], Any], dict[str, Any]]]:
    """Yield the name of each kind, the function that makes its source, and the other arguments of `fit`."""
    batches = [(x[start : start + size], y[start : start + size]) for start in range(0, len(x), size)]
    yield "list", lambda: batches, {}
    yield "generator", lambda: lambda: iter(batches), {}
    if importlib.util.find_spec("torch"):
        from torch import from_numpy
        from torch.utils.data import DataLoader, Dataset, TensorDataset

        class Items(Dataset):  # type: ignore[misc, type-arg]
            def __len__(self) -> int:
                return len(x)

            def __getitem__(self, place: int) -> Any:
                return x[place], y[place]

        tensors = TensorDataset(from_numpy(x), from_numpy(y))
        yield "TensorDataset", lambda: tensors, {"batch_size": size}
        yield "DataLoader(TensorDataset)", lambda: DataLoader(tensors, size, shuffle=True), {}
        yield "DataLoader(own Dataset)", lambda: DataLoader(Items(), size, shuffle=True), {}
    if importlib.util.find_spec("pyarrow") and hasattr(lamina.utils, "table_dataset"):
        import pyarrow
        import pyarrow.parquet

        columns = {f"c{number}": x[:, number] for number in range(TABLE)} | {"label": y}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / "rows.parquet")
        yield (
            "table_dataset",
            lambda: lamina.utils.table_dataset(
                str(folder / "rows.parquet"), label="label", batch_size=size, shuffle=True
            ),
            {},
        )


TABLE = 32
"""The columns of the table."""


def read(source: Any) -> None:
    for _ in source() if callable(source) else source:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 512])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    random = np.random.default_rng(0)
    for size in arguments.batch:
        x = random.normal(size=(size * arguments.steps, FEATURES)).astype("float32")
        y = random.integers(0, 10, len(x)).astype("int32")
        trained = model()

        def epoch(*data: Any, **settings: Any) -> Timed:
            return timed(lambda: trained.fit(*data, verbose=0, **settings))  # noqa: B023 - called in this turn

        with tempfile.TemporaryDirectory() as folder:
            for name, make, settings in sources(x, y, size, Path(folder)):
                if arguments.only not in name:
                    continue
                found: list[tuple[Timed, Timed, Timed]] = []
                arrays = (np.ascontiguousarray(x[:, :TABLE]), y) if name == "table_dataset" else (x, y)
                if name == "table_dataset":
                    trained = model(TABLE)
                for _ in range(arguments.rounds + 2):
                    source = make()
                    alone = timed(lambda: read(source)) if name != "TensorDataset" else (0.0, 0.0)  # noqa: B023
                    found.append((epoch(*arrays, batch_size=size), epoch(source, **settings), alone))
                rounds = found[2:]  # the first ones compile
                wall = statistics.median(own[0] / plain[0] for plain, own, _ in rounds)
                used = statistics.median(own[1] / plain[1] for plain, own, _ in rounds)
                bound = statistics.median(
                    own[0] / max(alone[0], plain[0], (plain[1] + alone[1]) / CORES) for plain, own, alone in rounds
                )
                step = [statistics.median(each[kind][1] for each in rounds) / arguments.steps for kind in range(3)]
                print(
                    f"batch {size:4}  {name:26} wall {wall:5.2f}  cpu {used:5.2f}  of the bound {bound:5.2f}   "
                    f"cpu µs a step: arrays {step[0] * 1e6:6.0f}, stream {step[1] * 1e6:6.0f}, "
                    f"alone {step[2] * 1e6:6.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
