"""The functions that are compiled: training, evaluation and prediction as pure functions of arrays.

One call of a training program runs `count` steps in a loop on the device. Its rows are in the order in which the steps
use them. A single step and the short last batch use the same function. Callbacks run outside, between two calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._kernels.bits import fold
from lamina._layer.masks import mask_of
from lamina._training.built_in_step import BuiltInStep
from lamina._training.own_steps import Arrays, OwnStep, Sums, is_own
from lamina._training.spec import Data, ProgramSpec, TrainState
from lamina.random import Draws, key_of

Steps = Callable[..., Any]
Step = BuiltInStep | OwnStep


def step_of(spec: ProgramSpec, kind: str) -> Step:
    """The computation of one batch in a program of this `kind`: "train", "test" or "predict"."""
    return OwnStep(spec) if is_own(spec.model, kind) else BuiltInStep(spec)


def _unless_bad(loss: Array, before: TrainState, after: TrainState, undoes: bool) -> TrainState:
    """Record in `bad` that the loss of a step was not finite. With `undoes`, that step changes no weight."""
    finite = jnp.isfinite(loss)
    if undoes:
        good = finite | before.goes_on
        after = after._replace(
            **{
                name: jax.tree.map(lambda a, b: jnp.where(good, b, a), getattr(before, name), getattr(after, name))
                for name in ("params", "state", "optimizers")
            }
        )
    return after._replace(bad=jnp.where(finite | (before.bad >= 0), before.bad, before.step))


def train(batch_step: Step, size: int, undoes: bool) -> Steps:
    """Make the program that trains on `count` batches of `size` rows, from batch `start` on.

    (state[:3], state[3:], data, start, count) -> (state, logs)

    The program overwrites the arrays of its first argument. In the returned state, parts that no step changes are None.
    """

    def step(now: TrainState, batch: Data) -> tuple[TrainState, Arrays]:
        after, logs, loss = batch_step.train(now, batch)
        return _unless_bad(loss, now, after._replace(step=now.step + jnp.int32(1)), undoes), logs

    def run(
        held: tuple[Any, ...], others: tuple[Any, ...], data: Data, start: Array, count: Array
    ) -> tuple[TrainState, Arrays]:
        now = TrainState(*held, *others)

        def batch(done: Array) -> Data:
            return _batch(data, start + done, size)

        def one(carry: tuple[Array, TrainState, Arrays]) -> tuple[Array, TrainState, Arrays]:
            done, state, _ = carry
            return done + jnp.int32(1), *step(state, batch(done))

        def more(carry: tuple[Array, TrainState, Arrays]) -> Array:
            done, state, _ = carry
            return jnp.logical_and(done < count, state.goes_on | (state.bad < 0))

        first = jnp.int32(0)
        logs = batch_step.first_logs(lambda: step(now, batch(first))[1])
        _, now, logs = lax.while_loop(more, one, (first, now, logs))
        return now._replace(key=None, goes_on=None), batch_step.logs(logs, now.metrics)

    return run


def _batch(data: Data, number: Array, size: int) -> Data:
    """The first `size` rows of a batch.  (batches, rows, ...) -> (size, ...)"""
    return {name: lax.dynamic_index_in_dim(each, number, keepdims=False)[:size] for name, each in data.items()}


def evaluate(batch_step: Step, size: int) -> Steps:
    """Make the program that evaluates `count` batches of `size` rows, from batch `start` on.

    (params, state, sums, data, start, count) -> (sums, states of stateful recurrent layers, logs)
    """

    spec = batch_step.spec

    def step(params: Arrays, state: Arrays, sums: Sums, batch: Data, place: Array) -> tuple[Sums, Arrays, Arrays]:
        rows = sums[0][1].astype(jnp.uint32)  # the rows before; in a stream, `place` is 0 for every batch
        key = fold(fold(key_of(0), rows), place) if spec.draws else None
        return batch_step.test(params, state, sums, batch, key)

    def run(
        params: Arrays, state: Arrays, sums: Sums, data: Data, start: Array, count: Array
    ) -> tuple[Sums, Arrays, Arrays]:
        def batch(done: Array) -> Data:
            return _batch(data, start + done, size)

        def one(done: Array, now: tuple[Sums, Arrays, Arrays]) -> tuple[Sums, Arrays, Arrays]:
            sums, carried, _ = now
            sums, after, logs = step(params, state | carried, sums, batch(done), start + done)
            return sums, {path: after[path] for path in carried}, logs

        first, carried = jnp.int32(0), {path: state[path] for path in spec.carried}
        logs = batch_step.first_logs(lambda: step(params, state, sums, batch(first), first)[2])
        sums, carried, logs = lax.fori_loop(first, count, one, (sums, carried, logs))
        return sums, carried, batch_step.logs(logs, sums)

    return run


def predict(spec: ProgramSpec, rows: int | None = None) -> Steps:
    """Make the program for prediction, for the first `rows` rows of x, or for all.

    (params, state, x, call) -> (output, its mask, states of stateful recurrent layers, losses that layers add)

    `call` is (2,) uint32: two numbers that differ in each call, for layers that draw random numbers.
    """

    batch_step = step_of(spec, "predict")

    def run(params: Arrays, state: Arrays, x: Array, call: Array) -> tuple[Any, Any, Arrays, list[Array]]:
        key = fold(key_of(0), call[0]) if spec.draws else None
        y, after, losses = batch_step.predict(params, state, x[:rows], key, Draws(call[1]))
        return y, mask_of(next(iter(jax.tree.leaves(y)))), {path: after[path] for path in spec.carried}, losses

    return run
