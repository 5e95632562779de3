"""TensorFlow's random numbers, which depend on the seed of `set_random_seed`."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from lamina._arrays.arrays import Array
from lamina.errors import ArgumentError
from lamina.random import key_of, next_seed, set_seed

__all__ = ["categorical", "normal", "set_seed", "shuffle", "truncated_normal", "uniform"]


def _key(seed: int | None) -> Array:
    return key_of(next_seed() if seed is None else seed)


def normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Array:
    """Numbers from the normal distribution."""
    key = _key(seed)
    return mean + stddev * jax.random.normal(key, tuple(shape), dtype)


def uniform(
    shape: Sequence[int],
    minval: float = 0,
    maxval: float | None = None,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Array:
    """Numbers from `minval` up to `maxval`, which is 1 by default."""
    key = _key(seed)
    if not jnp.issubdtype(dtype, jnp.integer):
        return jax.random.uniform(key, tuple(shape), dtype, minval, 1 if maxval is None else maxval)
    if maxval is None:
        raise ArgumentError("uniform: whole numbers need maxval=, the number that they stay below.")
    return jax.random.randint(key, tuple(shape), minval, maxval, dtype)


def truncated_normal(
    shape: Sequence[int],
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DTypeLike = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Array:
    """Numbers from the normal distribution, within two standard deviations."""
    key = _key(seed)
    return mean + stddev * jax.random.truncated_normal(key, -2, 2, tuple(shape), dtype)


def shuffle(value: ArrayLike, seed: int | None = None, name: str | None = None) -> Array:
    """The rows in random order."""
    return jax.random.permutation(_key(seed), jnp.asarray(value))


def categorical(
    logits: ArrayLike, num_samples: int, dtype: DTypeLike = "int32", seed: int | None = None, name: str | None = None
) -> Array:
    """`num_samples` indices for each row of (batch, classes): (batch, num_samples)."""
    scores, key = jnp.asarray(logits), _key(seed)
    return jax.random.categorical(key, scores[:, None], shape=(scores.shape[0], num_samples)).astype(dtype)
