"""Random numbers: seeds, and functions that draw arrays equal to those of Keras on JAX."""

from __future__ import annotations

import random as python_random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array, as_array
from lamina._imports.public import public
from lamina._kernels.bits import fold
from lamina._kernels.numbers import Number, constant
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Config
from lamina._settings.converters import checked, fixed_seed, short
from lamina._settings.converters import rate as _share
from lamina._weights.weight import Scope, Weight, under_way
from lamina.dtypes import floatx
from lamina.errors import ArgumentError

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "set_random_seed",
    "shuffle", "truncated_normal", "uniform",
]  # fmt: skip

Shape = Sequence[int]

_seeds: ContextVar[python_random.Random] = ContextVar("seeds", default=python_random.Random())  # noqa: B039
_given: int | None = None


@user_facing
def set_random_seed(seed: int) -> None:
    """Make all later random numbers the same in each run: initial weights, shuffles, dropout.

    As in Keras, this also seeds Python's `random` and NumPy's global generator.

    Args:
        seed: an integer from 0 to 2**32 - 1.
    """
    seed = checked("set_random_seed", "seed", fixed_seed, seed)
    python_random.seed(seed)
    np.random.seed(seed)
    set_seed(seed)


def set_seed(seed: int) -> None:
    """Seed the random numbers of this package only, as `tf.random.set_seed` seeds those of TensorFlow."""
    global _given
    _given = seed
    _seeds.get().seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw all seeds inside the `with` block from `seed`. The block does not change the seeds drawn after it."""
    token = _seeds.set(python_random.Random(seed))
    try:
        yield
    finally:
        _seeds.reset(token)


def begin_seeds(seed: int) -> None:
    """Draw all later seeds of this context (`contextvars.Context`) from `seed`."""
    _seeds.set(python_random.Random(seed))


def seed_given() -> int | None:
    """The seed that the user set last; None if the random numbers differ in each run."""
    return _given


def next_seed() -> int:
    """A new seed from 0 to 2**31 - 1, for an object without a given seed."""
    return _seeds.get().randrange(2**31)


def key_of(seed: int | Number) -> Array:
    """JAX's raw key for a seed, made as in Keras.  -> (2,) uint32"""
    if isinstance(seed, Number):
        return jnp.stack([constant(seed, jnp.uint32), jnp.uint32(0)])
    return as_array(np.array([seed, 0], np.uint32))


class Draws:
    """The random numbers of one training step, or of one call: the keys for the given seeds."""

    def __init__(self, step: Any = 0, states: Mapping[Weight, Any] | None = None) -> None:
        self.step = step
        """The number of steps trained before, or a new number for each call."""
        self.states = states or {}
        """The random states that the caller passes in, each with its seed and step; (2,) uint32."""
        self.drawn: Counter[Weight] = Counter()

    def key(self, seed: int | Number, state: Weight) -> Array:
        """A key that depends only on the seed, the step and the number of the draw in the step.  -> (2,) uint32

        Args:
            state: identifies a seed within the step. Each state counts its own draws, and equal seeds draw the same.
        """
        number = self.drawn[state]
        self.drawn[state] += 1
        if (given := self.states.get(state)) is None:
            return fold(fold(key_of(seed), self.step), number)
        return fold(fold(jnp.stack([given[0], jnp.uint32(0)]), given[1]), number)


class SeedGenerator:
    """Gives a new key at each draw. A custom layer keeps one and passes it to the functions below as `seed`.

    >>> seeds = SeedGenerator(7)
    >>> bool(jnp.all(normal((2,), seed=seeds) == normal((2,), seed=seeds)))
    False

    In a training step the keys depend only on this seed, the step and the number of the draw in the step, so no state
    is kept.

    Args:
        seed: an integer from 0 to 2**32 - 1. By default a seed is drawn.
        name: a name for `get_config`.
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        seed = None if seed is None else checked("SeedGenerator", "seed", fixed_seed, seed)
        self.name = name or "seed_generator"
        self._lamina_seed = seed
        self._lamina_drawn = next_seed() if seed is None else seed
        self.state = Weight(
            key_of(self._lamina_drawn), name="seed_generator_state", path="seed_generator_state", trainable=False
        )

    def next(self, ordered: bool = True) -> Array:
        """Returns a key, a new one at each call.  -> (2,) uint32"""
        if (scope := under_way.get()) is not None:
            drawn: Array = scope.draws.key(self._lamina_drawn, self.state)
            return drawn
        now: Array = self.state.value
        self.state.assign(now + jnp.array([0, 1], "uint32") if ordered else (now + 1) * 5387 % 933199)
        return now

    def get_config(self) -> Config:
        """Returns the arguments that make an equal object."""
        return {"seed": self._lamina_seed, "name": self.name}

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """Returns an object with the settings that `get_config` returned."""
        return cls(**config)


Seed = int | SeedGenerator | ArrayLike | None


def _key_of_pass(now: Scope) -> Array:
    """The key for the next draw of the current pass; in training, a new key in each step."""
    now.calls += 1
    return fold(key_of(0) if now.key is None else now.key, np.uint32(2**32 - now.calls))


def _key(seed: Seed) -> Array:
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if seed is None:
        if (scope := under_way.get()) is not None:
            return _key_of_pass(scope)
        if isinstance(jnp.zeros(()), jax.core.Tracer):
            raise ArgumentError(
                "a function that JAX traces would draw the same numbers at each call: give it seed=, a number or a "
                "SeedGenerator that is made outside."
            )
        return key_of(next_seed())
    if isinstance(seed, jax.Array):
        return seed
    if isinstance(seed, bool) or not hasattr(seed, "__index__"):
        raise ArgumentError(f"seed is a whole number or a SeedGenerator, got {short(seed)}.")
    return key_of(int(seed) % 2**32)  # type: ignore[arg-type]


def _dtype(dtype: DTypeLike | None, kind: Any, what: str) -> np.dtype[Any]:
    if not jnp.issubdtype(found := jnp.dtype(dtype or floatx()), kind):
        raise ArgumentError(f"{what} gives {kind.__name__} numbers, and dtype={short(dtype)} is another kind.")
    return found


@user_facing
def normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: DTypeLike | None = None, seed: Seed = None
) -> Array:
    """Numbers drawn from the normal distribution.  -> shape

    Args:
        seed: equal integers give equal arrays. Without a seed, each call draws new numbers.
    """
    return jax.random.normal(_key(seed), tuple(shape), _dtype(dtype, jnp.floating, "normal")) * stddev + mean


@user_facing
def truncated_normal(
    shape: Shape, mean: float = 0.0, stddev: float = 1.0, dtype: DTypeLike | None = None, seed: Seed = None
) -> Array:
    """Numbers from the normal distribution; those more than two `stddev` from the mean are redrawn.  -> shape"""
    kind = _dtype(dtype, jnp.floating, "truncated_normal")
    return jax.random.truncated_normal(_key(seed), -2.0, 2.0, tuple(shape), kind) * stddev + mean


@user_facing
def uniform(
    shape: Shape, minval: float = 0.0, maxval: float = 1.0, dtype: DTypeLike | None = None, seed: Seed = None
) -> Array:
    """Numbers from the uniform distribution on [`minval`, `maxval`).  -> shape"""
    kind = _dtype(dtype, jnp.floating, "uniform")
    return jax.random.uniform(_key(seed), tuple(shape), kind, minval, maxval)


@user_facing
def randint(shape: Shape, minval: int, maxval: int, dtype: DTypeLike = "int32", seed: Seed = None) -> Array:
    """Integers from `minval` up to, but not including, `maxval`.  -> shape"""
    return jax.random.randint(_key(seed), tuple(shape), minval, maxval, _dtype(dtype, jnp.integer, "randint"))


@user_facing
def categorical(logits: ArrayLike, num_samples: int, dtype: DTypeLike = "int32", seed: Seed = None) -> Array:
    """Class numbers drawn with the probabilities softmax(logits): (batch, classes) -> (batch, num_samples)."""
    logits = jnp.asarray(logits)
    if logits.ndim != 2:
        raise ArgumentError(f"categorical takes logits of shape (batch, classes), got {logits.shape}.")
    drawn = jax.random.categorical(_key(seed), logits[..., None], axis=1, shape=(len(logits), num_samples))
    return drawn.astype(dtype)


@user_facing
def dropout(
    inputs: ArrayLike, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Seed = None
) -> Array:
    """The inputs with the fraction `rate` set to 0, and the others divided by `1 - rate`; the shape stays the same.

    Args:
        noise_shape: along an axis of length 1, all elements are kept or dropped together; None means the axis's size.
    """
    x, share = jnp.asarray(inputs), checked("dropout", "rate", _share, rate)
    if share in (0, 1):
        return x if share == 0 else jnp.zeros_like(x)
    sizes = (
        x.shape if noise_shape is None else [m if n is None else n for n, m in zip(noise_shape, x.shape, strict=True)]
    )
    kept = jnp.broadcast_to(jax.random.bernoulli(_key(seed), 1.0 - share, tuple(sizes)), x.shape)
    return jnp.where(kept, x / (1.0 - share), jnp.zeros_like(x))


@user_facing
def shuffle(x: ArrayLike, axis: int = 0, seed: Seed = None) -> Array:
    """The array, shuffled along `axis`, separately at each position of the other axes."""
    return jax.random.permutation(_key(seed), jnp.asarray(x), axis, independent=True)


@user_facing
def gamma(shape: Shape, alpha: ArrayLike, dtype: DTypeLike | None = None, seed: Seed = None) -> Array:
    """Numbers of the gamma distribution of shape `alpha` and scale 1.  -> shape"""
    return jax.random.gamma(_key(seed), jnp.asarray(alpha), tuple(shape), _dtype(dtype, jnp.floating, "gamma"))


@user_facing
def binomial(
    shape: Shape, counts: ArrayLike, probabilities: ArrayLike, dtype: DTypeLike | None = None, seed: Seed = None
) -> Array:
    """The number of successes in `counts` tries with the given probabilities.  -> shape"""
    kind = _dtype(dtype, jnp.floating, "binomial")
    return jax.random.binomial(_key(seed), jnp.asarray(counts), jnp.asarray(probabilities), tuple(shape), kind)


@user_facing
def beta(shape: Shape, alpha: ArrayLike, beta: ArrayLike, dtype: DTypeLike | None = None, seed: Seed = None) -> Array:
    """Numbers of the beta distribution, from 0 to 1.  -> shape"""
    kind = _dtype(dtype, jnp.floating, "beta")
    return jax.random.beta(_key(seed), jnp.asarray(alpha), jnp.asarray(beta), tuple(shape), kind)


public(__name__, __all__)
