"""Sums and means over the samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._messages.spelling import to_snake_case
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Config, Function, Name, overridable
from lamina._settings.origin import of_library
from lamina._settings.registry import Registry
from lamina._settings.settings import setting
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError
from lamina.losses.loss import DType, Loss, OfFunction, aligned, function, ratio, with_default
from lamina.losses.loss import registry as loss_registry
from lamina.metrics.metric import BuiltIn, Metric, Precision, registry, state_dtype


class Reduction(BuiltIn):
    """A metric that reduces its input values to one number. `name` is the first argument, as in Keras."""

    _lamina_name: Name = setting(default=None, alias="name")
    _lamina_dtype: Precision = setting(state_dtype, default=None, alias="dtype")
    _lamina_rest: Weight = setting(init=False)
    """The rounding error of each sum so far."""

    def __init_subclass__(cls, called: str | None = None, **kwargs: Any) -> None:
        """The default name: a subclass without its own name uses that of its base, as in Keras."""
        super().__init_subclass__(**kwargs)
        if called is not None:
            with_default(cls, "name", called)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.total = self.add_weight(name="total")
        self._lamina_rest = _rest(self, 1)


def _rest(metric: Metric, sums: int) -> Weight:
    return Weight(jnp.zeros((sums,), metric.dtype), name="rest", path=f"{metric.name}/rest", trainable=False)


def summed(sums: Sequence[Array], rest: Array, values: Sequence[Array]) -> list[Array]:
    """The sums after adding one value to each, and their rounding errors, which later additions correct.

    So a sum of a million numbers is as exact as a sum of a few (W. Kahan, 1965, "Further remarks on reducing truncation
    errors").
    """
    after, left = [], []
    for number, (total, value) in enumerate(zip(sums, values, strict=True)):
        missing = value - rest[number]
        after.append(total + missing)
        lost = (after[-1] - total) - missing
        left.append(jnp.where(jnp.isfinite(lost), lost, 0))  # an infinite sum has no rounding error
    return [*after, jnp.stack(left)]


def _add(metric: Reduction, **values: Array) -> None:
    """Add values to the sums of a metric, by the names of its weights."""
    weights = [*(getattr(metric, name) for name in values), metric._lamina_rest]
    *sums, rest = (jnp.asarray(weight) for weight in weights)
    for weight, array in zip(weights, summed(sums, rest, list(values.values())), strict=True):
        weight.assign(array)


@registry.add()
class Sum(Reduction, called="sum"):
    """`sum(values * weights)`, for values of any shape.

    >>> Sum()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    Array(4., dtype=float32)
    """

    @user_facing
    @overridable
    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        values = jnp.asarray(values, self.dtype)
        if sample_weight is not None:
            values = jnp.multiply(*aligned(values, jnp.asarray(sample_weight, self.dtype), "sample_weight"))
        _add(self, total=jnp.sum(values))

    def result(self) -> Array:
        return jnp.asarray(self.total)


@registry.add()
class Mean(Reduction, called="mean"):
    """`sum(values * weights) / sum(weights)` of values (batch, ...); each sample counts with the mean of its values.

    >>> metric = Mean()
    >>> metric.update_state([1.0, 3.0])
    >>> metric.update_state([5.0], sample_weight=[2.0])
    >>> metric.result()
    Array(3.5, dtype=float32)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.count = self.add_weight(name="count")
        self._lamina_rest = _rest(self, 2)

    @user_facing
    @overridable
    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        values, samples = jnp.asarray(values, self.dtype), jnp.ones((), self.dtype)
        if sample_weight is not None:
            weights = jnp.asarray(sample_weight, self.dtype)
            if weights.ndim == 0:  # as in Keras, values with a single weight are one sample, whose value is their mean
                values = jnp.mean(values)
            values, weights = aligned(values, weights, "sample_weight")
            values, samples = values * weights, jnp.mean(weights)
        count = samples * math.prod(values.shape[:1])  # a weight for the whole batch has an axis of length 1
        _add(self, total=jnp.sum(values) / math.prod(values.shape[1:]), count=count)

    def result(self) -> Array:
        return ratio(jnp.asarray(self.total), jnp.asarray(self.count))


class SampleMean(OfFunction, Mean):
    """The mean over the samples of one value per sample, (batch, ...), computed from targets and predictions.

    A subclass names the function that computes the values, or defines `_lamina_values`.
    """

    _lamina_masked = True

    def __init_subclass__(cls, of: Function | None = None, called: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(of=of, called=called or (to_snake_case(cls.__name__) if of else None), **kwargs)

    @user_facing
    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        p = jnp.asarray(y_pred)
        if p.dtype in (jnp.float16, jnp.bfloat16):
            p = p.astype("float32")
        super().update_state(self._lamina_values(y_true, p), sample_weight)


_functions = Registry("metric")
_functions.also = [registry, loss_registry]


@registry.add()
class MeanMetricWrapper(SampleMean):
    """The mean over the samples of a function of `(y_true, y_pred, **kwargs)`.

    >>> MeanMetricWrapper(lambda y_true, y_pred: jnp.abs(y_true - y_pred))(jnp.array([1.0, 2.0]), jnp.array([1.0, 5.0]))
    Array(1.5, dtype=float32)

    Args:
        fn: the function, or a loss.
        kwargs: arguments that are passed to each call of the function, such as `from_logits=True`.
    """

    def __init__(self, fn: Function, name: str | None = None, dtype: DType = None, **kwargs: object) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn, self._fn_kwargs = function(fn), kwargs
        if isinstance(fn, Loss) or (of_library(fn, "lamina") and loss_registry.built_in(fn.__name__) is not None):
            self._direction = "down"  # for this object only

    @classmethod
    @user_facing
    def from_config(cls, config: Config) -> Any:
        """Returns the metric that `get_config` described; for a built-in function, the metric with its name."""
        told = {name: value for name, value in config.items() if name != "fn"}
        fn: Any = config.get("fn")
        if isinstance(fn, str):  # as in Keras 2
            fn = {"module": "builtins", "class_name": "function", "config": fn, "registered_name": "function"}
        if isinstance(fn, dict):
            fn = _functions.get(fn)
        if isinstance(fn, Metric):
            return type(fn).from_config(told)
        if isinstance(fn, Loss):
            own = {name: told.pop(name) for name in told.keys() & type(fn)._lamina_fields.keys() - {"name", "dtype"}}
            fn = type(fn).from_config({**own, "reduction": "none"})
        return cls(fn=fn, **told)

    def _lamina_values(self, y_true: ArrayLike, y_pred: Array) -> Array:
        values: Array | None = self._fn(y_true, y_pred, **self._fn_kwargs)
        if values is None:
            raise ArgumentError(f"the metric {self.name} gave None instead of numbers. Does it lack a return?")
        return values
