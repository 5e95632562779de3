"""Layers that return their input and say which of its steps are padding."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.converters import number
from lamina._settings.settings import setting


class Identity(Layer):
    """Returns its input unchanged, of any shape.

    >>> Identity()(jnp.ones((1, 2)))
    Array([[1., 1.]], dtype=float32)
    """

    supports_masking: ClassVar[bool] = True
    _lamina_keeps_values: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        return x


class Masking(Layer):
    """Marks the steps of (batch, ..., features) whose features all equal `mask_value` as padding, and sets them to 0.

    >>> masking = Masking(9.0)
    >>> x = jnp.array([[[1.0, 9.0], [9.0, 9.0]]])
    >>> masking(x)[0, 1], masking.compute_mask(x)
    (Array([0., 0.], dtype=float32), Array([[ True, False]], dtype=bool))

    Args:
        mask_value: the value that all features of a padded step have.
    """

    mask_value: float = setting(number, default=0.0)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(min_ndim=2)

    def call(self, x: Array) -> Array:
        return jnp.where(self.compute_mask(x)[..., None], x, jnp.zeros((), x.dtype))

    def compute_mask(self, x: Array, mask: Array | None = None) -> Array:
        return jnp.any(x != jnp.asarray(self.mask_value, x.dtype), -1)
