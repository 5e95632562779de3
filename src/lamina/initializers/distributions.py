"""Initializers that draw from a given distribution: normal, truncated normal, uniform, orthogonal."""

from __future__ import annotations

import math
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array, as_array
from lamina._settings.converters import not_negative, number
from lamina._settings.settings import setting
from lamina._weights.weight import initializers as registry
from lamina.errors import ArgumentError, ShapeError
from lamina.initializers.base import DType, Initializer, Key, Seed, Shape, seed_of
from lamina.random import SeedGenerator, key_of, next_seed

Source: TypeAlias = Array | np.random.Generator


def source_of(seed: int | SeedGenerator | None, key: Key | None) -> Source:
    """The source of random numbers: JAX's generator for a seed (as in Keras) or a JAX key, else NumPy's generator.

    Layers pass a NumPy key: NumPy draws without compiling, while JAX would compile once for every shape.
    """
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if seed is not None:
        return key_of(seed)
    if isinstance(key, jax.Array):
        return key
    words = [next_seed()] if key is None else [int(word) for word in key]
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def uniform(source: Source, shape: Shape, dtype: DType, low: float, high: float) -> Array:
    if isinstance(source, np.random.Generator):
        return as_array(source.uniform(low, high, shape).astype(dtype))
    return jax.random.uniform(source, shape, dtype, low, high)


def normal(source: Source, shape: Shape, dtype: DType, mean: float, stddev: float) -> Array:
    if isinstance(source, np.random.Generator):
        return as_array(source.normal(mean, stddev, shape).astype(dtype))
    return jax.random.normal(source, shape, dtype) * stddev + mean


def truncated_normal(source: Source, shape: Shape, dtype: DType, mean: float, stddev: float) -> Array:
    if not isinstance(source, np.random.Generator):
        return jax.random.truncated_normal(source, -2.0, 2.0, shape, dtype) * stddev + mean
    values = source.standard_normal(shape)
    while (outside := np.abs(values) > 2).any():  # one value in 22 is drawn again
        values[outside] = source.standard_normal(outside.sum())
    return jnp.asarray((values * stddev + mean).astype(dtype))


class Random(Initializer):
    """Base of the initializers that draw random numbers.

    Args:
        seed: an integer, which gives the same values at each call, or a `random.SeedGenerator`, which gives new ones.
            None draws from the seed of the layer.
    """

    _lamina_makes_new = True


@registry.add("normal")
class RandomNormal(Random):
    """Draws from the normal distribution N(mean, stddev²).

    >>> RandomNormal(stddev=0.1, seed=1)((4, 8)).shape
    (4, 8)

    Args:
        mean: the mean of the distribution.
        stddev: the standard deviation of the distribution.
    """

    mean: float = setting(number, default=0.0)
    stddev: float = setting(not_negative, default=0.05)
    seed: Seed = setting(seed_of, default=None)

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        return normal(source_of(self.seed, key), shape, dtype, self.mean, self.stddev)


@registry.add()
class TruncatedNormal(Random):
    """Draws from N(mean, stddev²), and redraws values more than two `stddev` from the mean.

    The standard deviation of the values is therefore 0.88 `stddev`.

    >>> bool(abs(TruncatedNormal(stddev=0.1, seed=1)((1000,))).max() <= 0.2)
    True

    Args:
        mean: the mean of the distribution.
        stddev: the standard deviation of the distribution before it is truncated.
    """

    mean: float = setting(number, default=0.0)
    stddev: float = setting(not_negative, default=0.05)
    seed: Seed = setting(seed_of, default=None)

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        return truncated_normal(source_of(self.seed, key), shape, dtype, self.mean, self.stddev)


@registry.add("uniform")
class RandomUniform(Random):
    """Draws from the uniform distribution on [minval, maxval).

    >>> values = RandomUniform(-1.0, 1.0, seed=1)((1000,))
    >>> bool(values.min() >= -1) and bool(values.max() < 1)
    True

    Args:
        minval: the lower bound.
        maxval: the upper bound, which is never drawn.
    """

    minval: float = setting(number, default=-0.05)
    maxval: float = setting(number, default=0.05)
    seed: Seed = setting(seed_of, default=None)

    def __post_init__(self) -> None:
        if self.minval > self.maxval:
            raise ArgumentError(f"RandomUniform: minval={self.minval} lies above maxval={self.maxval}.")

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        return uniform(source_of(self.seed, key), shape, dtype, self.minval, self.maxval)


@registry.add("OrthogonalInitializer")
class Orthogonal(Random):
    """`gain` times a random matrix with orthonormal columns, or with orthonormal rows if it has fewer rows.

    A weight with more than two axes is treated as a matrix: all axes but the last are its rows.

    >>> w = Orthogonal(seed=1)((5, 3))
    >>> bool(jnp.allclose(w.T @ w, jnp.eye(3), atol=1e-5))
    True

    Args:
        gain: the factor by which the matrix is multiplied.

    Source: Saxe et al. 2014, https://arxiv.org/abs/1312.6120
    """

    gain: float = setting(number, default=1.0)
    seed: Seed = setting(seed_of, default=None)

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        if len(shape) < 2:
            raise ShapeError(f"Orthogonal fills weights of 2 axes or more, got shape {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = (max(rows, columns), min(rows, columns))
        wide = np.dtype(np.float32) if dtype.itemsize < 4 else dtype  # QR does not support half precision
        source = source_of(self.seed, key)
        xp = np if isinstance(source, np.random.Generator) else jnp
        q, r = xp.linalg.qr(normal(source, tall, wide, 0.0, 1.0))
        q = q * xp.sign(r.diagonal())  # makes q uniform among the orthogonal matrices
        return jnp.asarray((self.gain * (q if rows >= columns else q.T).reshape(shape)).astype(dtype))
