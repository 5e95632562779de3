"""The seeds and keys of all random numbers, which depend on nothing but (seed, layer, step)."""

from __future__ import annotations

import random as python_random

import jax.numpy as jnp
import numpy as np

from lamina._base.converters import checked, fixed_seed
from lamina._base.frames import user_facing
from lamina._base.public import public
from lamina._base.weight import Array

__all__ = ["set_random_seed"]

_seeds = python_random.Random()
_given: int | None = None


@user_facing
def set_random_seed(seed: int) -> None:
    """Make the random numbers from now on the same in each run: initial weights, shuffles, dropout.

    Seeds Python's `random` and NumPy's global generator too, as Keras does.

    Args:
        seed: a whole number from 0 to 2**32 - 1.
    """
    seed = checked("set_random_seed", "seed", fixed_seed, seed)
    python_random.seed(seed)
    np.random.seed(seed)
    set_seed(seed)


def set_seed(seed: int) -> None:
    """Seed the random numbers of this package alone, as `tf.random.set_seed` does for TensorFlow's."""
    global _given
    _given = seed
    _seeds.seed(seed)


def seed_given() -> int | None:
    """The seed that the user has set last; None where the random numbers are others in each run."""
    return _given


def next_seed() -> int:
    """A new seed from 0 to 2**31 - 1, for an object that was given none."""
    return _seeds.randrange(2**31)


def key_of(seed: int) -> Array:
    """JAX's raw key for a seed, as Keras makes it.  -> (2,) uint32"""
    return jnp.array([seed, 0], jnp.uint32)


public(__name__, __all__)
