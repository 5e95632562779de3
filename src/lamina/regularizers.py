"""Regularizers: penalties for large weights. Each is called with an array and returns a scalar, added to the loss."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Config, Function, overridable
from lamina._settings.converters import not_negative, one_of
from lamina._settings.registry import Registry
from lamina._settings.settings import Configured, Converted, setting
from lamina._weights.weight import Weight
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, ShapeError

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2",
    "orthogonal_regularizer", "serialize",
]  # fmt: skip

Penalty: TypeAlias = Converted[float | None, float]
_registry = Registry("regularizer")


class Regularizer(Configured):
    """The base class, whose penalty is 0. A subclass defines `__call__(w)`; any function of an array works too.

    >>> class Sharpness(Regularizer):
    ...     factor: float = 0.1
    ...
    ...     def __call__(self, w):
    ...         return self.factor * jnp.abs(w).max()
    >>> Sharpness(factor=0.5)(jnp.array([1.0, -4.0]))
    Array(2., dtype=float32)
    """

    _lamina_module = "keras.regularizers"

    @overridable
    def __call__(self, w: Array | Weight) -> Array:
        """Returns a scalar with the dtype of `w`."""
        return jnp.zeros((), jnp.asarray(w).dtype)


def _rounded(factor: float) -> float:
    """A factor in the form of Keras's configs."""
    return float(jnp.dtype(floatx()).type(factor))


def _penalty(default: float) -> Any:
    """A finite number of at least 0; None means the default, as in Keras."""

    def convert(value: float | None) -> float:
        share = float(not_negative(default if value is None else value))
        if math.isinf(share):
            raise ArgumentError("expected a finite number.")
        return share

    return setting(convert, default=default)


@_registry.add()
class L1(Regularizer):
    """`l1 * sum(|w|)`: makes many weights exactly or nearly 0.

    >>> L1(0.5)(jnp.array([1.0, -3.0]))
    Array(2., dtype=float32)

    Args:
        l1: the factor of the penalty; None for 0.01.
    """

    l1: Penalty = _penalty(0.01)

    def __call__(self, w: Array | Weight) -> Array:
        return self.l1 * jnp.abs(jnp.asarray(w)).sum()

    def get_config(self) -> Config:
        return super().get_config() | {"l1": _rounded(self.l1)}


@_registry.add()
class L2(Regularizer):
    """`l2 * sum(w²)`, without a factor of 1/2.

    >>> L2(0.5)(jnp.array([1.0, -3.0]))
    Array(5., dtype=float32)

    Args:
        l2: the factor of the penalty; None for 0.01.
    """

    l2: Penalty = _penalty(0.01)

    def __call__(self, w: Array | Weight) -> Array:
        return self.l2 * jnp.square(jnp.asarray(w)).sum()


@_registry.add("l1_l2")
class L1L2(Regularizer):
    """`l1 * sum(|w|) + l2 * sum(w²)`.

    Both factors are 0 by default, but 0.01 if the regularizer is given by name alone (`kernel_regularizer="l1_l2"`).

    >>> L1L2(l1=0.5, l2=0.1)(jnp.array([1.0, -3.0]))
    Array(3., dtype=float32)

    Args:
        l1: the factor of the sum of absolute values; None for 0.
        l2: the factor of the sum of squares; None for 0.
    """

    l1: Penalty = _penalty(0.0)
    l2: Penalty = _penalty(0.0)

    def __call__(self, w: Array | Weight) -> Array:
        w = jnp.asarray(w)
        cost = jnp.zeros((), w.dtype)
        if self.l1:
            cost += self.l1 * jnp.abs(w).sum()
        if self.l2:
            cost += self.l2 * jnp.square(w).sum()
        return cost


@_registry.add()
class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean |cosine| between two different rows (or columns) of a matrix.

    >>> OrthogonalRegularizer(factor=1.0)(jnp.array([[1.0, 0.0], [3.0, 4.0]]))
    Array(0.6, dtype=float32)

    Args:
        factor: the factor of the penalty; None for 0.01.
        mode: "rows" or "columns", the vectors that should be orthogonal to each other.
    """

    factor: Penalty = _penalty(0.01)
    mode: Literal["rows", "columns"] = setting(one_of("rows", "columns"), default="rows")

    def get_config(self) -> Config:
        return super().get_config() | {"factor": _rounded(self.factor)}

    def __call__(self, w: Array | Weight) -> Array:
        w = jnp.asarray(w)
        if w.ndim != 2:
            raise ShapeError(f"OrthogonalRegularizer takes weights of 2 axes, got shape {w.shape}.")
        rows = w if self.mode == "rows" else w.T  # (n, length)
        rows = rows.astype(jnp.float32 if w.dtype.itemsize < 4 else w.dtype)
        squares = jnp.square(rows).sum(1, keepdims=True)
        rows = rows * jax.lax.rsqrt(jnp.maximum(squares, 1e-14))  # a row of zeros stays zero, with a finite gradient
        n = len(rows)
        cosines = jnp.abs(rows @ rows.T) * (1 - jnp.eye(n, dtype=rows.dtype))  # (n, n)
        return (self.factor * cosines.sum() / max(1, n * (n - 1))).astype(w.dtype)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


@user_facing
def get(identifier: str | Function | Config | None) -> Function | None:
    """The regularizer for a name, an object, a class, a config or a function of an array; None gives None.

    >>> get("l2")
    L2()
    """
    if isinstance(identifier, str) and _registry.find(identifier) is L1L2:
        return L1L2(0.01, 0.01)  # with its own defaults, 0, the name alone would have no effect
    return _registry.get(identifier)  # type: ignore[no-any-return]


serialize, deserialize = _registry.serialize, _registry.deserialize


public(__name__, __all__)
