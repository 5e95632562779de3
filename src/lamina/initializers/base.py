"""The base class of initializers, their registry of names, and the type of their dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeAlias

import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

from lamina import dtypes
from lamina._arrays.arrays import Array, HostArray
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import overridable
from lamina._settings.converters import integer, seed_value
from lamina._settings.settings import Configured
from lamina.random import SeedGenerator

Shape: TypeAlias = tuple[int, ...]
DType: TypeAlias = np.dtype[Any]
Key: TypeAlias = Array | HostArray
"""A random key, uint32 of shape (2,), of JAX or of NumPy."""
Seed: TypeAlias = int | SeedGenerator | None


def seed_of(value: object) -> Seed:
    """None, an integer that fits into 32 bits, or a generator that gives a new key at each draw."""
    return value if isinstance(value, SeedGenerator) else seed_value(value)


class Initializer(Configured):
    """The base class. A custom initializer defines `__call__(shape, dtype=None)`, as in Keras.

    If it has a third parameter, `key`, it receives the random key of the layer, a new one for each weight.

    >>> class Countdown(Initializer):
    ...     start: float = 1.0
    ...
    ...     def __call__(self, shape, dtype=None):
    ...         return self.start - jnp.arange(shape[-1], dtype=dtype or "float32")
    >>> Countdown(start=3.0)((3,))
    Array([3., 2., 1.], dtype=float32)
    """

    _lamina_module = "keras.initializers"
    _lamina_makes_new: ClassVar[bool] = False
    """Whether the array that the initializer makes is new, so that nothing else holds it."""

    @overridable
    @user_facing
    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None, key: Key | None = None) -> Array:
        """Returns an array of that shape and dtype; None means `floatx()`."""
        return self._lamina_values(tuple(integer(n) for n in shape), jnp.dtype(dtype or dtypes.floatx()), key)

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(self, shape, dtype=None).")

    def _lamina_arguments(self) -> dict[str, Any]:
        """In a config, a `SeedGenerator` becomes its initial seed."""
        told = super()._lamina_arguments()
        return {**told, "seed": seed_value(told["seed"])} if isinstance(told.get("seed"), SeedGenerator) else told

    def clone(self) -> Self:
        """Returns a copy with the same settings."""
        return self.from_config(self.get_config())


def makes_new(initializer: object) -> bool:
    """Whether the initializer makes a new array, which a program may overwrite. False for custom initializers."""
    if not isinstance(initializer, Initializer) or type(initializer).__call__ is not Initializer.__call__:
        return False
    return initializer._lamina_makes_new
