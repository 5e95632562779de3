"""The results of `sparse=True`: JAX's `BCOO`, which stores only the numbers that are not 0. Stacks take no BCOO."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax.experimental.sparse import BCOO, bcoo_reduce_sum, bcoo_sum_duplicates
from jax.typing import DTypeLike

from lamina._arrays.arrays import Array


def sparse_one_hot(x: Array, classes: int, axis: int, dtype: DTypeLike) -> Any:
    """1 at the index given by each number of x; a number below 0 gives zeros."""
    axis %= x.ndim + 1
    places = list(jnp.indices(x.shape, "int32"))
    places.insert(axis, jnp.maximum(x, 0).astype("int32"))
    indices = jnp.stack([place.ravel() for place in places], axis=-1)  # (numbers, axes)
    shape = (*x.shape[:axis], classes, *x.shape[axis:])
    data = (x.ravel() >= 0).astype(dtype)
    return BCOO((data, indices), shape=shape, indices_sorted=axis == x.ndim, unique_indices=True)


def sparse_multi_hot(x: Array, classes: int, axis: int, dtype: DTypeLike) -> Any:
    """1 at the indices given by a sample's numbers, also if a number is repeated."""
    several = bcoo_reduce_sum(sparse_one_hot(x, classes, axis, "int32"), axes=(min(x.ndim - 1, 1),))
    once = bcoo_sum_duplicates(several, nse=several.nse)
    return BCOO(((once.data > 0).astype(dtype), once.indices), shape=once.shape, indices_sorted=True)


def sparse_bincount(x: Array, weights: Array | None, length: int) -> Any:
    """How often each number is in x, or the sum of its weights: (length,) or (batch, length)."""
    found = sparse_one_hot(x, length, -1, "int32" if weights is None else weights.dtype)
    if weights is not None:
        found = BCOO((found.data * weights.ravel(), found.indices), shape=found.shape)
    return bcoo_reduce_sum(found, axes=(x.ndim - 1,))
