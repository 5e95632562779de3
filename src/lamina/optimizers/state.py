"""The settings of all optimizers, and the state of an optimizer between passes, which the user can read and set."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array, HostArray, as_array
from lamina._arrays.nested import leaves, tree_map
from lamina._messages.spelling import to_snake_case
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings import settings
from lamina._settings.arguments import Config, Function
from lamina._settings.converters import above_zero, flag, integer, not_negative, optional, positive, rate
from lamina._settings.settings import Configured, Converted, serialize, setting
from lamina._weights.turns import Home
from lamina._weights.weight import Weight, assign_all, read
from lamina.dtypes import wide
from lamina.errors import ArgumentError, FixedError
from lamina.optimizers import schedules
from lamina.optimizers.overwriting import overwritten
from lamina.optimizers.variables import State, Variable, Variables, arrays_of, put, replace, twin_of

Rate: TypeAlias = float | Function | Config
RateSetting: TypeAlias = Converted[Rate, float | Function]


def learning_rate(value: object) -> float | Function:
    """Check a learning rate: a number of at least 0, a schedule, the config of a schedule, or a function."""
    if isinstance(value, dict):
        return schedules.deserialize(value)  # type: ignore[no-any-return]
    if callable(value) and not isinstance(value, type):
        return value
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        raise ArgumentError(f"expected a number of at least 0, a schedule, or a function of the step, got {value!r}.")
    if not 0 <= float(value) < math.inf:
        raise ArgumentError(f"expected a number of at least 0, got {float(value)!r}.")
    return float(value)


def filled(like: Array, value: float = 0) -> Array:
    """Make an array of this shape and dtype. NumPy makes it, because JAX would compile a program for each shape."""
    made = as_array(np.full(like.shape, value, like.dtype))
    # Waiting for the copy limits the memory: otherwise several arrays of NumPy would exist at the same time.
    return made if isinstance(made, jax.core.Tracer) else made.block_until_ready()


def several(value: object) -> int:
    """Check a whole number of at least 2."""
    if integer(value) < 2:
        raise ArgumentError(f"expected a whole number of at least 2, or None, got {value!r}.")
    return integer(value)


@dataclass(eq=False, repr=False)
class OptimizerState(settings.State):
    """The state of an optimizer in use: its variables, and the source of the learning rate."""

    rate: HostArray | None = None
    """The learning rate, if it is a number, until there is a variable for it."""
    variables: Variables = field(default_factory=dict)
    """A weight for each array; empty before the first use, so that creating an optimizer does not start JAX."""
    added: list[Variable] = field(default_factory=list)
    """The variables that `add_variable` made, in order."""
    schedule: Function | None = None
    """The function of the step that gives the learning rate, if it is not a number."""
    source: Function | None = None
    """The function without arguments that gives the learning rate; it is called when the state is read."""
    decay: float = 0.0
    """Keras 2's decay: each step divides `learning_rate` by `1 + decay * step`; `learning_rate` can still be set."""
    owner: Callable[[], object] | None = None
    """A weak reference to the state of the model that the arrays belong to."""
    weights: tuple[Weight, ...] = ()
    """The weights that `build` got."""
    overwritten: frozenset[str] = frozenset()
    """The paths of overwritten weights in a compiled program, where `weights` is not available."""
    names: dict[str, str] = field(default_factory=dict)
    """The path of each weight outside a compiled program, by its name in the program."""
    excluding: re.Pattern[str] | None = None
    """Patterns: weights do not decay if their path contains a match."""
    compiled: Function | None = None
    """The compiled update for custom training loops."""
    thread: Home | None = None
    """The thread that last trained with this state."""
    busy: bool = False
    """Whether a thread trains with this state now."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the weights, in the order in which `build` got them."""
        return tuple(self.variables.get("slots", ()))

    @property
    def learning_rate(self) -> float | Function:
        """The function that gives the learning rate, or its value."""
        followed = self.schedule or self.source
        if followed is not None:
            return followed
        rate = float(read(self.variables["learning_rate"]) if "learning_rate" in self.variables else self.rate or 0)
        return schedules.InverseTimeDecay(rate, 1, self.decay) if self.decay else rate

    @learning_rate.setter
    def learning_rate(self, value: float | Function) -> None:
        if callable(value):
            self.schedule, self.source = (value, None) if schedules.takes_step(value) else (None, value)
            if self.schedule is not None:
                self.variables.pop("learning_rate", None)
            self.rate = self.compiled = None
        else:
            self.rate = np.array(value, wide())
            if "learning_rate" in self.variables:
                self.variables["learning_rate"].value = jnp.array(value, wide())

    def compiled_in(self) -> list[tuple[str, object]]:
        slots = [(name, *self.variables.get("slots", {}).get(path, ())) for name, path in self.names.items()]
        own = [("overwritten", sorted(self.overwritten)), ("excluding", self.excluding), ("slots", slots)]
        return [("schedule", self.schedule), ("decay", self.decay), *own]

    def is_of(self, owner: object) -> bool:
        """Whether the arrays belong to the model of that state."""
        return self.owner is not None and self.owner() is owner

    @property
    def home(self) -> Home | None:
        """The thread that last trained with this state, and so with each variable."""
        return self.thread

    @home.setter
    def home(self, home: Home | None) -> None:
        if home is not self.thread:
            self.thread = home
            for _, variable in leaves(self.variables):
                variable.home = home  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "compiled": None, "owner": None, "thread": None, "busy": False}


class Stateful(Configured):
    """The settings of every optimizer, and the arrays of the latest pass."""

    _lamina_learning_rate: RateSetting = setting(learning_rate, default=0.001, alias="learning_rate")
    weight_decay: float | None = setting(optional(not_negative), default=None)
    clipnorm: float | None = setting(optional(not_negative), default=None)
    clipvalue: float | None = setting(optional(not_negative), default=None)
    global_clipnorm: float | None = setting(optional(not_negative), default=None)
    use_ema: bool = setting(flag, default=False)
    ema_momentum: float = setting(rate, default=0.99)
    ema_overwrite_frequency: int | None = setting(optional(positive), default=None)
    loss_scale_factor: float | None = setting(optional(above_zero), default=None)
    gradient_accumulation_steps: int | None = setting(optional(several), default=None)
    name: str | None = setting(default=None)

    _lamina_module: ClassVar[str | None] = "keras.optimizers"

    _lamina: OptimizerState = setting(init=False)
    _lamina_state: ClassVar[type[settings.State]] = OptimizerState
    _lamina_order: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """The groups of slots in the order of Keras's files, where a group has its slots array by array."""

    def __post_init__(self) -> None:
        clips = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(clips) > 1:
            raise ArgumentError(
                f"{type(self).__name__}: only one of clipnorm, clipvalue and global_clipnorm can be used, "
                f"got {' and '.join(clips)}."
            )
        if self.ema_overwrite_frequency is not None and not self.use_ema:
            warn(f"{type(self).__name__}(ema_overwrite_frequency=...) has no effect without use_ema=True.")
        self.name = self.name or to_snake_case(type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return (
            {**config, "learning_rate": serialize(self._lamina.learning_rate)} if "learning_rate" in config else config
        )

    @classmethod
    @user_facing
    def from_config(cls, config: Config) -> Self:
        """Make an optimizer with the settings of a config from Lamina or from any version of Keras."""
        rate, decay = config.get("learning_rate", config.get("lr")), config.get("decay")
        if decay and isinstance(rate, (int, float)) and isinstance(decay, (int, float)):  # of Keras 2
            falling = schedules.InverseTimeDecay(rate, decay_steps=1, decay_rate=decay)
            config = {name: value for name, value in config.items() if name not in ("lr", "decay")}
            config["learning_rate"] = falling
        return super().from_config(config)

    def __repr__(self) -> str:
        usual = {name: field.default for name, field in self._lamina_fields.items()}
        usual |= {"name": to_snake_case(type(self).__name__)}
        given = self._lamina.arguments or usual
        shown = {name: getattr(self, name, value) for name, value in given.items()}
        if "learning_rate" in shown:
            rate = self._lamina.learning_rate
            shown["learning_rate"] = rate if callable(rate) else float(f"{rate:.7g}")
        changed = [f"{name}={value!r}" for name, value in shown.items() if name not in usual or usual[name] != value]
        return f"{type(self).__name__}({', '.join(changed)})"

    @property
    def _lamina_variables(self) -> Variables:
        """The variables by place."""
        state = self._lamina
        if "iteration" not in state.variables:
            put(self, state.variables, {"iteration": as_array(np.int32(0))})
            if state.rate is not None:
                put(self, state.variables, {"learning_rate": as_array(state.rate)})
        return state.variables

    @property
    def _lamina_arrays(self) -> State | None:
        """All arrays of the latest pass; None before the first pass, or after it was set to None."""
        follow(self)
        return arrays_of(self._lamina_variables) if self.built else None

    @_lamina_arrays.setter
    def _lamina_arrays(self, arrays: State | None) -> None:
        state, rate = self._lamina, self._lamina.variables.get("learning_rate")
        if arrays is not None:
            put(self, state.variables, arrays)
            return
        state.rate = state.rate if rate is None else np.asarray(read(rate))
        state.variables, state.weights, state.added = {}, (), []

    def _lamina_without_arrays(self, names: dict[str, str]) -> Self:
        """Return a copy with shapes instead of arrays, which a compiled program may keep."""
        blank = tree_map(lambda each, _: jax.ShapeDtypeStruct(each.shape, each.dtype), self._lamina.variables)
        twin, direct = self._lamina_with(blank), overwritten(self._lamina)
        twin._lamina.overwritten = frozenset(path for path, name in names.items() if name in direct)
        twin._lamina.owner, twin._lamina.weights, twin._lamina.names = None, (), names
        return twin

    def _lamina_with(self, arrays: State) -> Self:
        """Return a copy with variables of its own, which hold these arrays."""
        twin = self._lamina_twin()
        twin._lamina.thread = twin._lamina.compiled = None
        replace(twin, twin_of)
        put(twin, twin._lamina.variables, arrays)
        return twin

    @property
    def built(self) -> bool:
        """Whether the state for the weights was made."""
        return "slots" in self._lamina_variables

    @property
    def learning_rate(self) -> Any:
        """The present learning rate, a scalar. Setting it compiles nothing; with a schedule it cannot be set.

        >>> from lamina.optimizers import SGD
        >>> sgd = SGD(0.1)
        >>> sgd.learning_rate = 0.05
        >>> sgd.learning_rate == 0.05
        Array(True, dtype=bool)
        """
        if self._lamina.schedule is not None:
            return jnp.asarray(self._lamina.schedule(read(self._lamina_variables["iteration"])), wide())
        if self._lamina.source is not None:
            return jnp.asarray(self._lamina.source(), wide())
        return self._lamina_variables["learning_rate"]

    @learning_rate.setter
    @user_facing
    def learning_rate(self, value: Rate) -> None:
        rate, followed = learning_rate(value), self._lamina.schedule or self._lamina.source
        if followed is not None and not callable(rate):
            raise FixedError(
                f"the learning rate of this {type(self).__name__} follows {followed!r}, and cannot "
                "be set to a number. Make the optimizer with a number if you want to set it later."
            )
        self._lamina.learning_rate = rate

    @property
    def lr(self) -> Any:
        """The same as `learning_rate`, under its name in Keras 2; setting it says so."""
        return self.learning_rate

    @lr.setter
    @user_facing
    def lr(self, value: Rate) -> None:
        self.learning_rate = value
        warn("lr is Keras 2's name of learning_rate, which it sets.")

    @property
    def iterations(self) -> Any:
        """The number of steps made so far, () int32."""
        step, every = self._lamina_variables["iteration"], self.gradient_accumulation_steps
        return read(step) // every if every else step

    @property
    def variables(self) -> list[Weight]:
        """The arrays of the state in the order of Keras's files, readable and assignable."""
        held = self._lamina_variables
        slots, found = held.get("slots", {}).values(), [held["iteration"]]
        if "learning_rate" in held and self._lamina.source is None:
            found.append(held["learning_rate"])
        found += [each for part in ("average", "accumulator") for each in held.get(part, {}).values()]
        found += [each[name] for group in self._lamina_order for each in slots for name in group if name in each]
        return [*found, *self._lamina.added]

    def save_own_variables(self, store: Any) -> None:
        """Put the variables into `store`, a dict of arrays, in the order of Keras's files."""
        store.update((str(number), variable) for number, variable in enumerate(self.variables))

    @user_facing
    def load_own_variables(self, store: Any) -> None:
        """Assign the arrays that `save_own_variables` put into `store`. If one does not fit, none is assigned."""
        assign_all(self.variables, store, str(self.name))

    @user_facing
    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Assign a list of arrays to `variables`. If one does not fit, none is assigned."""
        self.load_own_variables({str(number): array for number, array in enumerate(weights)})


def rate_in(optimizer: Stateful, state: State) -> Array:
    """The learning rate of the step that `state` is about to make, () float32."""
    schedule, decay = optimizer._lamina.schedule, optimizer._lamina.decay
    rate = state["learning_rate"] if schedule is None else schedule(state["iteration"])
    return jnp.asarray(rate / (1 + decay * state["iteration"]) if decay else rate, wide())


def follow(optimizer: Stateful) -> None:
    """Put the number that a function without arguments gives now into the learning rate."""
    if optimizer._lamina.source is not None:
        rate = jnp.array(optimizer._lamina.source(), wide())
        put(optimizer, optimizer._lamina_variables, {"learning_rate": rate})
