"""TensorFlow's random numbers, from Lamina's seed."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lamina.random import key_of, next_seed, set_seed

__all__ = ["normal", "set_seed", "uniform"]


def normal(
    shape: Any,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> jax.Array:
    """Numbers from the normal distribution."""
    key = key_of(next_seed() if seed is None else seed)
    return mean + stddev * jax.random.normal(key, tuple(shape), dtype)


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> jax.Array:
    """Numbers from `minval` up to `maxval`, which is 1 where none is given."""
    key = key_of(next_seed() if seed is None else seed)
    if jnp.issubdtype(dtype, jnp.integer):
        return jax.random.randint(key, tuple(shape), minval, maxval, dtype)
    return jax.random.uniform(key, tuple(shape), dtype, minval, 1 if maxval is None else maxval)
