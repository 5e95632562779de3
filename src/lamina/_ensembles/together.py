"""The programs that step several models of one stack at once: what each holds is stacked along a first axis."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina._base.weight import Array
from lamina._training import steps
from lamina._training.steps import Arrays, Data, ProgramSpec, Steps, TrainState


def train(spec: ProgramSpec, size: int, undoes: bool) -> Steps:
    """The program that makes `count` steps of `size` rows with every model.

    (state[:3], state[3:], data, rows, counted, start, count) -> (state, logs); the first argument is overwritten.
    `data` has all rows once; row i of `rows`, (models, ...) int32, says in which order model i takes them. `counted`,
    (size,), is 0 for rows that only fill a batch up; None where all count.
    """
    step = steps.training_step(spec, undoes)

    def run(
        held: tuple[Any, ...], others: tuple[Any, ...], data: Data, rows: Array, counted: Any, start: Array,
        count: Array,
    ) -> tuple[TrainState, Arrays]:  # fmt: skip
        def member(state: TrainState, at: Array) -> TrainState:
            batch = {name: array.take(at, axis=0, mode="clip") for name, array in data.items()}
            return step(state, batch if counted is None else batch | {"counted": counted})[0]

        def one(done: Array, now: TrainState) -> TrainState:
            return jax.vmap(member)(now, lax.dynamic_slice_in_dim(rows, start + done * jnp.int32(size), size, 1))

        now = lax.fori_loop(jnp.int32(0), count, one, TrainState(*held, *others))
        return now._replace(key=None, goes_on=None), jax.vmap(spec.logs)(now.metrics)

    return run


def evaluate(spec: ProgramSpec, size: int) -> Steps:
    """The program that measures every model on `count` batches of `size` rows, from row `start` on.

    (params, state, sums, data, counted, start, count) -> (sums, logs)
    """
    step = steps.test_step(spec)

    def run(
        params: Arrays, state: Arrays, sums: Any, data: Data, counted: Any, start: Array, count: Array
    ) -> tuple[Any, Arrays]:
        def one(done: Array, sums: Any) -> Any:
            first = start + done * jnp.int32(size)
            batch = {name: lax.dynamic_slice_in_dim(array, first, size) for name, array in data.items()}
            batch = batch if counted is None else batch | {"counted": counted}
            return jax.vmap(lambda params, state, sums: step(params, state, sums, batch)[0])(params, state, sums)

        sums = lax.fori_loop(jnp.int32(0), count, one, sums)
        return sums, jax.vmap(spec.logs)(sums)

    return run


def stacked(states: list[Any]) -> Any:
    """The trees of several models as one, whose leaves have an axis more in front."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)


def apart(state: Any, count: int) -> list[Any]:
    """The trees that `stacked` made one of."""
    return [jax.tree.map(lambda leaf, i=i: leaf[i], state) for i in range(count)]
