"""Makes and copies arrays without the programs that JAX would compile for each shape."""

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
    """`jnp.asarray(x)`, in any byte order. With its dtype given, JAX compiles no program for a NumPy array."""
    if isinstance(x, np.ndarray | np.generic):
        array = np.asarray(x, x.dtype.newbyteorder("="))
        return jnp.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))
    return jnp.asarray(x)


def own_array(x: object, dtype: Any = None) -> jax.Array:
    """An array that shares no memory with x, so that later changes of x have no effect on it."""
    if not isinstance(x, np.ndarray):
        return as_array(x) if dtype is None else jnp.asarray(x, dtype)
    array = as_array(x if dtype is None else x.astype(dtype, copy=False))
    shared = not isinstance(array, jax.core.Tracer) and array.unsafe_buffer_pointer() == x.ctypes.data
    return as_array(np.array(x, dtype)) if shared else array


def copied(arrays: Tree) -> Tree:
    """Copy all arrays of a tree."""
    copies: Tree = jax.device_put(arrays, may_alias=False)
    return copies


def on_host(arrays: Tree) -> Tree:
    """Copy all arrays of a tree to NumPy arrays. For many small arrays, a copy in JAX takes ten times as long."""
    copies: Tree = jax.tree.map(np.array, arrays)
    return copies
