"""Constraints: functions that change a weight after every step of the optimizer, such as to limit its norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import jax.numpy as jnp

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._imports.public import public
from lamina._settings.arguments import overridable
from lamina._settings.converters import integer, not_negative, rate
from lamina._settings.registry import Registry
from lamina._settings.settings import Configured, Converted, setting
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, ShapeError

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm",
    "non_neg", "serialize", "unit_norm",
]  # fmt: skip

Axes: TypeAlias = int | tuple[int, ...]
AxesSetting: TypeAlias = Converted[int | Sequence[int], Axes]
_registry = Registry("constraint")


class Constraint(Configured):
    """The base class, which changes nothing. A subclass defines `__call__(w)`; any function of an array works too.

    >>> class Rounded(Constraint):
    ...     step: float = 0.5
    ...
    ...     def __call__(self, w):
    ...         return jnp.round(w / self.step) * self.step
    >>> Rounded(step=0.25)(jnp.array([0.3, 0.9]))
    Array([0.25, 1.  ], dtype=float32)
    """

    _lamina_module = "keras.constraints"

    @overridable
    def __call__(self, w: Array | Weight) -> Array:
        """Returns an array with the shape and dtype of `w`."""
        return jnp.asarray(w)


def _axes(value: object) -> Axes:
    """An axis or a list of axes."""
    return tuple(integer(axis) for axis in value) if isinstance(value, (list, tuple)) else integer(value)


def _norms(w: Array | Weight, axis: Axes) -> Array:
    """The L2 norm along `axis`; the axis is kept with length 1."""
    w = jnp.asarray(w)
    missing = [each for each in ((axis,) if isinstance(axis, int) else axis) if not -w.ndim <= each < w.ndim]
    if missing:
        raise ShapeError(f"axis={missing[0]} does not exist in a weight of shape {w.shape}.")
    return jnp.sqrt(jnp.square(w).sum(axis, keepdims=True))


@_registry.add()
class MaxNorm(Constraint):
    """Scales each vector that is longer than `max_value` down to that norm: `w * min(|w|, max_value) / (|w| + 1e-7)`.

    In a Dense kernel (inputs, units) the vectors lie along axis 0, so each has the weights of one unit. In a Conv2D
    kernel they lie along the axes [0, 1, 2].

    >>> MaxNorm(5.0)(jnp.array([[30.0, 0.0], [40.0, 1.0]])).round()
    Array([[3., 0.],
           [4., 1.]], dtype=float32)

    Args:
        max_value: the largest norm.
        axis: the axis, or the list of axes, along which the vectors lie.

    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    max_value: float = setting(not_negative, default=2)
    axis: AxesSetting = setting(_axes, default=0)

    def __call__(self, w: Array | Weight) -> Array:
        length = _norms(w, self.axis)
        return jnp.asarray(w) * (jnp.clip(length, 0, self.max_value) / (dtypes.epsilon() + length))


@_registry.add()
class NonNeg(Constraint):
    """`max(w, 0)`.

    >>> NonNeg()(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """

    def __call__(self, w: Array | Weight) -> Array:
        return jnp.maximum(jnp.asarray(w), 0)


@_registry.add()
class UnitNorm(Constraint):
    """Scales every vector to norm 1: `w / (|w| + 1e-7)`.

    >>> UnitNorm()(jnp.array([[-3.0, 0.0], [0.0, 2.0]])).round()
    Array([[-1.,  0.],
           [ 0.,  1.]], dtype=float32)

    Args:
        axis: the axis, or the list of axes, along which the vectors lie, as for MaxNorm.
    """

    axis: AxesSetting = setting(_axes, default=0)

    def __call__(self, w: Array | Weight) -> Array:
        return jnp.asarray(w) / (dtypes.epsilon() + _norms(w, self.axis))


@_registry.add()
class MinMaxNorm(Constraint):
    """Scales every vector so that its norm lies between `min_value` and `max_value`, or closer to this range.

    `w * (rate * clip(|w|, min_value, max_value) + (1 - rate) * |w|) / (|w| + 1e-7)`.

    >>> MinMaxNorm(max_value=10.0, rate=0.5)(jnp.array([[12.0], [16.0]])).round()
    Array([[ 9.],
           [12.]], dtype=float32)

    Args:
        min_value: the smallest norm.
        max_value: the largest norm.
        rate: the fraction of the difference to the allowed norm that each step corrects; 1 for all of it.
        axis: the axis, or the list of axes, along which the vectors lie, as for MaxNorm.
    """

    min_value: float = setting(not_negative, default=0.0)
    max_value: float = setting(not_negative, default=1.0)
    rate: float = setting(rate, default=1.0)
    axis: AxesSetting = setting(_axes, default=0)

    def __post_init__(self) -> None:
        if self.min_value > self.max_value:
            raise ArgumentError(f"MinMaxNorm: min_value={self.min_value} lies above max_value={self.max_value}.")

    def __call__(self, w: Array | Weight) -> Array:
        length = _norms(w, self.axis)
        wanted = self.rate * jnp.clip(length, self.min_value, self.max_value) + (1 - self.rate) * length
        return jnp.asarray(w) * (wanted / (dtypes.epsilon() + length))


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
get, serialize, deserialize = _registry.get, _registry.serialize, _registry.deserialize


public(__name__, __all__)
