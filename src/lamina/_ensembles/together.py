"""Trains several models of one stack at the same time: they share one compiled program, and each core runs one of them.

A small stack leaves most of a processor idle, since its steps are too short to be shared among cores. On two cores,
two fits at a time take two thirds of the time of one after the other. One program for all models, with batched
products (`jax.vmap`) or with their operations side by side, was slower than that, and takes longer to compile
(benchmarks/README.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import jax
import numpy as np

from lamina._display.verbosity import verbosity
from lamina.callbacks import History
from lamina.models.sequential import Sequential
from lamina.utils.progbar import Progbar


def at_once() -> int:
    """How many models are trained at a time: one a core, and one on a device that shares its time itself."""
    if jax.default_backend() != "cpu":
        return 1
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def build(models: Sequence[Sequential], shape: Sequence[int]) -> None:
    """Build the models for samples of this shape in their order, so that their seeds do not depend on which of them is
    trained first."""
    for model in models:
        if not model.built:
            model.build((None, *shape))


def trained(
    models: Sequence[Sequential], fit: Callable[[int], History], verbose: int | str, unit: str
) -> list[History]:
    """The history of each model, from `fit(its number)`. The first error, or Ctrl-C, ends all of them."""
    shown = Progbar(len(models), verbose=verbosity(verbose), unit_name=unit, stateless_metrics=())
    found: dict[int, History] = {}
    with ThreadPoolExecutor(at_once(), thread_name_prefix="lamina-fit") as pool:
        begun = {pool.submit(fit, number): number for number in range(len(models))}
        try:
            for done in as_completed(begun):
                found[begun[done]] = done.result()
                shown.update(len(found), _means(list(found.values())))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for model in models:
                model.stop_training = True  # those that are under way end with their chunk
            raise
    return [found[number] for number in range(len(models))]


def _means(histories: list[History]) -> list[tuple[str, float]]:
    """Of the last epochs."""
    names = histories[0].history
    return [(name, float(np.mean([each.history[name][-1] for each in histories], axis=0).mean())) for name in names]
