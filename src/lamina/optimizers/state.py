"""What an optimizer keeps between passes, and how the user reads and sets it."""

from __future__ import annotations

import copy
import functools
import inspect
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import jax.numpy as jnp

from lamina._base import settings
from lamina._base.frames import user_facing
from lamina._base.settings import serialize
from lamina._base.weight import Array, Weight
from lamina.dtypes import wide
from lamina.errors import ArgumentError, FixedError
from lamina.optimizers import schedules

State = dict[str, Any]
"""`iteration`, `learning_rate` unless a schedule gives it, `slots` by path and name, and by path `average` and
`accumulator` where they are used."""


def learning_rate(value: Any) -> Any:
    """A number of at least 0, a schedule, the config of one, or a function."""
    if isinstance(value, dict):
        return schedules.get(value)
    if callable(value) and not isinstance(value, type):
        return value
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise ArgumentError(f"expected a number of at least 0, a schedule, or a function of the step, got {value!r}.")
    if not 0 <= float(value) < math.inf:
        raise ArgumentError(f"expected a number of at least 0, got {float(value)!r}.")
    return float(value)


def _takes_step(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return True
    return False


@dataclass
class OptimizerState(settings.State):
    """What an optimizer knows while it is used: the arrays of the latest pass, and where its rate comes from."""

    arrays: State = field(default_factory=lambda: {"iteration": jnp.zeros((), jnp.int32)})
    schedule: Callable[[Any], Any] | None = None
    """The function of the step that gives the learning rate, if it is not a number."""
    source: Callable[[], Any] | None = None
    """The function of nothing that gives it; it is asked each time that the state is handed out, not in each step."""
    owner: Callable[[], Any] | None = None
    """A weak reference to the model that the arrays belong to."""
    weights: tuple[Weight, ...] = ()
    """The weights that `build` was given."""
    paths: tuple[str, ...] = ()
    """The paths of the weights, in the order in which the slots were made."""
    excluded: tuple[str, ...] = ()
    """Paths of weights that do not decay."""
    excluding: re.Pattern[str] | None = None
    """Weights in whose path it is found do not decay."""
    compiled: Any = None
    """The compiled `update`, for a training loop of the user's own."""

    def compiled_in(self) -> list[tuple[str, Any]]:
        return [("schedule", self.schedule), ("excluded", self.excluded), ("excluding", self.excluding)]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "compiled": None}


class StateWeight(Weight):
    """One array of an optimizer's state, found there each time that it is read or assigned."""

    def __init__(self, optimizer: Stateful, *keys: str) -> None:
        part, *of = keys
        name = "gradient_accumulator" if part == "accumulator" else part
        if of:
            name = f"{of[0].replace('/', '_')}_{of[1] if part == 'slots' else name}"
        self.name, self.path, self.trainable = name, f"{optimizer.name}/{name}", False
        self.regularizer = self.constraint = None
        self._optimizer, self._keys = optimizer, keys

    @property
    def value(self) -> Any:
        return functools.reduce(operator.getitem, self._keys, self._optimizer._lamina.arrays)

    @value.setter
    def value(self, array: Any) -> None:
        *parts, last = self._keys
        functools.reduce(operator.getitem, parts, self._optimizer._lamina.arrays)[last] = array

    def __eq__(self, other: object) -> Any:
        return self.value == (other.value if isinstance(other, Weight) else other)

    __hash__ = Weight.__hash__

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, value={self.numpy()!s}>" if self.shape == () else super().__repr__()


class Stateful:
    """The part of an optimizer that holds arrays: those of the latest pass."""

    name: str
    _lamina: OptimizerState
    gradient_accumulation_steps: int | None

    order: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """The slots' names as Keras's files have them: a group's go together, array by array, before the next group's."""

    @property
    def state(self) -> State | None:
        """All arrays of the latest pass; None before the first, and once it is set to None."""
        if self._lamina.source is not None:
            self._lamina.arrays["learning_rate"] = jnp.array(self._lamina.source(), wide())
        return self._lamina.arrays if self.built else None

    @state.setter
    def state(self, state: State | None) -> None:
        if state is None:
            rate = {name: self._lamina.arrays[name] for name in ("learning_rate",) if name in self._lamina.arrays}
            self._lamina.arrays, self._lamina.weights, self._lamina.paths = (
                {"iteration": jnp.zeros((), jnp.int32), **rate},
                (),
                (),
            )
            return
        if set(self._lamina.paths) != set(state["slots"]):  # dicts come sorted out of a program: keep the first order
            self._lamina.paths = tuple(state["slots"])
        self._lamina.arrays = state

    def without_arrays(self) -> Self:
        """A copy that has the settings only: what a compiled program may hold on to."""
        twin = copy.copy(self)
        twin._lamina.compiled = twin._lamina.owner = None
        twin.state = None
        return twin

    @property
    def built(self) -> bool:
        return "slots" in self._lamina.arrays

    @property
    def learning_rate(self) -> Any:
        """The learning rate now. Setting it compiles nothing; with a schedule it cannot be set.

        >>> from lamina.optimizers import SGD
        >>> sgd = SGD(0.1)
        >>> sgd.learning_rate = 0.05
        >>> sgd.learning_rate == 0.05
        Array(True, dtype=bool)
        """
        if self._lamina.schedule is not None:
            return jnp.asarray(self._lamina.schedule(self._lamina.arrays["iteration"]), wide())
        if self._lamina.source is not None:
            return jnp.asarray(self._lamina.source(), wide())
        return StateWeight(self, "learning_rate")

    @learning_rate.setter
    @user_facing
    def learning_rate(self, value: Any) -> None:
        value = learning_rate(value)
        if callable(value):
            state, takes_step = self._lamina, _takes_step(value)
            state.schedule, state.source = (value, None) if takes_step else (None, value)
            state.arrays.pop("learning_rate", None)
        elif (followed := self._lamina.schedule or self._lamina.source) is not None:
            raise FixedError(
                f"the learning rate of this {type(self).__name__} follows {followed!r}, and cannot "
                "be set to a number. Make the optimizer with a number if you want to set it later."
            )
        else:
            self._lamina.arrays["learning_rate"] = jnp.array(value, wide())

    @property
    def iterations(self) -> Any:
        """How many steps were made, () int32."""
        if self.gradient_accumulation_steps:
            return self._lamina.arrays["iteration"] // self.gradient_accumulation_steps
        return StateWeight(self, "iteration")

    @property
    def variables(self) -> list[Weight]:
        """The arrays of the state in the order of Keras's files, readable and assignable."""
        state = self._lamina.arrays
        slots = state.get("slots", {})
        found: list[tuple[str, ...]] = [("iteration",)]
        if "learning_rate" in state and self._lamina.source is None:
            found.append(("learning_rate",))
        found += [(part, path) for part in ("average", "accumulator") if part in state for path in self._lamina.paths]
        for group in self.order or [tuple(dict.fromkeys(name for path in self._lamina.paths for name in slots[path]))]:
            found += [("slots", path, name) for path in self._lamina.paths for name in group if name in slots[path]]
        return [StateWeight(self, *keys) for keys in found]

    def rate_config(self) -> Any:
        """The learning rate as plain data."""
        function = self._lamina.schedule or self._lamina.source
        return float(self._lamina.arrays["learning_rate"]) if function is None else serialize(function)

    def _rate(self, state: State) -> Array:
        """The learning rate of this step, () float32."""
        if self._lamina.schedule is not None:
            return jnp.asarray(self._lamina.schedule(state["iteration"]), wide())
        rate: Array = state["learning_rate"]
        return rate
