"""The built-in steps: the gradient of the loss, then the update by the optimizer, then the metrics."""

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
    """The computation of one batch in a program, as `compile` describes it. `OwnStep` has the same methods."""

    ahead = True
    """Whether the step may be traced in another thread, before it is needed."""

    def __init__(self, spec: ProgramSpec) -> None:
        self.spec = spec

    def check(self) -> None:
        """Raise an error for trained weights that have no gradient, and warn if no weight is trained."""
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
        """The variables of each optimizer, in the order in which the step takes their arrays."""
        return [Order(compiled_of(self.spec.model).optimizer, self.spec.named, self.spec.waiting)]

    def build_optimizers(self, now: TrainState, chunk: Chunk) -> bool:
        """Build optimizers that are not built yet. Returns whether there were any; here there are none."""
        return False

    def train(self, now: TrainState, batch: Data) -> tuple[TrainState, Arrays, Array]:
        """Train on a batch. Returns the new state, the logs that are not results of metrics, and the loss."""
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
        """Evaluate a batch. Returns the states of the metrics, the weights that are not trained, and the logs."""
        with Pass(self.spec.values(params, state), key=key, draws=draws_of(key)) as current:
            y_pred, _, after = self.spec.forward(current, params, state, batch["x"])
            loss = self.spec.total_loss(current, params, batch, y_pred)
            return self.spec.measured(sums, loss, batch, y_pred), after, {}

    def predict(
        self, params: Arrays, state: Arrays, x: Array, key: Array | None, draws: Draws
    ) -> tuple[Any, Arrays, list[Array]]:
        """Predict a batch. Returns the output, the weights that are not trained, and the losses that layers add."""
        with Pass(self.spec.values(params, state), key=key, draws=draws) as now:
            y, _, after = self.spec.forward(now, params, state, x)
        self.spec.added = now.added
        return y, after, now.losses

    def first_logs(self, step: Callable[[], Arrays]) -> Arrays:
        """The logs with which the loop over batches begins: arrays of the shapes that `step` returns."""
        return {}

    def logs(self, logs: Arrays, sums: Sums) -> Arrays:
        """The logs that a call of a program returns: here the results of the metrics so far."""
        return self.spec.logs(sums)

    def completed(self, logs: dict[str, Any], sums: Sums) -> dict[str, Any]:
        """The logs at the end of an epoch, with the metrics that are computed only then."""
        return completed(logs, self.spec.measures, sums)


def _rows_of(batch: Data) -> Array | None:
    """The number of rows that count if a short batch may be filled; else None."""
    return batch["counted"].sum().astype(jnp.int32) if "counted" in batch else None
