"""The few names of TensorFlow that a program with a Keras stack uses; the arrays are JAX's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from lamina import initializers, losses, metrics, optimizers
from lamina._base.weight import Array
from lamina.compat.tensorflow import config, nn, random

# fmt: off
__all__ = [
    "argmax", "bfloat16", "bool", "cast", "config", "constant", "convert_to_tensor", "expand_dims", "float16",
    "float32", "float64", "initializers", "int8", "int16", "int32", "int64", "keras", "losses", "metrics", "nn",
    "ones", "optimizers", "random", "reshape", "squeeze", "uint8", "zeros",
]
# fmt: on

Values: TypeAlias = ArrayLike | Sequence[object]
Sizes: TypeAlias = int | Sequence[int]

float16, float32, float64 = map(np.dtype, ("float16", "float32", "float64"))
bfloat16 = np.dtype(jnp.bfloat16)
int8, int16, int32, int64, uint8 = map(np.dtype, ("int8", "int16", "int32", "int64", "uint8"))
bool = np.dtype("bool")


def constant(value: Values, dtype: DTypeLike | None = None, shape: Sizes | None = None, name: str = "Const") -> Array:
    """The values as an array of that shape; a single value is repeated.

    >>> constant([1, 2, 3, 4], shape=(2, 2)).shape
    (2, 2)
    """
    array = jnp.asarray(value, dtype)
    if shape is None:
        return array
    return jnp.broadcast_to(array, shape) if array.size == 1 else array.reshape(shape)


def convert_to_tensor(
    value: Values, dtype: DTypeLike | None = None, dtype_hint: DTypeLike | None = None, name: str | None = None
) -> Array:
    """The values as an array."""
    return jnp.asarray(value, dtype)


def cast(x: Values, dtype: DTypeLike, name: str | None = None) -> Array:
    """The values in another dtype; a cast to integers rounds towards 0.

    >>> cast([1.7, -1.7], int32).tolist()
    [1, -1]
    """
    return jnp.asarray(x).astype(dtype)


def ones(shape: Sizes, dtype: DTypeLike = float32, name: str | None = None) -> Array:
    """An array of ones."""
    return jnp.ones(shape, dtype)


def zeros(shape: Sizes, dtype: DTypeLike = float32, name: str | None = None) -> Array:
    """An array of zeros."""
    return jnp.zeros(shape, dtype)


def reshape(tensor: Values, shape: Sizes, name: str | None = None) -> Array:
    """The values in another shape, in which one size may be -1."""
    return jnp.reshape(jnp.asarray(tensor), shape)


def expand_dims(input: Values, axis: Sizes, name: str | None = None) -> Array:
    """The array with one more axis, of length 1."""
    return jnp.expand_dims(jnp.asarray(input), axis)


def squeeze(input: Values, axis: Sizes | None = None, name: str | None = None) -> Array:
    """The array without the axes of length 1, or without those of `axis`."""
    return jnp.squeeze(jnp.asarray(input), axis if axis is None or isinstance(axis, int) else tuple(axis))


def argmax(
    input: Values, axis: int | None = None, output_type: DTypeLike | None = None, name: str | None = None
) -> Array:
    """The indices of the largest values along an axis, which is the first one by default.

    >>> argmax([[1, 5], [7, 2]]).tolist()
    [1, 0]
    """
    indices = jnp.argmax(jnp.asarray(input), 0 if axis is None else axis)
    return indices if output_type is None else indices.astype(output_type)
