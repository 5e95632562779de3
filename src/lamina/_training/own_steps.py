"""Custom steps: the `train_step`, `test_step` and `predict_step` of subclasses of Sequential.

They run on the user's model. During a pass, its weights, metrics and optimizers refer to the arrays of that pass when
a step reads or assigns them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array
from lamina._kernels.bits import fold
from lamina._layer.keys import seed_states
from lamina._layer.passes import Pass
from lamina._layer.structure import beside, held
from lamina._training.model import Model, compiled_of
from lamina._weights.turns import this_thread
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError
from lamina.metrics.metric import Metric, state_of
from lamina.optimizers import Optimizer
from lamina.optimizers.in_step import of_step
from lamina.optimizers.order import Order
from lamina.optimizers.variables import renamed
from lamina.random import Draws

if TYPE_CHECKING:
    from lamina._training.feeds import Chunk
    from lamina._training.spec import ProgramSpec, TrainState

Arrays = dict[str, Array]
Sums = list[list[Array]]

STEPS = {
    "train": ("train_step", "compute_loss", "compute_metrics"),
    "test": ("test_step", "compute_loss", "compute_metrics"),
    "predict": ("predict_step",),
}
"""The methods of Sequential that each kind of program calls if a subclass overrides one of them."""


def is_own(model: Model, kind: str) -> bool:
    """Whether a subclass overrides a method that this kind of program uses."""
    return not model._lamina_own_steps.isdisjoint(STEPS[kind])


def known_metrics(model: Model) -> list[Metric]:
    """Return the mean of the loss, the metrics of `compile`, and the metrics in attributes of the model."""
    compiled = model._lamina.compiled
    told = [] if compiled is None else [compiled.mean_loss, *(metric for metric, _ in compiled.metrics or [])]
    return list(dict.fromkeys([*told, *(leaf for _, leaf in held(model) if isinstance(leaf, Metric))]))


def metrics_of(model: Model) -> list[Metric]:
    """Return these metrics and those that a subclass lists in an overridden `metrics`."""
    return list(dict.fromkeys([*known_metrics(model), *model.metrics]))


def optimizers_of(model: Model) -> list[Optimizer]:
    """Return the optimizer of `compile` and the optimizers in attributes of the model."""
    own = [leaf for _, leaf in held(model) if isinstance(leaf, Optimizer)]
    return list(dict.fromkeys([compiled_of(model).optimizer, *own]))


def packed(batch: Arrays) -> Array | tuple[Array, ...]:
    """Return a batch in the form that steps get: x, (x, y) or (x, y, sample_weight)."""
    parts = tuple(batch[name] for name in ("x", "y", "weight") if name in batch)
    return parts if len(parts) > 1 else parts[0]


@contextmanager
def optimizers_in(orders: Sequence[Order], states: Sequence[Sequence[Array]]) -> Iterator[None]:
    """Set the arrays of a pass in each optimizer during the block, and restore its own arrays afterwards."""
    from lamina.optimizers import LossScaleOptimizer  # imported here, because few models need it

    optimizers = [order.optimizer for order in orders]
    within = [optimizer.inner_optimizer for optimizer in optimizers if isinstance(optimizer, LossScaleOptimizer)]
    known = [(each._lamina, renamed(each._lamina.variables, {})) for each in (*optimizers, *within)]
    before = [(variable, variable.array, variable.shown) for order in orders for variable in order.variables()]
    with this_thread():  # other threads must not read these arrays
        token = of_step.set((*optimizers, *within))
        try:
            for order, arrays in zip(orders, states, strict=True):
                for variable, array in zip(order.variables(), arrays, strict=True):
                    variable.array = array
            yield
        finally:
            of_step.reset(token)
            for state, variables in known:
                state.variables = variables
            for variable, array, shown in before:
                variable.array, variable.shown = array, shown


def groups_of(model: Model) -> tuple[list[Weight], ...]:
    """Return the weights in the groups of Keras's steps: trainable, non-trainable, optimizer, metrics."""
    optimizer = compiled_of(model).optimizer
    return model.trainable_variables, model.non_trainable_variables, optimizer.variables, model.metrics_variables


def arrays_of(groups: Sequence[list[Weight]]) -> tuple[list[Array], ...]:
    return tuple([weight.value for weight in group] for group in groups)


def assign(groups: Sequence[list[Weight]], arrays: Sequence[Sequence[Any]]) -> None:
    for group, values in zip(groups, arrays, strict=True):
        for weight, value in zip(group, values, strict=True):
            weight.assign(value)


def call_step(model: Model, name: str, data: object, parts: Sequence[int]) -> Any:
    """Call a step with the arguments that it has: `(data)`, or Keras's `(state, data)`."""
    step = getattr(model, name)
    takes = [p for p in inspect.signature(step).parameters.values() if p.default is p.empty and p.kind != p.VAR_KEYWORD]
    if len(takes) == 1:
        return step(data)
    if len(takes) != 2:
        raise ArgumentError(f"write {type(model).__name__}.{name}(self, data), or (self, state, data) as in Keras.")
    groups = [groups_of(model)[part] for part in parts]
    said, after = step(arrays_of(groups), data)
    if name == "predict_step":  # it returns the non-trainable arrays
        groups, after = groups[1:], [after]
    assign(groups, after)
    return said


def running(spec: ProgramSpec, params: Arrays, state: Arrays, sums: Sums, **told: Any) -> Pass:
    """Make the pass of a custom step, in which the weights of the model and its metrics refer to arrays."""
    values = spec.values(params, state)
    for metric, arrays in zip(spec.measures, sums, strict=True):
        values |= zip(state_of(metric), arrays, strict=True)
    known = [spec.model, *(layer for _, layer in beside(spec.model))]
    states = {state: np.asarray(state.array) for each in known for state in seed_states(each)}
    return Pass({**values, **states}, of_step=True, **told)


class OwnStep:
    """The custom step of a program on one batch; `BuiltInStep` has the same methods."""

    ahead = False  # it runs on the user's own objects, so in the user's thread alone

    def __init__(self, spec: ProgramSpec) -> None:
        self.spec = spec

    def check(self) -> None:
        """Check nothing, because a custom step itself decides what it trains."""

    def optimizers(self) -> list[Order]:
        """The variables of all optimizers of the model."""
        return [Order(optimizer, {}) for optimizer in optimizers_of(self.spec.model)]

    def build_optimizers(self, now: TrainState, chunk: Chunk) -> bool:
        """Build each optimizer for the weights that the step passes to its `apply`, found by an abstract run."""
        fresh = [order for order in self.optimizers() if not order.optimizer.built]
        if fresh:
            batch = {name: jax.ShapeDtypeStruct((chunk.size, *a.shape[2:]), a.dtype) for name, a in chunk.data.items()}
            with optimizers_in(fresh, [[each.array for each in order.variables()] for order in fresh]):
                jax.eval_shape(self.train, now, batch)
            for order in fresh:
                order.optimizer.build(order.optimizer._lamina.weights)
        return bool(fresh)

    def train(self, now: TrainState, batch: Arrays) -> tuple[TrainState, Arrays, Array]:
        """Run `train_step` on one batch."""
        spec, optimizers = self.spec, self.optimizers()
        scope = running(spec, now.params, now.state, now.metrics, key=fold(now.key, now.step), draws=Draws(now.step))
        with scope as current, optimizers_in(optimizers, now.optimizers):
            logs = logged(call_step(spec.model, "train_step", packed(batch), (0, 1, 2, 3)))
            after = now._replace(
                params={path: current.read(weight) for path, weight in spec.trained.items()},
                state={path: current.read(weight) for path, weight in spec.fixed.items()},
                optimizers=[[variable.array for variable in order.variables()] for order in optimizers],
                metrics=[[current.read(weight) for weight in state_of(metric)] for metric in spec.measures],
            )
        return after, logs, logs.get("loss", jnp.float32(0))

    def test(
        self, params: Arrays, state: Arrays, sums: Sums, batch: Arrays, key: Array | None
    ) -> tuple[Sums, Arrays, Arrays]:
        """Run `test_step` on one batch."""
        spec = self.spec
        with running(spec, params, state, sums, key=key, draws=draws_of(key)) as current:
            logs = logged(call_step(spec.model, "test_step", packed(batch), (0, 1, 3)))
            sums = [[current.read(weight) for weight in state_of(metric)] for metric in spec.measures]
            return sums, {path: current.read(weight) for path, weight in spec.fixed.items()}, logs

    def predict(
        self, params: Arrays, state: Arrays, x: Array, key: Array | None, draws: Draws
    ) -> tuple[Any, Arrays, list[Array]]:
        """Run `predict_step` on one batch."""
        with Pass(self.spec.values(params, state), key=key, draws=draws) as current:
            y = call_step(self.spec.model, "predict_step", x, (0, 1))
            return y, {path: current.read(weight) for path, weight in self.spec.fixed.items()}, []

    def first_logs(self, step: Callable[[], Arrays]) -> Arrays:
        """Return zeros with the shapes of the step's logs."""
        zeros: Arrays = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(step))
        return zeros

    def logs(self, logs: Arrays, sums: Sums) -> Arrays:
        """Return the logs of the last batch."""
        return logs

    def completed(self, logs: dict[str, Any], sums: Sums) -> dict[str, Any]:
        """Return the logs unchanged, because a custom step returns all of its logs itself."""
        return logs


def draws_of(key: Array | None) -> Draws:
    """Return the random key for a batch of an evaluation, which does not depend on the model's seed."""
    return Draws() if key is None else Draws(key[0])


def logged(said: object) -> Arrays:
    """Convert the result of a step to arrays by name; inner dicts are flattened."""
    if not isinstance(said, dict):
        raise ArgumentError(f"a step returns its logs as a dict, as in {{'loss': loss}}; got {type(said).__name__}.")
    flat: Arrays = {}
    for name, value in said.items():
        flat |= logged(value) if isinstance(value, dict) else {name: jnp.asarray(value)}
    return flat
