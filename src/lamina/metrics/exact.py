"""Exact areas under curves, from every score instead of counts at thresholds: the state grows with the data.

A compiled program cannot lengthen an array. So it receives a longer one before it runs, and each length has its own
program. The lengths are powers of 4, which gives five programs for a million scores. Sorting takes longer than many
steps, so `fit` and `evaluate` sort once, after all of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array, HostArray
from lamina._layer.structure import inner_modules
from lamina._settings.settings import setting
from lamina._weights.weight import Weight
from lamina.metrics.counts import Counting
from lamina.metrics.metric import Metric

FEWEST = 4096
"""The initial length of the state."""


class Scores(Counting):
    """A metric that can keep all scores, in two weights of its state.

    `scores`, (3, length, ...), holds the predictions, the weights of scores whose target is not 0, and the weights of
    the others. Both weights are 0 at unused places. `seen`, (), is the number of scores.
    """

    if TYPE_CHECKING:
        _lamina_scores: Weight = setting(init=False)
        _lamina_seen: Weight = setting(init=False)

    def _lamina_keep_scores(self, labels: Sequence[int]) -> None:
        self._lamina_seen = self.add_weight((), dtype="int32", name="seen")
        self._lamina_scores = self.add_weight((3, FEWEST, *labels), name="scores")

    def reset_state(self) -> None:
        if not is_late(self):
            super().reset_state()
            return
        self._lamina_seen.assign(0)
        scores = self._lamina_scores
        scores.value = jnp.zeros((3, FEWEST, *scores.shape[2:]), scores.dtype)

    def _lamina_append(self, y: Array, p: Array, weight: Array) -> None:
        """Append one batch, all (rows, ...). Outside a trace the arrays grow when they are full."""
        new = jnp.stack([p, weight * (y != 0), weight * (y == 0)])
        count, held = jnp.asarray(self._lamina_seen), jnp.asarray(self._lamina_scores)
        if not isinstance(count, jax.core.Tracer):
            held = longer(held, int(count) + len(p))
        if len(p) <= held.shape[1]:
            self._lamina_scores.value = jax.lax.dynamic_update_slice_in_dim(held, new.astype(held.dtype), count, axis=1)
        self._lamina_seen.assign(count + np.int32(len(p)))

    def _lamina_area(self, curve: str) -> Array:
        """The area, or one area for each label; NaN if a program received more scores than its state could hold.

        Outside a trace NumPy computes it in float64: its sort takes a tenth of the time of XLA's.
        """
        count, held = jnp.asarray(self._lamina_seen), jnp.asarray(self._lamina_scores)
        if isinstance(held, jax.core.Tracer):
            return jnp.where(count <= held.shape[1], _areas(jnp, held, curve), jnp.nan)
        found = _areas(np, np.asarray(held[:, : int(count)], np.float64), curve)
        return jnp.asarray(found if int(count) <= held.shape[1] else np.full_like(found, np.nan), held.dtype)


def _areas(xp: ModuleType, held: Array | HostArray, curve: str) -> Any:
    """The area for (3, n), or one area for each column of (3, n, labels)."""
    if held.ndim == 3:
        return xp.stack([_areas(xp, held[..., label], curve) for label in range(held.shape[2])])
    p, yes, no = held[:, xp.argsort(held[0])]
    below, up_to = xp.searchsorted(p, p, side="left"), xp.searchsorted(p, p, side="right")
    hits, alarms = (xp.concatenate([xp.zeros_like(p[:1]), xp.cumsum(each)]) for each in (yes, no))
    if curve == "ROC":  # the weight of the negatives below each positive; equal scores count half
        areas, most = yes * (alarms[below] + alarms[up_to]) / 2, hits[-1] * alarms[-1]
    else:  # the precision at the score of each positive
        caught, wrong = hits[-1] - hits[below], alarms[-1] - alarms[below]
        areas, most = yes * caught / xp.where(caught + wrong > 0, caught + wrong, 1), hits[-1]
    return xp.sum(areas) / xp.where(most > 0, most, 1)


def longer(held: Array, length: int) -> Array:
    """The scores in an array that can hold `length` of them."""
    size: int = held.shape[1]
    while size < length:
        size *= 4
    return jnp.pad(held, [(0, 0), (0, size - held.shape[1]), *[(0, 0)] * (held.ndim - 2)])


Places = list[tuple[int, int, int]]
"""For each metric that keeps scores: its number, and the positions of `seen` and `scores` in the list of its state."""


def places(metrics: Sequence[Metric]) -> Places:
    found = []
    for number, metric in enumerate(metrics):
        state = {weight: place for place, weight in enumerate(metric.variables)}
        for each in filter(is_late, _within(metric)):
            found.append((number, state[each._lamina_seen], state[each._lamina_scores]))
    return found


def _within(metric: Metric) -> Iterator[Any]:
    yield metric
    for inner in inner_modules(metric, Metric).values():
        yield from _within(inner)


def with_room(keep: Places, sums: list[list[Array]], chunk: Any) -> list[list[Array]]:
    """The states of metrics, extended for the scores of the rows of a chunk."""
    if not keep:
        return sums
    sums = [list(state) for state in sums]
    for number, seen, scores in keep:
        state = sums[number]
        columns = 1 if state[scores].ndim == 3 else int(np.prod(chunk.data["y"].shape[2:]))
        state[scores] = longer(state[scores], int(state[seen]) + chunk.steps * chunk.size * columns)
    return sums


def completed(logs: dict[str, Any], metrics: Sequence[Metric], sums: Sequence[Sequence[Array]]) -> dict[str, Any]:
    """The logs, with the areas that are computed at the end, in the order of the metrics."""
    late = {
        metric.name: float(metric.stateless_result(state))
        for metric, state in zip(metrics, sums, strict=True)
        if is_late(metric)
    }
    names = [metric.name for metric in metrics if metric.name in late | logs] if late else []
    return {name: (logs | late)[name] for name in names} | logs


def is_late(metric: Metric) -> bool:
    """Whether the result is computed after all of the data, and not in the programs."""
    return "_lamina_seen" in vars(metric)
