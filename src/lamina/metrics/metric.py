"""What all metrics share: a state of a few numbers that is updated batch by batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from lamina import dtypes, initializers
from lamina._base.frames import user_facing
from lamina._base.registry import Registry
from lamina._base.settings import State, setting
from lamina._base.spelling import to_snake_case
from lamina._base.weight import Array, Weight
from lamina._layer.forward import Pass
from lamina._layer.structure import Module, ModuleState, inner_modules
from lamina.errors import ArgumentError
from lamina.losses.loss import precision

registry = Registry("metric")


def state_dtype(dtype: Any) -> str:
    """The dtype of a metric's state; None is the default float."""
    return precision(dtype) or dtypes.floatx()


@dataclass
class MetricState(ModuleState):
    """What a metric knows while it is used."""

    starts: tuple[np.ndarray[Any, Any], ...] = ()
    """The values of the weights before the first batch."""
    running: Pass | None = None
    """The pass that this object is a copy for."""

    def compiled_in(self) -> list[tuple[str, Any]]:
        return [*super().compiled_in(), ("weights", self.weights)]


class Metric(Module):
    """A number over many batches. Subclass it, make the state in `__init__` and write `update_state` and `result`.

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

    In `fit` the same methods run compiled, on a copy that holds the state of the run.
    """

    name: str | None = setting(default=None, kw_only=True)
    dtype: str = setting(state_dtype, default=None, kw_only=True)

    _lamina_module: ClassVar[str | None] = "keras.metrics"
    _lamina: MetricState = setting(init=False)
    _lamina_state: ClassVar[type[State]] = MetricState
    _direction: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        self.name = self.name or to_snake_case(type(self).__name__)

    # What a metric's author writes.

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch in: `(y_true, y_pred, sample_weight=None)`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method update_state(self, y_true, y_pred, ...).")

    def result(self) -> Any:
        """The metric of all that was taken in: a number, or a dict of numbers."""
        raise NotImplementedError(f"{type(self).__name__} needs a method result(self).")

    def add_weight(
        self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Weight:
        """A part of the state, which `update_state` changes with `assign` or `assign_add`."""
        if "dtype" not in vars(self):
            raise ArgumentError(f"{type(self).__name__} adds a weight before super().__init__() is called.")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = jnp.dtype(dtype or self.dtype)
        value = initializers.get(initializer or "zeros")(shape, dtype, None)
        weight = Weight(value, name=name or "variable", path=f"{self.name}/{name or 'variable'}", trainable=False)
        self._lamina.weights = (*self._lamina.weights, weight)
        self._lamina.starts = (*self._lamina.starts, weight.numpy())
        return weight

    def add_variable(
        self, shape: Any, initializer: Any, dtype: Any = None, aggregation: str = "sum", name: str | None = None
    ) -> Weight:
        """As `add_weight`; one program sees the whole batch, so there is nothing left to do by `aggregation`."""
        return self.add_weight(shape, initializer, dtype, name)

    # What its user calls.

    @user_facing
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.update_state(*args, **kwargs)
        return self.result()

    @property
    def variables(self) -> list[Weight]:
        """The state: the weights of this metric and of those that it holds."""
        inner = inner_modules(self, Metric).values()
        return list(dict.fromkeys([*self._lamina.weights, *(weight for part in inner for weight in part.variables)]))

    def reset_state(self) -> None:
        """Forget all batches."""
        for weight, start in zip(self._lamina.weights, self._lamina.starts, strict=True):
            weight.assign(start)
        for part in inner_modules(self, Metric).values():
            part.reset_state()

    def stateless_update_state(self, metric_variables: Any, *args: Any, **kwargs: Any) -> list[Array]:
        """The state after one more batch; states are lists in the order of `variables`."""
        now = _Run(self, metric_variables)
        now.metric.update_state(*args, **kwargs)
        return now.state()

    def stateless_result(self, metric_variables: Any) -> Any:
        """The result that a state stands for."""
        result = _Run(self, metric_variables).metric.result()
        return jax.tree.map(jnp.asarray, result, is_leaf=lambda leaf: isinstance(leaf, Weight))

    def stateless_reset_state(self) -> list[Array]:
        """The state before the first batch."""
        now = _Run(self, [weight.value for weight in self.variables])
        now.metric.reset_state()
        return [jnp.array(value) for value in now.state()]  # copies: they may be donated


class _Run:
    """A pass through a metric, whose copy holds the state given and whose state is read after it."""

    def __init__(self, metric: Metric, state: Any) -> None:
        self.weights = metric.variables
        self.running = Pass(dict(zip(self.weights, state, strict=True)))
        self.metric: Metric = self.running.copy_of(metric)

    def state(self) -> list[Array]:
        after = dict(self.running.changed())
        return [after[weight] for weight in self.weights]


def updated_state(
    metric: Metric, state: Any, y_true: Any, y_pred: Any = None, sample_weight: Any = None
) -> list[Array]:
    """The state of a metric with one more batch in it; what its `update_state` may not do is refused."""
    now = _Run(metric, state)
    told = {} if sample_weight is None else {"sample_weight": sample_weight}
    now.metric.update_state(*([y_true] if y_pred is None else [y_true, y_pred]), **told)
    for attribute, value in vars(metric).items():
        if isinstance(value, Weight) and not isinstance(vars(now.metric)[attribute], Weight):
            raise ArgumentError(
                f"{type(metric).__name__}.update_state replaces self.{attribute}. Write self.{attribute}.assign(...)."
            )
    if len(now.metric.variables) != len(now.weights):
        raise ArgumentError(f"{type(metric).__name__} adds a weight in update_state. Add it in __init__.")
    return now.state()
