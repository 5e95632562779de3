"""Arrays made without a program of JAX's, which it would compile for each shape."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def as_array(x: Any) -> jax.Array:
    """`jnp.asarray(x)`. For a NumPy array that compiles a program, unless it is told the dtype."""
    if isinstance(x, np.ndarray | np.generic):
        return jnp.asarray(np.asarray(x), jax.dtypes.canonicalize_dtype(x.dtype))
    return jnp.asarray(x)


def copied(arrays: Any) -> Any:
    """Copies of all arrays in it, as `jnp.copy` makes them."""
    return jax.device_put(arrays, may_alias=False)
