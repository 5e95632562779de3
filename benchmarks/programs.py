"""Lists what is timed: the programs by their names, and the figures besides steps. A new program needs a name here."""

from __future__ import annotations

from dataclasses import dataclass, field

from calls import CALLS
from dense import Census, CensusSmallBatch, Mnist, MnistHalf, WideHalf
from images import CifarAverage, CifarConvnet, MnistConvnet, MnistConvnetHalf
from program import Goals, Program
from sequences import Gru, Lstm, Text, TextDense, Transformer

PROGRAMS: dict[str, Program] = {
    "census-32": CensusSmallBatch(),
    "census-512": Census(),
    "mnist-128": Mnist(),
    "mnist-convnet": MnistConvnet(),
    "cifar-convnet": CifarConvnet(),
    "cifar-average": CifarAverage(),
    "text": Text(),
    "text-dense": TextDense(),
    "lstm": Lstm(),
    "gru": Gru(),
    "transformer": Transformer(),
    "wide-16": WideHalf(),
    "mnist-16": MnistHalf(),
    "mnist-convnet-16": MnistConvnetHalf(),
}
FRESH = ["mnist-convnet", "cifar-convnet", "text", "lstm", "gru"]
"""The programs whose first step and memory are measured too, each in a new process."""

PREDICTED = {
    f"predict-{rows}-{name}": (name, rows)
    for rows in (10_000, 1)
    for name, program in PROGRAMS.items()
    if name != "census-32" and not program.policy
}
"""The stacks that predict each number of rows."""
LEAST = {"mnist-128": 1.25, "gru": 2.0}
"""The goal for the prediction of 10,000 rows: how many times faster than the fastest peer; 1.5 for other stacks."""

PRODUCTS = {"census-32": 1.4, "census-512": 1.25, "mnist-128": 1.1}
"""The goal for a step of each dense stack: its time divided by the time of its matrix products alone."""


@dataclass(frozen=True)
class Figure:
    """A figure besides steps. `most` is the goal for its ratio to the `limit`, which the same run measures."""

    title: str
    goals: Goals = field(default_factory=dict)
    limit: str = ""
    most: float = 0.0


FIGURES = {
    "import": Figure("`import`", limit="import jax, numpy", most=1.25),
    "first-epoch": Figure("first `fit(epochs=1)` of a script run before", {"keras-jax": (2, 2)}),
    "script": Figure("that script, from start to the epoch's end"),
    "predict": Figure("`predict` of one row", limit="a bare jitted call", most=3),
    **{
        f"products-{name}": Figure(f"a step, {PROGRAMS[name].title}", limit="its products alone", most=most)
        for name, most in PRODUCTS.items()
    },
    **{f"first-step-{name}": Figure(f"first step, {PROGRAMS[name].title}", {"keras-jax": (1, 1)}) for name in FRESH},
    **{f"memory-{name}": Figure(f"memory, {PROGRAMS[name].title}", {"best": (1 / 1.2, 1 / 1.2)}) for name in FRESH},
    **{
        figure: Figure(
            f"`predict` of {rows:,} row{'s' * (rows > 1)}, {PROGRAMS[name].title.partition(', batch')[0]}",
            {"best": (LEAST.get(name, 1.5), LEAST.get(name, 1.5))} if rows > 1 else {},
        )
        for figure, (name, rows) in PREDICTED.items()
    },
    **{name: Figure(call.title, call.goals) for name, call in CALLS.items()},
}
