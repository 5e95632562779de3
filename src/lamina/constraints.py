"""Constraints: what weights must be after every step of the optimizer. Each is called with an array and returns one."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lamina import dtypes
from lamina._base.converters import integer, not_negative, rate
from lamina._base.public import public
from lamina._base.registry import Registry
from lamina._base.settings import Configured, serialize, setting
from lamina.errors import ArgumentError, ShapeError

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm",
    "non_neg", "serialize", "unit_norm",
]  # fmt: skip

Array = jax.Array
registry = Registry("constraint")


class Constraint(Configured):
    """The base class, which allows everything. Your own one defines `__call__(w)`; a plain function will do as well.

    >>> class Rounded(Constraint):
    ...     step: float = 0.5
    ...
    ...     def __call__(self, w):
    ...         return jnp.round(w / self.step) * self.step
    >>> Rounded(step=0.25)(jnp.array([0.3, 0.9]))
    Array([0.25, 1.  ], dtype=float32)
    """

    _lamina_module = "keras.constraints"

    def __call__(self, w: Any) -> Array:
        """An array of the shape and dtype of `w`."""
        return jnp.asarray(w)


def axes(value: Any) -> int | tuple[int, ...]:
    """An axis or a list of axes."""
    return tuple(integer(axis) for axis in value) if isinstance(value, (list, tuple)) else integer(value)


def norms(w: Any, axis: int | tuple[int, ...]) -> Array:
    """The L2 norm along `axis`, which stays as an axis of length 1."""
    w = jnp.asarray(w)
    missing = [each for each in ((axis,) if isinstance(axis, int) else axis) if not -w.ndim <= each < w.ndim]
    if missing:
        raise ShapeError(f"axis={missing[0]} does not exist in a weight of shape {w.shape}.")
    return jnp.sqrt(jnp.square(w).sum(axis, keepdims=True))


@registry.add()
class MaxNorm(Constraint):
    """Scales a vector that is longer than `max_value` down to that length: `w * min(|w|, max_value) / (|w| + 1e-7)`.

    `axis` is the axis, or the list of axes, along which a vector lies: 0 in a Dense kernel (inputs, units), so that
    a vector is what comes into one unit; [0, 1, 2] in a kernel of Conv2D.

    >>> MaxNorm(5.0)(jnp.array([[30.0, 0.0], [40.0, 1.0]])).round()
    Array([[3., 0.],
           [4., 1.]], dtype=float32)

    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    max_value: float = setting(not_negative, default=2)
    axis: int | tuple[int, ...] = setting(axes, default=0)

    def __call__(self, w: Any) -> Array:
        length = norms(w, self.axis)
        return jnp.asarray(w) * (jnp.clip(length, 0, self.max_value) / (dtypes.epsilon() + length))


@registry.add()
class NonNeg(Constraint):
    """`max(w, 0)`.

    >>> NonNeg()(jnp.array([-1.0, 2.0]))
    Array([0., 2.], dtype=float32)
    """

    def __call__(self, w: Any) -> Array:
        return jnp.maximum(jnp.asarray(w), 0)


@registry.add()
class UnitNorm(Constraint):
    """Scales every vector along `axis` (one or a list, as for MaxNorm) to length 1: `w / (|w| + 1e-7)`.

    >>> UnitNorm()(jnp.array([[-3.0, 0.0], [0.0, 2.0]])).round()
    Array([[-1.,  0.],
           [ 0.,  1.]], dtype=float32)
    """

    axis: int | tuple[int, ...] = setting(axes, default=0)

    def __call__(self, w: Any) -> Array:
        return jnp.asarray(w) / (dtypes.epsilon() + norms(w, self.axis))


@registry.add()
class MinMaxNorm(Constraint):
    """Moves the length of every vector along `axis` (as for MaxNorm) into [min_value, max_value].

    `w * (rate * clip(|w|, min_value, max_value) + (1 - rate) * |w|) / (|w| + 1e-7)`: a `rate` below 1 goes only
    that part of the way at each step.

    >>> MinMaxNorm(max_value=10.0, rate=0.5)(jnp.array([[12.0], [16.0]])).round()
    Array([[ 9.],
           [12.]], dtype=float32)
    """

    min_value: float = setting(not_negative, default=0.0)
    max_value: float = setting(not_negative, default=1.0)
    rate: float = setting(rate, default=1.0)
    axis: int | tuple[int, ...] = setting(axes, default=0)

    def __post_init__(self) -> None:
        if self.min_value > self.max_value:
            raise ArgumentError(f"MinMaxNorm: min_value={self.min_value} lies above max_value={self.max_value}.")

    def __call__(self, w: Any) -> Array:
        length = norms(w, self.axis)
        wanted = self.rate * jnp.clip(length, self.min_value, self.max_value) + (1 - self.rate) * length
        return jnp.asarray(w) * (wanted / (dtypes.epsilon() + length))


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
get, deserialize = registry.get, registry.deserialize


public(__name__, __all__)
