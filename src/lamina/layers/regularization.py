"""Layers that disturb their input while training, and pass it on unchanged otherwise."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina.errors import ArgumentError
from lamina.kernels.bits import bernoulli, fold
from lamina.layer import Layer
from lamina.random import key_of
from lamina.settings import rate, seed_value, setting

Array = jax.Array


class Dropout(Layer):
    """While training, sets each element to 0 with probability `rate` and divides the others by `1 - rate`.

    The mask is a pure function of (seed, step, layer); `seed` gives this layer bits of its own, whatever the
    model's seed. `noise_shape` has 1 (or None for the input's own size) where one draw serves a whole axis.
    Source: Srivastava et al., 2014, https://jmlr.org/papers/v15/srivastava14a.html

    >>> Dropout(0.5)(jnp.ones((1, 4)))
    Array([[1., 1., 1., 1.]], dtype=float32)
    """

    rate: float = setting(rate)
    noise_shape: Any = None
    seed: int | None = setting(seed_value, default=None)

    supports_masking: ClassVar[bool] = True

    def validate(self) -> None:
        super().validate()
        if self.noise_shape is not None:
            sizes = tuple(self.noise_shape)
            if any(size is not None and (not isinstance(size, int) or size < 1) for size in sizes):
                raise ArgumentError(f"Dropout(noise_shape={sizes}): sizes are whole numbers of at least 1, or None.")
            self.noise_shape = sizes

    def call(self, x: Array, training: bool = False) -> Array:
        if not training or self.rate == 0:
            return x
        if self.rate == 1:
            return jnp.zeros_like(x)
        key = self.random_key()
        if self.seed is not None:
            key = fold(key_of(self.seed), key[0])
        shape = x.shape
        if self.noise_shape is not None:
            shape = tuple(own if own is not None else size for own, size in zip(self.noise_shape, x.shape, strict=True))
        keep = 1.0 - self.rate
        return jnp.where(bernoulli(key, keep, shape), x / jnp.asarray(keep, x.dtype), jnp.zeros((), x.dtype))
