"""Arrays made without a program of JAX's, which it would compile for each shape."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
"""The one name for JAX's arrays in annotations."""
HostArray = np.ndarray[Any, Any]
"""The one name for NumPy's arrays in annotations."""
Tree = TypeVar("Tree")


def as_array(x: object) -> jax.Array:
    """`jnp.asarray(x)`, in any byte order. For a NumPy array that compiles a program, unless it is told the dtype."""
    if isinstance(x, np.ndarray | np.generic):
        array = np.asarray(x, x.dtype.newbyteorder("="))
        return jnp.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))
    return jnp.asarray(x)


def own_array(x: object, dtype: Any = None) -> jax.Array:
    """An array in memory that no array of the user's shares: what is written into x later changes nothing."""
    if not isinstance(x, np.ndarray):
        return as_array(x) if dtype is None else jnp.asarray(x, dtype)
    array = as_array(x if dtype is None else x.astype(dtype, copy=False))
    shared = not isinstance(array, jax.core.Tracer) and array.unsafe_buffer_pointer() == x.ctypes.data
    return as_array(np.array(x, dtype)) if shared else array


def copied(arrays: Tree) -> Tree:
    """Copies of all arrays in it, as `jnp.copy` makes them."""
    copies: Tree = jax.device_put(arrays, may_alias=False)
    return copies


def on_host(arrays: Tree) -> Tree:
    """Copies as NumPy's arrays: of many small ones in a tenth of the time that JAX takes for its own."""
    copies: Tree = jax.tree.map(np.array, arrays)
    return copies
