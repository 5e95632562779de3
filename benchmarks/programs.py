"""What is timed: each program by its name, and what is measured besides steps. A new program is one more name here."""

from __future__ import annotations

from dataclasses import dataclass, field

from calls import CALLS
from dense import Census, CensusSmallBatch, Mnist
from images import CifarConvnet, MnistConvnet
from program import Goals, Program
from sequences import Gru, Lstm, Text

PROGRAMS: dict[str, Program] = {
    "census-32": CensusSmallBatch(),
    "census-512": Census(),
    "mnist-128": Mnist(),
    "mnist-convnet": MnistConvnet(),
    "cifar-convnet": CifarConvnet(),
    "text": Text(),
    "lstm": Lstm(),
    "gru": Gru(),
}
FRESH = ["mnist-convnet", "cifar-convnet", "text", "lstm", "gru"]
"""Those whose first step and memory are measured too, in a process of their own."""


@dataclass(frozen=True)
class Figure:
    """What is measured besides steps; `most` is how many times its `limit`, in the same run, it may take."""

    title: str
    goals: Goals = field(default_factory=dict)
    limit: str = ""
    most: float = 0.0


FIGURES = {
    "import": Figure("`import`", limit="import jax, numpy", most=1.25),
    "first-epoch": Figure("first `fit(epochs=1)` of a script run before", {"keras-jax": (2, 2)}),
    "script": Figure("that script, from start to the epoch's end"),
    "predict": Figure("`predict` of one row", limit="a bare jitted call", most=3),
    **{f"first-step-{name}": Figure(f"first step, {PROGRAMS[name].title}", {"keras-jax": (1, 1)}) for name in FRESH},
    **{f"memory-{name}": Figure(f"memory, {PROGRAMS[name].title}", {"best": (1 / 1.2, 1 / 1.2)}) for name in FRESH},
    **{name: Figure(call.title, call.goals) for name, call in CALLS.items()},
}
