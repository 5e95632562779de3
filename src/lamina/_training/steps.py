"""The compiled programs: training, testing and predicting as pure functions of arrays. Callbacks are not known here.

One call runs `count` steps in a loop on the device, on rows that lie in the order in which they are used; a chunk of
steps, one step and the short last batch are the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina._arrays.arrays import Array
from lamina._checks.rows import stay_apart
from lamina._kernels.bits import fold
from lamina._layer.masks import mask_of, with_mask
from lamina._layer.passes import Pass
from lamina._layer.structure import require_adapted, weights_beside, weights_by_path
from lamina._training import own_steps
from lamina._training.compilation import Compiled
from lamina._training.fingerprint import fingerprint
from lamina._training.model import Model
from lamina._training.own_steps import Arrays, Sums
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, NotCompiledError, StackError
from lamina.losses.loss import Loss, same_rank
from lamina.metrics.exact import is_late
from lamina.metrics.metric import updated_state
from lamina.metrics.reduction import summed
from lamina.optimizers.order import Order
from lamina.random import Draws, key_of

Data = dict[str, Array]
"""`x`, and where there are any `y` and `weight` (of the samples): arrays with one row a sample. Where a short batch is
filled up also `counted`, float32, which is 0 for the rows that only fill it, and 1 for all others."""


class TrainState(NamedTuple):
    """All that a step reads and writes. No Python number in it, or a second program would be compiled."""

    params: Arrays
    state: Arrays
    optimizers: list[Any]
    """The arrays of the optimizer in a list, or the trees of those that a step of the user's own knows."""
    metrics: Sums
    """The variables of each metric, the mean of the loss first."""
    key: Any
    """The model's seed, (2,) uint32."""
    step: Array | np.int32
    """How many steps the model has been trained in its life, () int32."""
    bad: Array | np.int32
    """The first step of this call at which the loss was not finite, or -1; () int32."""
    goes_on: Any
    """Whether such a step counts as any other, () bool; if not, it is undone, and the call ends with it."""


class ProgramSpec:
    """What the programs depend on besides their arrays: the layers, the loss, the optimizer, the metrics."""

    def __init__(self, model: Model, compiled: Compiled | None = None) -> None:
        require_adapted(model)
        self.model = model
        self.draws = not stay_apart(model)
        """Whether there is code of the user's own, which may draw random numbers in inference as well."""
        weights = weights_by_path(model)
        self.trained = {path: weight for path, (weight, trained) in weights.items() if trained}
        self.fixed = {path: weight for path, (weight, trained) in weights.items() if not trained}
        if model._lamina_own_steps:  # which may train what stands beside the stack, as a critic
            self.fixed |= weights_beside(model)
        self.paths = {weight: path for path, weight in (self.trained | self.fixed).items()}
        self.carried = [path for path, weight in self.fixed.items() if weight.carried]
        self.loss, self.loss_weight, self.metrics = None, 1.0, []
        self.added: dict[str, tuple[int, int]] = {}
        """Which of the losses that `predict` returns each layer added, once it was traced."""
        self.optimizer: Any = None
        self.decay: dict[str, bool] = {}
        if compiled is not None:
            self.loss, self.loss_weight, self.metrics = compiled.loss, compiled.loss_weight, compiled.metrics or []
            self.measures = own_steps.metrics_of(model)
            names = {path: weight.path for path, weight in self.trained.items()}
            self.optimizer = compiled.optimizer._lamina_without_arrays(names)
            waiting = set(self.optimizer._lamina.paths) - set(names.values())  # the moments of what was trained before
            paths = {name: path for path, name in names.items()}
            self.order = Order(self.optimizer._lamina.arrays, paths, waiting)
            self.decay = {
                path: not compiled.optimizer._lamina_excludes(weight.path) for path, weight in self.trained.items()
            }
        self.key = fingerprint(
            [
                model, self.loss, self.loss_weight, self.optimizer, list(self.trained), self.decay,
                [(metric.name, metric, weighted) for metric, weighted in self.metrics],
            ]
        )  # fmt: skip

    def values(self, params: Arrays, state: Arrays) -> dict[Weight, Array]:
        """The arrays of a pass, by the weights that they stand for."""
        trained = {weight: params[path] for path, weight in self.trained.items()}
        return trained | {weight: state[path] for path, weight in self.fixed.items()}

    def forward(self, now: Pass, params: Arrays, state: Arrays, x: Array) -> tuple[Array, Arrays, Arrays]:
        """The model's output, and the parameters and the state after it."""
        now.origins[id(x)] = x, x
        y = now.copy_of(self.model)(x)
        for weight, kept in now.kept.values():
            if weight not in self.paths and kept.array is not kept.first:
                raise StackError(
                    f"call updates {weight.path!r}, which is no weight of a layer: it would be lost after the step. "
                    "Update a metric in train_step, compute_loss or compute_metrics; hold a number in add_weight."
                )
        after = {self.paths[weight]: value for weight, value in now.changed() if weight in self.paths}
        params, state = ({path: after.get(path, value) for path, value in each.items()} for each in (params, state))
        return y, params, state

    def total_loss(self, now: Pass, params: Arrays, batch: Data, y_pred: Array) -> Array:
        """The loss with regularizers and what layers added, as Keras logs it.  -> () float32"""
        regularized = [(path, weight.regularizer) for path, weight in self.trained.items()]
        added = [regularizer(params[path]) for path, regularizer in regularized if regularizer is not None]
        with_mask(y_pred, _mask(batch, y_pred))
        measured = batch.get("y"), y_pred, batch.get("weight")
        total = total_loss(self.loss, self.loss_weight, measured, [*added, *now.losses])
        if total.ndim and now.training:
            name = type(self.loss).__name__
            raise ArgumentError(
                f"training needs one number for a batch, and the loss {name} gives an array of shape {total.shape}.\n"
                f"Leave its reduction at 'sum_over_batch_size': {name}(), without reduction='none'."
            )
        return jnp.mean(total)

    def measured(self, sums: Sums, loss: Array, batch: Data, y_pred: Array) -> Sums:
        """The sums after one more batch; the loss of a batch is weighted by its number of rows."""
        rows = batch["counted"].sum() if "counted" in batch else jnp.float32(batch["x"].shape[0])
        (*loss_sums, rest), *others = sums
        after = [summed(loss_sums, rest, [loss * rows, rows])]
        for (metric, weighted), state in zip(self.metrics, others, strict=False):
            mask = _mask(batch, y_pred, metric._lamina_masked)
            weight = counted(batch.get("weight") if weighted else None, mask)
            after.append(updated_state(metric, state, batch["y"], y_pred, weight))
        return after + sums[len(after) :]  # those that the model holds itself

    def logs(self, sums: Sums) -> Arrays:
        """The loss and the metrics so far, by name."""
        (total, count, _), *others = sums
        results = {
            metric.name: metric.stateless_result(state)
            for (metric, _), state in zip(self.metrics, others, strict=False)
            if not is_late(metric)
        }
        return own_steps.logged({"loss": total / jnp.maximum(count, 1), **results})


def total_loss(loss: Loss | None, loss_weight: float, measured: tuple[Any, ...], added: Sequence[Array]) -> Array:
    """The loss of what is `measured` (y, y_pred, weights), with what regularizers and layers `added`."""
    terms = [jnp.asarray(loss(*measured)).astype(jnp.float32) * jnp.float32(loss_weight)] if loss is not None else []
    terms += [jnp.asarray(term).astype(jnp.float32).sum() for term in added]
    if not terms:
        raise NotCompiledError("there is no loss to make smaller: model.compile('adam', loss='mse').")
    return sum(terms, jnp.zeros((), jnp.float32))


def _mask(batch: Data, y_pred: Array, masked: bool = True) -> Array | None:
    """The output's mask, False too in the rows that fill a short batch up; None where everything counts."""
    mask, count = mask_of(y_pred) if masked else None, batch.get("counted")
    if count is None:
        return mask
    rows = count.reshape(-1, *(1,) * max(y_pred.ndim - 2, 0)) > 0
    return rows if mask is None else mask.astype(bool) & rows


def _rows_of(batch: Data) -> Array | None:
    """How many rows count, where a short batch is filled up."""
    return batch["counted"].sum().astype(jnp.int32) if "counted" in batch else None


def counted(weight: Array | None, mask: Array | None) -> Array | None:
    """Sample weights that are 0 where the mask is False."""
    if mask is None or weight is None:
        return weight if mask is None else mask.astype(jnp.float32)
    return jnp.multiply(*same_rank(weight.reshape(weight.shape + (1,) * (mask.ndim - weight.ndim)), mask))


Steps = Callable[..., Any]


def _unless_bad(loss: Array, before: TrainState, after: TrainState, undoes: bool) -> TrainState:
    """The state after a step; where the loss was not finite it says so, and if it `undoes` that, the weights stay."""
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


def train(spec: ProgramSpec, size: int, undoes: bool = True) -> Steps:
    """The program that trains on `count` batches of `size` rows.

    (state[:3], state[3:], data, start, count) -> (state, logs); the first argument is overwritten. The batches are the
    rows `start : start + size`, and so on. What no step changes is None in the state that is returned.
    """

    own = own_steps.is_own(spec.model, "train")
    if not own:
        _require_floats(spec.trained.values())

    def step(now: TrainState, batch: Data) -> tuple[TrainState, Arrays]:
        if own:
            after, logs = own_steps.train(spec, now, batch)
            after = after._replace(step=now.step + jnp.int32(1))
            return _unless_bad(logs.get("loss", jnp.float32(0)), now, after, undoes), logs

        moments = spec.order.inside.unflatten(now.optimizers[0])

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
        optimizers, step = [spec.order.inside.flatten_up_to(moments)], now.step + jnp.int32(1)
        after = TrainState(params, state, optimizers, metrics, now.key, step, now.bad, now.goes_on)
        return _unless_bad(loss, now, after, undoes), {}

    def run(
        held: tuple[Any, ...], others: tuple[Any, ...], data: Data, start: Array, count: Array
    ) -> tuple[TrainState, Arrays]:
        now = TrainState(*held, *others)

        def batch(done: Array) -> Data:
            return _rows(data, start + done * jnp.int32(size), size)

        def one(carry: tuple[Array, TrainState, Arrays]) -> tuple[Array, TrainState, Arrays]:
            done, state, _ = carry
            return done + jnp.int32(1), *step(state, batch(done))

        def more(carry: tuple[Array, TrainState, Arrays]) -> Array:
            done, state, _ = carry
            return jnp.logical_and(done < count, state.goes_on | (state.bad < 0))

        first = jnp.int32(0)
        logs = _zeros(lambda: step(now, batch(first))[1]) if own else {}
        _, now, logs = lax.while_loop(more, one, (first, now, logs))
        return now._replace(key=None, goes_on=None), logs if own else spec.logs(now.metrics)

    return run


def _require_floats(trained: Iterable[Weight]) -> None:
    for weight in trained:
        if not jnp.issubdtype(weight.dtype, jnp.inexact):
            raise ArgumentError(
                f"the weight {weight.path!r} is {weight.dtype}, and only floating-point numbers can be trained. "
                "Give its layer dtype='float32', or set layer.trainable = False."
            )


def _rows(data: Data, first: Array, size: int) -> Data:
    return {name: lax.dynamic_slice_in_dim(array, first, size) for name, array in data.items()}


def _zeros(function: Callable[[], Arrays]) -> Arrays:
    """Zeros of the shapes that a function returns."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function))  # type: ignore[no-any-return]


def evaluate(spec: ProgramSpec, size: int) -> Steps:
    """The program that measures `count` batches of `size` rows, from row `start` on.

    (params, state, sums, data, start, count) -> (sums, states of stateful recurrent layers, logs)
    """

    own = own_steps.is_own(spec.model, "test")

    def step(params: Arrays, state: Arrays, sums: Sums, batch: Data, place: Array) -> tuple[Sums, Arrays, Arrays]:
        rows = sums[0][1].astype(jnp.uint32)  # so far: a stream's batches all begin at place 0
        key = fold(fold(key_of(0), rows), place) if spec.draws else None
        if own:
            return own_steps.test(spec, params, state, sums, batch, key)
        with Pass(spec.values(params, state), key=key, draws=own_steps.draws_of(key)) as current:
            y_pred, _, after = spec.forward(current, params, state, batch["x"])
            loss = spec.total_loss(current, params, batch, y_pred)
            return spec.measured(sums, loss, batch, y_pred), after, {}

    def run(
        params: Arrays, state: Arrays, sums: Sums, data: Data, start: Array, count: Array
    ) -> tuple[Sums, Arrays, Arrays]:
        def batch(done: Array) -> Data:
            return _rows(data, start + done * jnp.int32(size), size)

        def one(done: Array, now: tuple[Sums, Arrays, Arrays]) -> tuple[Sums, Arrays, Arrays]:
            sums, carried, _ = now
            sums, after, logs = step(params, state | carried, sums, batch(done), start + done)
            return sums, {path: after[path] for path in carried}, logs

        first, carried = jnp.int32(0), {path: state[path] for path in spec.carried}
        logs = _zeros(lambda: step(params, state, sums, batch(first), first)[2]) if own else {}
        sums, carried, logs = lax.fori_loop(first, count, one, (sums, carried, logs))
        return sums, carried, logs if own else spec.logs(sums)

    return run


def predict(spec: ProgramSpec) -> Steps:
    """The program from (params, state, x, call) to the output, its mask, the states of stateful recurrent layers, and
    what layers add to the loss.

    `call` is (2,) uint32: numbers which differ in each call, for code that draws random numbers.
    """

    def run(params: Arrays, state: Arrays, x: Array, call: Array) -> tuple[Any, Any, Arrays, list[Array]]:
        key, losses, draws = fold(key_of(0), call[0]) if spec.draws else None, [], Draws(call[1])
        if own_steps.is_own(spec.model, "predict"):
            y, after = own_steps.predict(spec, params, state, x, key, draws)
        else:
            with Pass(spec.values(params, state), key=key, draws=draws) as now:
                y, _, after = spec.forward(now, params, state, x)
            losses, spec.added = now.losses, now.added
        return y, mask_of(next(iter(jax.tree.leaves(y)))), {path: after[path] for path in spec.carried}, losses

    return run
