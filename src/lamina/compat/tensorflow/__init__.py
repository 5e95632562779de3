"""The few names of TensorFlow that a program which trains a Keras stack touches; arrays are JAX's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina import initializers, losses, metrics, optimizers
from lamina.compat.tensorflow import config, nn, random

Array = jax.Array

# fmt: off
__all__ = [
    "argmax", "bfloat16", "bool", "cast", "config", "constant", "convert_to_tensor", "expand_dims", "float16",
    "float32", "float64", "initializers", "int8", "int16", "int32", "int64", "keras", "losses", "metrics", "nn",
    "ones", "optimizers", "random", "reshape", "squeeze", "uint8", "zeros",
]
# fmt: on

float16, float32, float64 = map(np.dtype, ("float16", "float32", "float64"))
bfloat16 = np.dtype(jnp.bfloat16)
int8, int16, int32, int64, uint8 = map(np.dtype, ("int8", "int16", "int32", "int64", "uint8"))
bool = np.dtype("bool")


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Array:
    """The values as an array; with `shape`, a single value fills it.

    >>> constant([1, 2, 3, 4], shape=(2, 2)).shape
    (2, 2)
    """
    array = jnp.asarray(value, dtype)
    if shape is None:
        return array
    return jnp.broadcast_to(array, shape) if array.size == 1 else array.reshape(shape)


def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Array:
    """The values as an array."""
    return jnp.asarray(value, dtype)


def cast(x: Any, dtype: Any, name: str | None = None) -> Array:
    """The values in another dtype; a fraction is cut off.

    >>> cast([1.7, -1.7], int32).tolist()
    [1, -1]
    """
    return jnp.asarray(x).astype(dtype)


def ones(shape: Any, dtype: Any = float32, name: str | None = None) -> Array:
    """An array of ones."""
    return jnp.ones(shape, dtype)


def zeros(shape: Any, dtype: Any = float32, name: str | None = None) -> Array:
    """An array of zeros."""
    return jnp.zeros(shape, dtype)


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Array:
    """The values in another shape, in which one number may be -1."""
    return jnp.reshape(jnp.asarray(tensor), shape)


def expand_dims(input: Any, axis: Any, name: str | None = None) -> Array:
    """A further axis of length 1."""
    return jnp.expand_dims(jnp.asarray(input), axis)


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Array:
    """Without the axes of length 1, or without those named."""
    return jnp.squeeze(jnp.asarray(input), tuple(axis) if isinstance(axis, list) else axis)


def argmax(input: Any, axis: Any = None, output_type: Any = None, name: str | None = None) -> Array:
    """The places of the greatest values along an axis: the first one, unless another is named.

    >>> argmax([[1, 5], [7, 2]]).tolist()
    [1, 0]
    """
    places = jnp.argmax(jnp.asarray(input), 0 if axis is None else axis)
    return places if output_type is None else places.astype(output_type)
