"""TensorFlow's random numbers, which depend on the seed of `set_random_seed`."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from lamina._base.weight import Array
from lamina.errors import ArgumentError
from lamina.random import key_of, next_seed, set_seed

__all__ = ["normal", "set_seed", "uniform"]


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Array:
    """Numbers from the normal distribution."""
    key = key_of(next_seed() if seed is None else seed)
    return mean + stddev * jax.random.normal(key, tuple(shape), dtype)


def uniform(
    shape: Sequence[int],
    minval: float = 0,
    maxval: float | None = None,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Array:
    """Numbers from `minval` up to `maxval`, which is 1 where none is given."""
    key = key_of(next_seed() if seed is None else seed)
    if not jnp.issubdtype(dtype, jnp.integer):
        return jax.random.uniform(key, tuple(shape), dtype, minval, 1 if maxval is None else maxval)
    if maxval is None:
        raise ArgumentError("uniform: whole numbers need maxval=, the number that they stay below.")
    return jax.random.randint(key, tuple(shape), minval, maxval, dtype)
