"""Layers that move elements and compute nothing."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError
from lamina.layer import Layer
from lamina.settings import setting
from lamina.shapes import InputSpec

Array = jax.Array


class Flatten(Layer):
    """Maps (batch, ...) to (batch, product of the rest), channels last.

    >>> Flatten()(jnp.ones((2, 3, 4))).shape
    (2, 12)
    """

    data_format: str | None = setting(data_format, default=None)

    def prepare(self) -> None:
        super().prepare()
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, x: Array) -> Array:  # (batch, ...)
        if self.data_format == "channels_first" and x.ndim > 2:
            x = jnp.moveaxis(x, 1, -1)
        return x.reshape((x.shape[0], math.prod(x.shape[1:])))


class Reshape(Layer):
    """Maps (batch, ...) to (batch, *target_shape) with the same elements in the same order; one size may be -1.

    >>> Reshape((3, -1))(jnp.ones((2, 12))).shape
    (2, 3, 4)
    """

    target_shape: Any

    def validate(self) -> None:
        super().validate()
        try:
            sizes = tuple(int(size) for size in self.target_shape)
        except TypeError:
            raise ArgumentError(f"Reshape takes a tuple of sizes: Reshape(({self.target_shape},)).") from None
        if sizes.count(-1) > 1 or any(size < -1 or size == 0 for size in sizes):
            raise ArgumentError(f"Reshape({sizes}): sizes are at least 1, and one of them may be -1.")
        self.target_shape = sizes

    def call(self, x: Array) -> Array:  # (batch, ...)
        sizes, target = x.shape[1:], self.target_shape
        known = math.prod(size for size in target if size != -1)
        if all(isinstance(size, int) for size in sizes):
            total = math.prod(sizes)
            if total != known if -1 not in target else total % known:
                raise ShapeError(
                    f"has target_shape {target}, which does not hold the {total} elements of {tuple(sizes)}"
                )
        return x.reshape((x.shape[0], *target))
