"""`tf.dtypes`: the dtypes, which are NumPy's."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from lamina.compat.operations import array

_names = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "bool")
__all__ = [*_names, "as_dtype", "bfloat16", "cast"]
globals().update({name: np.dtype(name) for name in _names})
bfloat16 = np.dtype(jnp.bfloat16)
as_dtype = np.dtype


def cast(x: object, dtype: DTypeLike, name: str | None = None) -> jax.Array:
    """The values in another dtype."""
    return array(x).astype(dtype)
