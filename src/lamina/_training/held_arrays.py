"""The arrays of a model, its optimizers and its metrics: a program takes them, and its results replace them."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from lamina._arrays import devices
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
    """Collects the arrays of a model in a `TrainState` for a call of a program, and puts the results back.

    `taken` collects the arrays. `hand_back` puts results into the weights, the optimizers and the metrics, and `count`
    updates the number of steps; `put` does both. `keep` puts results into the metrics only.
    Between two calls the weights, optimizers and metrics hold the arrays, and this object only refers to them. It lives
    as long as its trainer.

    Args:
        optimizers: the optimizers' variables, in the order in which the programs take their arrays.
    """

    def __init__(self, spec: ProgramSpec, optimizers: Sequence[Order]) -> None:
        self.model, self.trained, self.fixed = spec.model, spec.trained, spec.fixed
        self.weights = [*self.trained.values(), *self.fixed.values()]
        self.optimizers = optimizers
        self.measured = [state_of(metric) for metric in spec.measures]
        self.starts: Sums = [start_of(metric) for metric in spec.measures]
        """The states of the metrics before the first batch of an epoch."""
        self.key = key_of(seed_of(spec.model))
        self.step: tuple[int, Array | np.int32] = (-1, np.int32(-1))
        """The model's number of trained steps after the latest call, as a number and as an array on the device."""
        devices.holders.add(self)
        self.place()

    @property
    def busy(self) -> bool:
        """Whether the model is trained now."""
        return self.model._lamina.busy

    def place(self) -> None:
        """Move the arrays to the devices where the programs take them."""
        devices.place((weight, weight.path) for weight in self.weights)
        devices.place((weight, "") for weight in itertools.chain(*self.measured))
        for order in self.optimizers:
            devices.place((variable, variable.of) for variable in order.variables())

    def shardings(self, placement: devices.Placement) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        """Return how the arrays of the weights, and those of the optimizers, lie on the devices."""
        optimizers = [[placement.of(each.of, each.array) for each in order.variables()] for order in self.optimizers]
        return *(placement.of_each(group) for group in (self.trained, self.fixed)), optimizers  # type: ignore[return-value]

    def taken(self, sums: Sums | None = None, goes_on: bool = False) -> TrainState:
        """Collect the present arrays of the layers, the optimizers and the metrics for a call of a program.

        The program overwrites these arrays. An array that the user may hold too is copied first.

        Args:
            sums: states of the metrics to start from instead of the present ones.
            goes_on: whether training continues after a loss that is not finite.
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
        """Put the results of a program into the layers, the optimizers and the metrics. It may still compute them."""
        _hand_back(self.trained, state.params)
        _hand_back(self.fixed, state.state)
        for order, arrays in zip(self.optimizers, state.optimizers, strict=True):
            for variable, array in zip(order.variables(), arrays, strict=True):
                variable.array, variable.shown = array, False
        self.keep(state.metrics)

    def count(self, state: TrainState) -> None:
        """Read the number of trained steps from the results of a program. This waits for the end of the program."""
        self.step = int(np.asarray(state.step)), state.step
        self.model._lamina.steps_trained = self.step[0]

    def put(self, state: TrainState) -> None:
        """Put a state into the model, with its number of trained steps."""
        with this_thread():
            self.hand_back(state)
        self.count(state)

    def by_name(self, state: TrainState) -> TrainState:
        """The state, with the arrays of each optimizer in a dict by their names instead of a list."""
        pairs = zip(self.optimizers, state.optimizers, strict=True)
        return state._replace(optimizers=[order.named(arrays) for order, arrays in pairs])

    def in_order(self, state: TrainState) -> TrainState:
        """The inverse of `by_name`."""
        return state._replace(optimizers=[in_order(tree) for tree in state.optimizers])

    @property
    def sums(self) -> Sums:
        """The present states of the metrics."""
        return [[weight.array for weight in weights] for weights in self.measured]

    def keep(self, sums: Sums) -> None:
        """Put states into the metrics. If another thread trains the model, its metrics stay as they are."""
        with lock:
            if busy_elsewhere([self.model._lamina]) is not None:
                return
            for weights, values in zip(self.measured, sums, strict=True):
                for weight, value in zip(weights, values, strict=True):
                    weight.array, weight.shown = value, False

    def finalize(self) -> None:
        """At the end of training, replace the weights by the averages that the optimizers keep of them, if any."""
        for optimizer in (order.optimizer for order in self.optimizers):
            known = set(optimizer._lamina.weights)  # a set, because == compares the values of weights
            weights = {weight.path: weight for weight in self.weights if weight in known}
            arrays = {path: weight.array for path, weight in weights.items()}
            with this_thread():
                for path, array in optimizer._lamina_finalize(arrays, optimizer._lamina_arrays or {}).items():
                    if array is not arrays[path]:
                        weights[path].value = array

    def reading(self) -> Reading:
        """The arrays of the weights for an evaluation, which may run while another thread trains the model."""
        return Reading(self.trained, self.fixed)

    def of_weights(self) -> tuple[Arrays, Arrays]:
        """The arrays of the trained weights and of the other weights, each by its path."""
        params, state = ({path: weight.array for path, weight in w.items()} for w in (self.trained, self.fixed))
        return params, state

    @functools.cached_property
    def small(self) -> bool:
        """Whether all arrays together are small enough to copy them at the start of each epoch."""
        return bool(sum(array.nbytes for array in jax.tree.leaves(self.taken(self.starts))) <= BACKUP_BYTES)


@functools.lru_cache(1024)
def scalar(value: int, dtype: str = "int32") -> Array:
    """A number as an array on the device.  -> ()

    It is kept, because passing a NumPy number to a program takes a tenth of the time of a small step.
    """
    array: Array = jax.device_put(np.array(value, dtype))  # takes a third of the time of jnp.asarray
    return array


def _hand_back(weights: dict[str, Weight], arrays: Arrays) -> None:
    for path, array in arrays.items():
        weights[path].array, weights[path].shown = array, False
