"""Trains several models of one stack at the same time. They share one compiled program, and each core runs one.

A small stack leaves most of a processor idle, because its steps are too short to be divided among cores. On two cores,
two simultaneous fits, each on one thread, take half of the time of one fit after the other. A single program for all
models, with batched products (`jax.vmap`) or with parallel operations, was slower (benchmarks/README.md).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from lamina._arrays.devices import one_device
from lamina._data.raw_table import shared
from lamina._data.row_sources import given
from lamina._diagnosis.findings import silence
from lamina._display.verbosity import verbosity
from lamina._kernels.native import onednn
from lamina._layer.host import takes_frames
from lamina._programs import programs
from lamina.callbacks import History
from lamina.models.sequential import Sequential
from lamina.utils.progbar import Progbar


def at_once() -> int:
    """The number of models that are trained at a time: one on each core, or one on an accelerator."""
    if jax.default_backend() != "cpu":
        return 1
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def keep_busy(fits: int) -> bool:
    """Whether this number of fits, on one thread each, leaves at most a fifth of the cores' time idle.

    That is about the time that one thread for each fit saves.
    """
    cores = at_once()
    return cores > 1 and jax.config.jax_default_device is None and 4 * cores * -(-fits // cores) <= 5 * fits  # type: ignore[attr-defined]


_counting, _alone = threading.Lock(), 0


@contextmanager
def on_one_thread(chosen: bool) -> Iterator[None]:
    """If `chosen`, run the fit of this thread, and the kernels of lamina-onednn, on one thread each."""
    token = programs.alone.set(chosen)
    _count(chosen)
    try:
        with one_device():
            yield
    finally:
        _count(-chosen)
        programs.alone.reset(token)


def _count(more: int) -> None:
    global _alone
    with _counting:
        _alone += more
        if more and (native := onednn()) is not None:
            native.share(at_once() if _alone else 1)


def build(models: Sequence[Sequential], shape: Sequence[int]) -> None:
    """Build the models in their order, so that their seeds do not depend on which model is trained first."""
    for model in models:
        if not model.built:
            model.build((None, *shape))


def shared_by(models: Sequence[Sequential], x: Any, y: Any, options: dict[str, Any]) -> tuple[Any, Any]:
    """x and y for the fits of all models.

    Models that encode a table in the same way share the encoded rows, those of `validation_data` included.
    """
    if not all(map(takes_frames, models)):
        return x, y
    held = options.get("validation_data")
    if isinstance(held, (tuple, list)) and held:
        options["validation_data"] = (shared(held[0], "validation_data[0]"), *held[1:])
    x, y, _ = given(x, y)
    return shared(x), y


def trained(
    models: Sequence[Sequential], fit: Callable[[int], History], verbose: int | str, unit: str
) -> list[History]:
    """Run `fit(number)` for each model, and return the histories. The first error, or Ctrl-C, ends all fits."""
    shown = Progbar(len(models), verbose=verbosity(verbose), unit_name=unit, stateless_metrics=())
    found: dict[int, History] = {}
    alone = keep_busy(len(models))

    def fitted(number: int) -> History:
        with on_one_thread(alone), silence():
            return fit(number)

    with ThreadPoolExecutor(at_once(), thread_name_prefix="lamina-fit") as pool:
        begun = {pool.submit(fitted, number): number for number in range(len(models))}
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
    """The means of the last epochs' values."""
    names = histories[0].history
    return [(name, float(np.mean([each.history[name][-1] for each in histories], axis=0).mean())) for name in names]
