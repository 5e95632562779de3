"""Initializers without randomness: zeros, ones, any constant, the identity."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array, as_array, own_array
from lamina._settings.converters import number
from lamina._settings.plain import plain
from lamina._settings.settings import Converted, setting
from lamina._weights.weight import Weight
from lamina._weights.weight import initializers as registry
from lamina.errors import ArgumentError, ShapeError
from lamina.initializers.base import DType, Initializer, Key, Shape

Value: TypeAlias = Converted[ArrayLike | Array | Weight | dict[str, Any], ArrayLike]


@registry.add("zero")
class Zeros(Initializer):
    """Fills a weight of any shape with zeros.

    >>> Zeros()((3,))
    Array([0., 0., 0.], dtype=float32)
    """

    _lamina_makes_new = True

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        return as_array(np.zeros(shape, dtype))


@registry.add("one")
class Ones(Initializer):
    """Fills a weight of any shape with ones.

    >>> Ones()((3,))
    Array([1., 1., 1.], dtype=float32)
    """

    _lamina_makes_new = True

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        return as_array(np.ones(shape, dtype))


def constant_value(value: Any) -> ArrayLike:
    """A number, list or array, or an array in the form used in a config."""
    value = plain(value)
    if isinstance(value, (jax.Array, Weight)):
        return np.asarray(value)
    try:
        np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"expected a number or an array, got {value!r}.") from None
    return value  # type: ignore[no-any-return]


@registry.add()
class Constant(Initializer):
    """Fills a weight with one value; an array is broadcast to the weight's shape.

    >>> Constant(0.5)((2,))
    Array([0.5, 0.5], dtype=float32)

    Args:
        value: a number, or an array that can be broadcast to the shape of the weight.
    """

    value: Value = setting(constant_value, default=0.0)

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        value = own_array(self.value, dtype)
        try:
            return jnp.broadcast_to(value, shape)
        except ValueError:
            raise ShapeError(f"the initial value has shape {value.shape}, the weight has {shape}.") from None


@registry.add("IdentityInitializer")
class Identity(Initializer):
    """`gain` times the identity matrix, for a weight of two axes: `gain` on the diagonal, zeros elsewhere.

    >>> Identity(gain=2.0)((2, 3))
    Array([[2., 0., 0.],
           [0., 2., 0.]], dtype=float32)

    Args:
        gain: the value on the diagonal.
    """

    gain: float = setting(number, default=1.0)

    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"gain"})

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        if len(shape) != 2:
            raise ShapeError(f"Identity fills weights of 2 axes, got shape {shape}.")
        return (self.gain * jnp.eye(*shape, dtype=dtype)).astype(dtype)
