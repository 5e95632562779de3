"""The base class of metrics: a state of a few arrays that each batch updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import jax
import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina import dtypes
from lamina._arrays.arrays import Array, HostArray, copied
from lamina._arrays.shapes import Shape
from lamina._layer.passes import Pass
from lamina._layer.structure import Module, ModuleState, adopt, held, inner_modules
from lamina._messages.spelling import to_snake_case
from lamina._messages.tracebacks import user_facing
from lamina._process.memory import require
from lamina._settings.arguments import Config, Function, Name, overridable
from lamina._settings.registry import Registry
from lamina._settings.settings import Converted, State, setting
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError
from lamina.initializers.adapters import keyed
from lamina.losses.loss import DType, precision

registry = Registry("metric")

Precision: TypeAlias = Converted[DType, str]
Size: TypeAlias = int | Sequence[int]
Initializer: TypeAlias = str | Function | Config | None


def state_dtype(dtype: DType) -> str:
    """The dtype of a metric's state; None means the default float dtype."""
    return precision(dtype) or dtypes.floatx()


@dataclass(eq=False, repr=False)
class MetricState(ModuleState):
    """The state of a metric object while it is used."""

    starts: tuple[HostArray, ...] = ()
    """The values of the weights before the first batch."""
    running: Pass | None = None
    """The pass that this object is a copy for."""

    def compiled_in(self) -> list[tuple[str, object]]:
        return [*super().compiled_in(), ("weights", self.weights)]


class Metric(Module):
    """The base class. A subclass makes its state in `__init__` and defines `update_state` and `result`.

    >>> class Largest(Metric):
    ...     def __init__(self, name="largest", **kwargs):
    ...         super().__init__(name=name, **kwargs)
    ...         self.error = self.add_weight(name="error")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.error.assign(jnp.maximum(self.error, jnp.max(jnp.abs(y_true - y_pred))))
    ...     def result(self):
    ...         return self.error
    >>> metric = Largest()
    >>> float(metric(jnp.array([1.0, 2.0]), jnp.array([1.5, 4.0])))
    2.0

    In `fit` the same methods are compiled. They run on a copy of the metric that holds the state as arrays.

    Args:
        dtype: the dtype of the state. The default is float32.
        name: the name of the metric. The default is the name of the class in snake_case.
    """

    dtype: Precision = setting(state_dtype, default=None)
    name: Name = setting(default=None)

    _lamina_module: ClassVar[str | None] = "keras.metrics"
    _lamina_masked: ClassVar[bool] = False
    """Whether the output's mask is used, as in Keras for means of one value per sample."""
    _lamina: MetricState = setting(init=False)
    _lamina_state: ClassVar[type[State]] = MetricState

    def __post_init__(self) -> None:
        self.name = self.name or to_snake_case(type(self).__name__)

    # Methods that a custom metric defines or calls.

    @overridable
    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Update the state with one batch: `(y_true, y_pred, sample_weight=None)`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method update_state(self, y_true, y_pred, ...).")

    @overridable
    def result(self) -> Any:
        """Returns the metric over all batches so far: a number, or a dict of numbers."""
        raise NotImplementedError(f"{type(self).__name__} needs a method result(self).")

    @property
    def _dtype(self) -> str:
        """The dtype of the state, under the name that metrics written for Keras use."""
        return self.dtype

    @user_facing
    def add_weight(
        self, shape: Size = (), initializer: Initializer = "zeros", dtype: DType = None, name: str | None = None
    ) -> Any:
        """Returns a new `Weight` of the state, which `update_state` changes with `assign` or `assign_add`."""
        if "dtype" not in vars(self):
            raise ArgumentError(f"{type(self).__name__} adds a weight before super().__init__() is called.")
        given: object = shape
        if isinstance(given, str):
            raise ArgumentError(f"add_weight takes the shape first: add_weight(name={shape!r}).")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kind = jnp.dtype(precision(dtype) or self.dtype)
        # The state, its initial value, and a copy of it that a step changes.
        require(3 * math.prod(shape) * kind.itemsize, f"{self.name} has a state of the shape {shape}, which needs")
        value = keyed("zeros" if initializer is None else initializer)(shape, kind, None)
        weight = Weight(value, name=name or "variable", path=f"{self.name}/{name or 'variable'}", trainable=False)
        self._lamina.weights = (*self._lamina.weights, weight)
        self._lamina.starts = (*self._lamina.starts, weight.numpy())
        return weight

    def add_variable(
        self,
        shape: Size,
        initializer: Initializer,
        dtype: DType = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Any:
        """The same as `add_weight`. `aggregation` has no effect, because one program computes the whole batch."""
        return self.add_weight(shape, initializer, dtype, name)

    def _lamina_build(self, output_shape: Shape) -> None:
        """Add the weights whose shapes depend on the shape of the predictions (with the batch axis)."""

    # Methods that users call.

    @user_facing
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()

    @property
    def variables(self) -> list[Weight]:
        """The weights of the state: those of this metric and of the metrics it holds."""
        _adopt(self)
        inner = inner_modules(self, Metric).values()
        return list(dict.fromkeys([*self._lamina.weights, *(weight for part in inner for weight in part.variables)]))

    def reset_state(self) -> None:
        """Set the state back to its initial values."""
        _adopt(self)
        for weight, start in zip(self._lamina.weights, self._lamina.starts, strict=True):
            weight.assign(start)
        for rest in _rests(self):
            rest.assign(jnp.zeros(rest.shape, rest.dtype))
        for part in inner_modules(self, Metric).values():
            part.reset_state()

    def stateless_update_state(self, metric_variables: Sequence[ArrayLike], *args: Any, **kwargs: Any) -> list[Array]:
        """Returns the state after one more batch; states are lists in the order of `variables`."""
        with _Run(self, metric_variables) as run:
            run.metric.update_state(*args, **kwargs)
        return run.state()

    def stateless_result(self, metric_variables: Sequence[ArrayLike]) -> Any:
        """Returns the result for a given state."""
        with _Run(self, metric_variables) as run:
            result = run.metric.result()
        return jax.tree.map(jnp.asarray, result, is_leaf=lambda leaf: isinstance(leaf, Weight))

    def stateless_reset_state(self) -> list[Array]:
        """Returns the state before the first batch."""
        with _Run(self, [weight.array for weight in self.variables]) as run:
            run.metric.reset_state()
        values: list[Array] = copied([jnp.asarray(value) for value in run.state()])  # a compiled step may donate them
        return values


class BuiltIn(Metric):
    """The base of metrics that declare the order of their arguments: in Keras, `name` comes before `dtype`."""

    dtype: Precision = setting(init=False)
    name: Name = setting(init=False)


def state_of(metric: Metric) -> list[Weight]:
    """The variables, followed by the rounding errors of the sums so far, which Keras does not have."""
    return [*metric.variables, *dict.fromkeys(_rests(metric))]


def start_of(metric: Metric) -> list[Array]:
    """The initial arrays of `state_of`."""
    rests = state_of(metric)[len(metric.variables) :]
    return [*metric.stateless_reset_state(), *copied([jnp.zeros(rest.shape, rest.dtype) for rest in rests])]


def _rests(metric: Metric) -> list[Weight]:
    own = [vars(metric)["_lamina_rest"]] if "_lamina_rest" in vars(metric) else []
    return [*own, *(rest for part in inner_modules(metric, Metric).values() for rest in _rests(part))]


def _adopt(metric: Metric) -> None:
    """Add the variables that the metric's author made directly, and keeps in attributes, to the metric's state."""
    known = len(metric._lamina.weights)
    for _, leaf in held(metric):
        if isinstance(leaf, Weight) and leaf.alone:
            leaf.trainable = False
    adopt(metric)
    metric._lamina.starts += tuple(weight.numpy() for weight in metric._lamina.weights[known:])


class _Run:
    """One pass through a metric: `metric` is a copy with the given state, and `state()` is the state after the pass."""

    def __init__(self, metric: Metric, state: Sequence[ArrayLike]) -> None:
        whole, shown = state_of(metric), metric.variables
        self.weights = whole if len(state) == len(whole) else shown
        rests = {rest: jnp.zeros(rest.shape, rest.dtype) for rest in whole[len(shown) :]}
        self.running = Pass({**rests, **dict(zip(self.weights, state, strict=True))})
        self.metric: Metric = self.running.copy_of(metric)

    def __enter__(self) -> Self:
        self.running.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.running.__exit__()

    def state(self) -> list[Array]:
        after = dict(self.running.changed())
        return [after[weight] for weight in self.weights]


def updated_state(
    metric: Metric,
    state: Sequence[ArrayLike],
    y_true: ArrayLike,
    y_pred: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> list[Array]:
    """The state of a metric after one more batch. An `update_state` that adds or replaces weights is an error."""
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    with _Run(metric, state) as run:
        run.metric.update_state(*([y_true] if y_pred is None else [y_true, y_pred]), **weights)
    for attribute, value in vars(metric).items():
        now = vars(run.metric)[attribute]
        if isinstance(value, (int, float, jax.Array)) and now is not value:
            raise ArgumentError(
                f"{type(metric).__name__}.update_state changes self.{attribute}, which is not a weight, so the change "
                f"is lost.\nWrite self.{attribute} = self.add_weight(name={attribute!r}) in __init__, and here "
                f"self.{attribute}.assign_add(...)."
            )
        if isinstance(value, Weight) and not isinstance(now, Weight):
            raise ArgumentError(
                f"{type(metric).__name__}.update_state replaces self.{attribute}. Write self.{attribute}.assign(...)."
            )
    if len(run.metric.variables) != len(metric.variables):
        raise ArgumentError(f"{type(metric).__name__} adds a weight in update_state. Add it in __init__.")
    return run.state()
