"""Random bits, computed as a hash of the key and the position.

JAX's own generator, threefry, would take a third of the time of a training step.

The mixer is the 32-bit `lowbias32` of Chris Wellons' hash-prospector (https://github.com/skeeto/hash-prospector):
two multiplications and three xor-shifts. The tests check the mean of the bits, and
their correlation between neighbours, between steps and between layers.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._kernels.numbers import constant

GOLDEN = 0x9E3779B9  # 2**32 / golden ratio: spreads consecutive positions far apart


def mix(h: Array) -> Array:
    """A bijection of 32-bit words in which every input bit changes about half of the output's bits."""
    h = h ^ (h >> jnp.uint32(16))
    h = h * jnp.uint32(0x21F0AAAD)
    h = h ^ (h >> jnp.uint32(15))
    h = h * jnp.uint32(0xD35A2D97)
    mixed: Array = h ^ (h >> jnp.uint32(15))
    return mixed


def fold(key: Array, number: ArrayLike) -> Array:
    """A new key for the use or step with this number.  (2,) uint32 -> (2,) uint32"""
    word = mix(jnp.asarray(number).astype(jnp.uint32) * jnp.uint32(GOLDEN) + key[0])
    return jnp.stack([mix(word ^ key[1]), mix(word + key[1] * jnp.uint32(GOLDEN) + jnp.uint32(1))])


def random_bits(key: Array, shape: tuple[int, ...]) -> Array:
    """Independent 32-bit words; each depends only on `key` and its position.  (2,) uint32 -> shape, uint32"""
    position = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        position = position + lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.asarray(stride).astype(jnp.uint32)
        stride = stride * shape[axis]
    return mix((position * jnp.uint32(GOLDEN) + key[0]) ^ key[1])


def bernoulli(key: Array, probability: float, shape: tuple[int, ...]) -> Array:
    """True with `probability`, rounded to a multiple of 2**-32.  -> shape, bool"""
    if probability >= 1:
        return jnp.ones(shape, bool)
    kept: Array = random_bits(key, shape) < constant(min(round(probability * 2**32), 2**32 - 1), jnp.uint32)
    return kept
