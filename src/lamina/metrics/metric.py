"""What all metrics share: a state of a few numbers that is updated batch by batch."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from lamina import dtypes, initializers
from lamina._base.frames import user_facing
from lamina._base.registry import Registry
from lamina._base.settings import Configured, setting
from lamina._base.spelling import to_snake_case
from lamina._base.weight import Array, Weight
from lamina.errors import ArgumentError
from lamina.losses.loss import precision

registry = Registry("metric")


def state_dtype(dtype: Any) -> str:
    """The dtype of a metric's state; None is the default float."""
    return precision(dtype) or dtypes.floatx()


class Metric(Configured):
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

    keras_module: ClassVar[str | None] = "keras.metrics"
    unshared: ClassVar[frozenset[str]] = frozenset({"_arguments", "name"})
    _direction: ClassVar[str | None] = None

    def validate(self) -> None:
        self.name = self.name or to_snake_case(type(self).__name__)
        self._weights: tuple[tuple[Weight, np.ndarray[Any, Any]], ...] = ()

    @property
    def direction(self) -> str | None:
        """Which way is better, "up" or "down"; None if that is not known."""
        return self._direction

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
        if not hasattr(self, "_weights"):
            raise ArgumentError(f"{type(self).__name__} adds a weight before super().__init__() is called.")
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = jnp.dtype(dtype or self.dtype)
        value = initializers.get(initializer or "zeros")(shape, dtype, None)
        weight = Weight(value, name=name or "variable", path=f"{self.name}/{name or 'variable'}", trainable=False)
        self._weights = (*self._weights, (weight, weight.numpy()))
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
        own = [weight for weight, _ in self._weights]
        return list(dict.fromkeys([*own, *(weight for part in _parts(self) for weight in part.variables)]))

    def reset_state(self) -> None:
        """Forget all batches."""
        for weight, start in self._weights:
            weight.assign(start)
        for part in _parts(self):
            part.reset_state()

    # The same as functions of the state, which change nothing in this object.

    def initial(self) -> dict[str, Array]:
        """The state before the first batch, by name."""
        twin = self._holding(self._values())
        twin.reset_state()
        return {name: jnp.array(value) for name, value in twin._values().items()}  # copies: they may be donated

    def updated(
        self, values: dict[str, Array], y_true: Any, y_pred: Any = None, sample_weight: Any = None
    ) -> dict[str, Array]:
        """The state `values` with one more batch in it."""
        twin = self._holding(values)
        told = {} if sample_weight is None else {"sample_weight": sample_weight}
        twin.update_state(*([y_true] if y_pred is None else [y_true, y_pred]), **told)
        for attribute, value in vars(self).items():
            if isinstance(value, Weight) and not isinstance(vars(twin)[attribute], Weight):
                raise ArgumentError(
                    f"{type(self).__name__}.update_state replaces self.{attribute}. Write self.{attribute}.assign(...)."
                )
        after = twin._values()
        if after.keys() != values.keys():
            raise ArgumentError(f"{type(self).__name__} adds a weight in update_state. Add it in __init__.")
        return after

    def value(self, values: dict[str, Array]) -> Any:
        """The result that the state `values` stands for."""
        result = self._holding(values).result()
        return jax.tree.map(jnp.asarray, result, is_leaf=lambda leaf: isinstance(leaf, Weight))

    def keep(self, values: dict[str, Array]) -> None:
        """Make `values` the state of this object."""
        for name, weight in self._named().items():
            weight.assign(values[name])

    def stateless_update_state(self, metric_variables: Any, *args: Any, **kwargs: Any) -> list[Array]:
        """Keras's form of `updated`: the state is a list in the order of `variables`."""
        twin = self._holding(dict(zip(self._named(), metric_variables, strict=True)))
        twin.update_state(*args, **kwargs)
        return list(twin._values().values())

    def stateless_result(self, metric_variables: Any) -> Any:
        """Keras's form of `value`."""
        return self.value(dict(zip(self._named(), metric_variables, strict=True)))

    def stateless_reset_state(self) -> list[Array]:
        """Keras's form of `initial`."""
        return list(self.initial().values())

    def _named(self) -> dict[str, Weight]:
        named: dict[str, Weight] = {}
        for weight in self.variables:
            named[weight.name if weight.name not in named else f"{weight.name}_{len(named)}"] = weight
        return named

    def _values(self) -> dict[str, Array]:
        return {name: jnp.asarray(weight) for name, weight in self._named().items()}

    def _holding(self, values: dict[str, Array]) -> Self:
        """A copy, with copies of the metrics that it holds, whose weights are `values`."""
        weights = {
            id(weight): Weight(values[name], name=weight.name, path=weight.path, trainable=False)
            for name, weight in self._named().items()
        }
        twin: Self = _copied(self, weights)
        return twin


def _parts(thing: Any) -> list[Metric]:
    """The metrics that a metric holds in its attributes, lists and dicts."""
    if isinstance(thing, Metric):
        items = [value for name, value in vars(thing).items() if name != "_arguments"]
    else:
        items = list(thing.values() if isinstance(thing, dict) else thing)
    inner = [[item] if isinstance(item, Metric) else _parts(item) for item in items if isinstance(item, HOLDERS)]
    return list(dict.fromkeys(part for parts in inner for part in parts))


def _copied(thing: Any, weights: dict[int, Weight]) -> Any:
    if isinstance(thing, Weight):
        return weights[id(thing)]
    if isinstance(thing, Metric):
        twin = copy.copy(thing)
        for name, value in vars(thing).items():
            if name != "_arguments":
                vars(twin)[name] = _copied(value, weights)
        return twin
    if type(thing) in (list, tuple):
        return type(thing)(_copied(item, weights) for item in thing)
    if type(thing) is dict:
        return {key: _copied(item, weights) for key, item in thing.items()}
    return thing


HOLDERS = (Metric, list, tuple, dict)
