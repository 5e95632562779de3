"""Where every random number comes from: a pure function of (seed, what it is for, step)."""

from __future__ import annotations

import random as python_random
from typing import Any

import jax.numpy as jnp
import numpy as np

_seeds = python_random.Random()


def set_random_seed(seed: int) -> None:
    """Make all that follows repeat itself to the bit: initial weights, shuffles, dropout.

    Seeds Python's `random` and NumPy's global generator too, as Keras does.

    Args:
        seed: a whole number from 0 to 2**32 - 1.
    """
    python_random.seed(seed)
    np.random.seed(seed)
    set_seed(seed)


def set_seed(seed: int) -> None:
    """Seed what this package draws, and nothing else: what TensorFlow's function of the name does."""
    _seeds.seed(seed)


def next_seed() -> int:
    """A fresh seed from 0 to 2**31 - 1, for an object that was given none."""
    return _seeds.randrange(2**31)


def key_of(seed: int) -> Any:
    """JAX's raw key for a whole number: the one that Keras uses for the same seed.  -> (2,) uint32"""
    return jnp.array([seed, 0], jnp.uint32)
