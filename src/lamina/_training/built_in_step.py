"""The steps that `compile` describes: the gradient of the loss, then the optimizer, then the metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._kernels.bits import fold
from lamina._layer.passes import Pass
from lamina._messages.tracebacks import warn
from lamina._training.feeds import Chunk
from lamina._training.model import compiled_of
from lamina._training.own_steps import Arrays, Sums, draws_of
from lamina._training.spec import Data, ProgramSpec, TrainState
from lamina.errors import ArgumentError
from lamina.metrics.exact import completed
from lamina.optimizers.order import Order, in_order
from lamina.random import Draws


class BuiltInStep:
    """What a program does with one batch; `own_steps.OwnStep` has the same methods."""

    ahead = True
    """Whether another thread may trace it, before it is needed."""

    def __init__(self, spec: ProgramSpec) -> None:
        self.spec = spec

    def check(self) -> None:
        """Refuse to train weights that have no gradient, and warn if there are none to train."""
        if not self.spec.trained:
            name = self.spec.model.name
            warn(f"no weight of {name!r} is trainable, so nothing is learned: set layer.trainable = True.")
        for weight in self.spec.trained.values():
            if not jnp.issubdtype(weight.dtype, jnp.inexact):
                raise ArgumentError(
                    f"the weight {weight.path!r} is {weight.dtype}, and only floating-point numbers can be trained. "
                    "Give its layer dtype='float32', or set layer.trainable = False."
                )

    def optimizers(self) -> list[Order]:
        """The optimizers' variables whose arrays the step takes."""
        return [Order(compiled_of(self.spec.model).optimizer, self.spec.named, self.spec.waiting)]

    def build_optimizers(self, now: TrainState, chunk: Chunk) -> bool:
        """Make the state of optimizers that have none; returns whether there were any."""
        return False

    def train(self, now: TrainState, batch: Data) -> tuple[TrainState, Arrays, Array]:
        """The state after a training step, the logs that are not in the metrics, and the loss."""
        spec = self.spec
        moments = Order(spec.optimizer, spec.named, spec.waiting).named(now.optimizers[0])

        def objective(params: Arrays) -> tuple[Array, tuple[Array, Array, Arrays, Arrays]]:
            key = fold(now.key, now.step)
            values, rows = spec.values(params, now.state), _rows_of(batch)
            with Pass(values, training=True, key=key, rows=rows, draws=Draws(now.step)) as current:
                y_pred, params, state = spec.forward(current, params, now.state, batch["x"])
                loss = spec.total_loss(current, params, batch, y_pred)
            return spec.optimizer._lamina_scale(loss, moments), (loss, y_pred, params, state)

        grads, (loss, y_pred, params, state) = jax.grad(objective, has_aux=True)(now.params)
        params, moments = spec.optimizer._lamina_update(grads, params, moments, spec.decay)
        for path, weight in spec.trained.items():
            if weight.constraint is not None:
                params[path] = weight.constraint(params[path])
        with Pass(spec.values(params, state)):
            metrics = spec.measured(now.metrics, loss, batch, y_pred)
        return now._replace(params=params, state=state, optimizers=[in_order(moments)], metrics=metrics), {}, loss

    def test(
        self, params: Arrays, state: Arrays, sums: Sums, batch: Data, key: Array | None
    ) -> tuple[Sums, Arrays, Arrays]:
        """The metrics and the state after a batch that is measured, and its logs."""
        with Pass(self.spec.values(params, state), key=key, draws=draws_of(key)) as current:
            y_pred, _, after = self.spec.forward(current, params, state, batch["x"])
            loss = self.spec.total_loss(current, params, batch, y_pred)
            return self.spec.measured(sums, loss, batch, y_pred), after, {}

    def predict(
        self, params: Arrays, state: Arrays, x: Array, key: Array | None, draws: Draws
    ) -> tuple[Any, Arrays, list[Array]]:
        """The output for a batch, the state after it, and the losses that layers add."""
        with Pass(self.spec.values(params, state), key=key, draws=draws) as now:
            y, _, after = self.spec.forward(now, params, state, x)
        self.spec.added = now.added
        return y, after, now.losses

    def first_logs(self, step: Callable[[], Arrays]) -> Arrays:
        """The logs before the first batch, of the same form as those of `step`."""
        return {}

    def logs(self, logs: Arrays, sums: Sums) -> Arrays:
        """The logs that a call of a program returns: those of its last batch, or the metrics so far."""
        return self.spec.logs(sums)

    def completed(self, logs: dict[str, Any], sums: Sums) -> dict[str, Any]:
        """The logs when all of the data was seen, with the metrics that are computed then."""
        return completed(logs, self.spec.measures, sums)


def _rows_of(batch: Data) -> Array | None:
    """The number of rows that count, if a short batch is filled."""
    return batch["counted"].sum().astype(jnp.int32) if "counted" in batch else None
