"""Sums and means over the samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from lamina._base.frames import user_facing
from lamina._base.settings import setting
from lamina._base.weight import Array
from lamina.losses.loss import Loss, aligned, function, ratio
from lamina.metrics.metric import Metric, registry, state_dtype


@registry.add()
class Sum(Metric):
    """`sum(values * weights)`, for values of any shape.

    >>> Sum()([1, 3, 5, 7], sample_weight=[1, 1, 0, 0])
    Array(4., dtype=float32)
    """

    name: str | None = None
    dtype: str = setting(state_dtype, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.total = self.add_weight(name="total")

    @user_facing
    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values = jnp.asarray(values, self.dtype)
        if sample_weight is not None:
            values = jnp.multiply(*aligned(values, jnp.asarray(sample_weight, self.dtype), "sample_weight"))
        self.total.assign_add(jnp.sum(values))

    def result(self) -> Array:
        return jnp.asarray(self.total)


@registry.add()
class Mean(Metric):
    """`sum(values * weights) / sum(weights)` of values (batch, ...), the mean of each sample being one value.

    >>> metric = Mean()
    >>> metric.update_state([1.0, 3.0])
    >>> metric.update_state([5.0], sample_weight=[2.0])
    >>> metric.result()
    Array(3.5, dtype=float32)
    """

    name: str | None = None
    dtype: str = setting(state_dtype, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.total = self.add_weight(name="total")
        self.count = self.add_weight(name="count")

    @user_facing
    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, samples = jnp.asarray(values, self.dtype), jnp.ones((), self.dtype)
        if sample_weight is not None:
            weights = jnp.asarray(sample_weight, self.dtype)
            if weights.ndim == 0:  # one weight for all makes one value of all, in Keras
                values = jnp.mean(values)
            values, weights = aligned(values, weights, "sample_weight")
            values, samples = values * weights, jnp.mean(weights)
        self.total.assign_add(jnp.sum(values) / math.prod(values.shape[1:]))
        self.count.assign_add(samples * math.prod(values.shape[:1]))  # weights that are shared have an axis of 1

    def result(self) -> Array:
        return ratio(jnp.asarray(self.total), jnp.asarray(self.count))


class SampleMean(Mean):
    """The mean over the samples of what `values(y_true, y_pred)` says of each, (batch, ...)."""

    def values(self, y_true: Any, y_pred: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a method values(self, y_true, y_pred).")

    @user_facing
    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        y_pred = jnp.asarray(y_pred)
        if y_pred.dtype in (jnp.float16, jnp.bfloat16):
            y_pred = y_pred.astype("float32")
        super().update_state(self.values(y_true, y_pred), sample_weight)


@registry.add()
class MeanMetricWrapper(SampleMean):
    """The mean over the samples of a function of `(y_true, y_pred, **kwargs)`.

    >>> MeanMetricWrapper(lambda y_true, y_pred: jnp.abs(y_true - y_pred))(jnp.array([1.0, 2.0]), jnp.array([1.0, 5.0]))
    Array(1.5, dtype=float32)
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.fn, self.kwargs = function(fn), kwargs
        if isinstance(fn, Loss) or str(getattr(fn, "__module__", "")).startswith("lamina.losses"):
            vars(self)["_direction"] = "down"

    def values(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self.kwargs)
