"""The compiled programs: training, testing and predicting as pure functions of arrays. Callbacks are not known here.

One call runs `count` steps in a loop on the device. The rows of each step are looked up in a table of indices, so
shuffling moves no data; a chunk of steps, one step and the short last batch are the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lamina._base.weight import Array
from lamina._kernels.bits import fold
from lamina._layer.forward import Pass
from lamina._layer.structure import require_adapted, weights_by_path
from lamina._training.fingerprint import fingerprint, without_arrays
from lamina._training.model import Model
from lamina.errors import NotCompiledError
from lamina.metrics.metric import updated_state

Arrays = dict[str, Array]
Data = dict[str, Array]
"""`x`, and where there are any `y` and `weight` (of the samples): arrays with one row a sample."""


class TrainState(NamedTuple):
    """All that a step reads and writes. No Python number in it, or a second program would be compiled."""

    params: Arrays
    state: Arrays
    optimizer: Any
    metrics: dict[str, Any]
    key: Array
    """The model's seed, (2,) uint32."""
    step: Array
    """How many steps the model has been trained in its life, () int32."""
    bad: Array
    """The step of this call at which the loss was not finite, or -1; () int32."""


class ProgramSpec:
    """What the programs depend on besides their arrays: the layers (without arrays), loss, optimizer, metrics."""

    def __init__(
        self,
        model: Model,
        loss: Any = None,
        optimizer: Any = None,
        metrics: Sequence[tuple[Any, bool]] = (),
        loss_weight: float = 1.0,
    ) -> None:
        require_adapted(model)
        self.model = without_arrays(model)
        weights = weights_by_path(self.model)
        self.trained = {path: weight for path, (weight, trained) in weights.items() if trained}
        self.fixed = {path: weight for path, (weight, trained) in weights.items() if not trained}
        self.paths = {weight: path for path, (weight, _) in weights.items()}
        self.carried = [path for path, weight in self.fixed.items() if weight.carried]
        self.loss, self.loss_weight, self.metrics = loss, loss_weight, metrics
        self.optimizer = optimizer
        self.decay = None
        if optimizer is not None:
            self.optimizer = optimizer._lamina_without_arrays({path: w.path for path, w in self.trained.items()})
            self.decay = {path: not optimizer._lamina_excludes(weight.path) for path, weight in self.trained.items()}
        self.key = (
            fingerprint(self.model),
            fingerprint(loss),
            loss_weight,
            fingerprint(self.optimizer),
            tuple((metric.name, fingerprint(metric), weighted) for metric, weighted in metrics),
            tuple(self.trained),
            tuple(sorted((self.decay or {}).items())),
        )

    def forward(
        self, params: Arrays, state: Arrays, x: Array, *, training: bool, key: Any
    ) -> tuple[Array, Arrays, Arrays, list[Array], Any]:
        """The model's output, the parameters and the state after it, the losses that layers added, and its mask."""
        values = {weight: params[path] for path, weight in self.trained.items()}
        values |= {weight: state[path] for path, weight in self.fixed.items()}
        now = Pass(values, training=training, key=key)
        model = now.copy_of(self.model)
        y = model(x)
        after = {self.paths[weight]: value for weight, value in now.changed()}
        params, state = ({path: after.get(path, value) for path, value in each.items()} for each in (params, state))
        return y, params, state, now.losses, model._lamina.mask

    def total_loss(self, params: Arrays, batch: Data, y_pred: Array, added: list[Array], mask: Any) -> Array:
        """The loss with regularizers and what layers added, as Keras logs it.  -> () float32"""
        if self.loss is None and not added and not any(weight.regularizer for weight in self.trained.values()):
            raise NotCompiledError("there is no loss to make smaller: model.compile('adam', loss='mse').")
        total = jnp.zeros((), jnp.float32)
        if self.loss is not None:
            value = self.loss(batch["y"], y_pred, batch.get("weight"), mask)
            total += jnp.asarray(value).astype(jnp.float32) * jnp.float32(self.loss_weight)
        for path, weight in self.trained.items():
            if weight.regularizer is not None:
                total += weight.regularizer(params[path]).astype(jnp.float32)
        for value in added:
            total += value.astype(jnp.float32).sum()
        return total

    def initial_metrics(self) -> dict[str, Any]:
        """The state before the first batch: that of `loss`, and that of each metric, by name."""
        start: dict[str, Any] = {"loss": {"total": jnp.zeros((), jnp.float32), "count": jnp.zeros((), jnp.float32)}}
        return start | {metric.name: metric.stateless_reset_state() for metric, _ in self.metrics}

    def measured(self, sums: dict[str, Any], loss: Array, batch: Data, y_pred: Array, mask: Any) -> dict[str, Any]:
        """The sums after one more batch; the loss of a batch is weighted by its number of rows."""
        rows = jnp.float32(batch["x"].shape[0])
        after: dict[str, Any] = {
            "loss": {"total": sums["loss"]["total"] + loss * rows, "count": sums["loss"]["count"] + rows}
        }
        for metric, weighted in self.metrics:
            weight = _counted(batch.get("weight") if weighted else None, mask)
            after[metric.name] = updated_state(metric, sums[metric.name], batch["y"], y_pred, weight)
        return after

    def logs(self, sums: dict[str, Any]) -> Arrays:
        """The loss and the metrics so far, by name."""
        loss = sums["loss"]["total"] / jnp.maximum(sums["loss"]["count"], 1)
        return {"loss": loss} | {metric.name: metric.stateless_result(sums[metric.name]) for metric, _ in self.metrics}


def _counted(weight: Any, mask: Any) -> Any:
    """Sample weights that are 0 where the mask is False."""
    if mask is None or weight is None:
        return weight if mask is None else mask.astype(jnp.float32)
    return weight.reshape(weight.shape + (1,) * (mask.ndim - weight.ndim)) * mask


Steps = Callable[..., Any]


def train(spec: ProgramSpec, size: int) -> Steps:
    """The program that trains on `count` batches of `size` rows.

    (state, data, order, start, count) -> (state, logs); `order` is (rows,) int32, and the batches are
    `order[start : start + size]`, and so on.
    """

    def step(now: TrainState, batch: Data) -> TrainState:
        key = fold(now.key, now.step)

        def objective(params: Arrays) -> tuple[Array, Any]:
            y_pred, params, state, added, mask = spec.forward(params, now.state, batch["x"], training=True, key=key)
            loss = spec.total_loss(params, batch, y_pred, added, mask)
            return spec.optimizer._lamina_scale(loss, now.optimizer), (loss, y_pred, params, state, mask)

        grads, (loss, y_pred, params, state, mask) = jax.grad(objective, has_aux=True)(now.params)
        params, optimizer = spec.optimizer._lamina_update(grads, params, now.optimizer, spec.decay)
        for path, weight in spec.trained.items():
            if weight.constraint is not None:
                params[path] = weight.constraint(params[path])
        bad = jnp.where(jnp.isfinite(loss), now.bad, now.step)
        metrics = spec.measured(now.metrics, loss, batch, y_pred, mask)
        return TrainState(params, state, optimizer, metrics, now.key, now.step + jnp.int32(1), bad)

    def run(now: TrainState, data: Data, order: Array, start: Array, count: Array) -> tuple[TrainState, Arrays]:
        def one(carry: tuple[Array, TrainState]) -> tuple[Array, TrainState]:
            done, state = carry
            rows = lax.dynamic_slice_in_dim(order, start + done * jnp.int32(size), size)
            batch = {name: a.at[rows].get(mode="promise_in_bounds") for name, a in data.items()}
            return done + jnp.int32(1), step(state, batch)

        def more(carry: tuple[Array, TrainState]) -> Array:
            return (carry[0] < count) & (carry[1].bad < 0)  # a step after a NaN would only spread it

        _, now = lax.while_loop(more, one, (jnp.int32(0), now))
        return now, spec.logs(now.metrics)

    return run


def evaluate(spec: ProgramSpec, size: int) -> Steps:
    """The program that measures `count` batches of `size` rows, from row `start` on.

    (params, state, sums, data, start, count) -> (sums, states of stateful recurrent layers, logs)
    """

    def run(
        params: Arrays, state: Arrays, sums: Any, data: Data, start: Array, count: Array
    ) -> tuple[Any, Arrays, Arrays]:
        def one(done: Array, now: tuple[Any, Arrays]) -> tuple[Any, Arrays]:
            sums, carried = now
            first = start + done * jnp.int32(size)
            batch = {name: lax.dynamic_slice_in_dim(a, first, size) for name, a in data.items()}
            y_pred, _, after, added, mask = spec.forward(params, state | carried, batch["x"], training=False, key=None)
            loss = spec.total_loss(params, batch, y_pred, added, mask)
            return spec.measured(sums, loss, batch, y_pred, mask), {path: after[path] for path in carried}

        begin = sums, {path: state[path] for path in spec.carried}
        sums, carried = lax.fori_loop(jnp.int32(0), count, one, begin)
        return sums, carried, spec.logs(sums)

    return run


def predict(spec: ProgramSpec) -> Steps:
    """The program from (params, state, x) to the model's output, and the states of stateful recurrent layers."""

    def run(params: Arrays, state: Arrays, x: Array) -> tuple[Any, Arrays]:
        y, _, after, _, _ = spec.forward(params, state, x, training=False, key=None)
        return y, {path: after[path] for path in spec.carried}

    return run
