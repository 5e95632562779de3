"""The arrays of a model, its optimizers and its metrics: a step takes them, and new ones replace them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import jax
import numpy as np

from lamina._arrays.arrays import Array, copied
from lamina._layer.keys import seed_of
from lamina._training.own_steps import Arrays, Sums
from lamina._training.spec import ProgramSpec, TrainState
from lamina._weights.turns import Reading, busy_elsewhere, lock, this_thread
from lamina._weights.weight import Weight
from lamina.metrics.metric import start_of, state_of
from lamina.optimizers.order import Order, in_order
from lamina.optimizers.state import follow
from lamina.random import key_of

GOOD = -1
"""The value of `TrainState.bad` while the loss is finite."""
BACKUP_BYTES = 2**26
"""The most bytes for a copy of the arrays at the start of an epoch."""


class HeldArrays:
    """Takes the arrays out of the model for a step, and puts the new ones back.

    Between steps the weights, optimizers and metrics hold the arrays; this object only refers to them. It lives as
    long as its trainer.

    Args:
        optimizers: the optimizers' variables, in the order in which the programs take their arrays.
    """

    def __init__(self, spec: ProgramSpec, optimizers: Sequence[Order]) -> None:
        self.model, self.trained, self.fixed = spec.model, spec.trained, spec.fixed
        self.weights = [*self.trained.values(), *self.fixed.values()]
        self.optimizers = optimizers
        self.measured = [state_of(metric) for metric in spec.measures]
        self.starts: Sums = [start_of(metric) for metric in spec.measures]
        """The metrics before the first batch."""
        self.key = key_of(seed_of(spec.model))
        self.step: tuple[int, Array | np.int32] = (-1, np.int32(-1))
        """The model's number of trained steps when the arrays were last put back, as a number and on the device."""

    def taken(self, sums: Sums | None = None, goes_on: bool = False) -> TrainState:
        """The arrays that the layers, the optimizers and, unless `sums` are given, the metrics hold now.

        The programs overwrite their arguments, so arrays that the user may also hold are copied.
        """
        with lock:
            this_thread().read = False
            for order in self.optimizers:
                follow(order.optimizer)
            variables = [order.variables() for order in self.optimizers]
            for weight in itertools.chain(self.weights, *variables):
                if weight.shown:
                    weight.array, weight.shown = copied(weight.array), False
        params, state = self.of_weights()
        moments = [[variable.array for variable in each] for each in variables]
        trained = self.model._lamina.steps_trained
        step = self.step[1] if self.step[0] == trained else scalar(trained)
        return TrainState(
            params, state, moments, self.sums if sums is None else sums, self.key, step, scalar(GOOD),
            scalar(goes_on, "bool"),
        )  # fmt: skip

    def hand_back(self, state: TrainState) -> None:
        """Put these arrays into the layers, the optimizers and the metrics. A program may still be computing them."""
        _hand_back(self.trained, state.params)
        _hand_back(self.fixed, state.state)
        for order, arrays in zip(self.optimizers, state.optimizers, strict=True):
            for variable, array in zip(order.variables(), arrays, strict=True):
                variable.array, variable.shown = array, False
        self.keep(state.metrics)

    def count(self, state: TrainState) -> None:
        """Store the model's number of trained steps, which waits for the program."""
        self.step = int(np.asarray(state.step)), state.step
        self.model._lamina.steps_trained = self.step[0]

    def put(self, state: TrainState) -> None:
        """Put this state into the model."""
        with this_thread():
            self.hand_back(state)
        self.count(state)

    def by_name(self, state: TrainState) -> TrainState:
        """The state with the optimizers' arrays in trees, by their names."""
        pairs = zip(self.optimizers, state.optimizers, strict=True)
        return state._replace(optimizers=[order.named(arrays) for order, arrays in pairs])

    def in_order(self, state: TrainState) -> TrainState:
        """The state again of which `by_name` made this one."""
        return state._replace(optimizers=[in_order(tree) for tree in state.optimizers])

    @property
    def sums(self) -> Sums:
        """The variables of the metrics."""
        return [[weight.array for weight in weights] for weights in self.measured]

    def keep(self, sums: Sums) -> None:
        """Put results into the metrics, unless another thread trains the model: it uses them then."""
        with lock:
            if busy_elsewhere([self.model._lamina]) is not None:
                return
            for weights, values in zip(self.measured, sums, strict=True):
                for weight, value in zip(weights, values, strict=True):
                    weight.array, weight.shown = value, False

    def finalize(self) -> None:
        """The end of training: if the optimizer keeps averages of the weights, they replace the last weights."""
        for optimizer in (order.optimizer for order in self.optimizers):
            known = set(optimizer._lamina.weights)  # a set, because == compares the values of weights
            weights = {weight.path: weight for weight in self.weights if weight in known}
            arrays = {path: weight.array for path, weight in weights.items()}
            with this_thread():
                for path, array in optimizer._lamina_finalize(arrays, optimizer._lamina_arrays or {}).items():
                    if array is not arrays[path]:
                        weights[path].value = array

    def reading(self) -> Reading:
        """The arrays for a measurement, which may run while another thread trains."""
        return Reading(self.trained, self.fixed)

    def of_weights(self) -> tuple[Arrays, Arrays]:
        """The arrays of the weights that are trained, and of the others."""
        params, state = ({path: weight.array for path, weight in w.items()} for w in (self.trained, self.fixed))
        return params, state

    @functools.cached_property
    def small(self) -> bool:
        """Whether a copy of all arrays fits the limit for one."""
        return bool(sum(array.nbytes for array in jax.tree.leaves(self.taken(self.starts))) <= BACKUP_BYTES)


@functools.lru_cache(1024)
def scalar(value: int, dtype: str = "int32") -> Array:
    """A number as an array of no axes. Made once, since handing over one of NumPy's takes a tenth of a small step."""
    array: Array = jax.device_put(np.array(value, dtype))  # a third of the time of jnp.asarray
    return array


def _hand_back(weights: dict[str, Weight], arrays: Arrays) -> None:
    for path, array in arrays.items():
        weights[path].array, weights[path].shown = array, False
