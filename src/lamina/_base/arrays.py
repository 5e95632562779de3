"""Arrays made without a program of JAX's, which it would compile for each shape."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

HostArray = np.ndarray[Any, Any]
"""The one name for NumPy's arrays in annotations."""
Tree = TypeVar("Tree")


def as_array(x: object) -> jax.Array:
    """`jnp.asarray(x)`. For a NumPy array that compiles a program, unless it is told the dtype."""
    if isinstance(x, np.ndarray | np.generic):
        return jnp.asarray(np.asarray(x), jax.dtypes.canonicalize_dtype(x.dtype))
    return jnp.asarray(x)


def copied(arrays: Tree) -> Tree:
    """Copies of all arrays in it, as `jnp.copy` makes them."""
    copies: Tree = jax.device_put(arrays, may_alias=False)
    return copies


def on_host(arrays: Tree) -> Tree:
    """Copies as NumPy's arrays: of many small ones in a tenth of the time that JAX takes for its own."""
    copies: Tree = jax.tree.map(np.array, arrays)
    return copies
