"""Layers that take the largest or the mean element of everything along the spatial axes."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina._base.converters import flag
from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, spatial_axes
from lamina._kernels.pooling import largest
from lamina._layer.layer import Layer
from lamina.config import data_format

Array = jax.Array


class GlobalPooling(Layer):
    """What the layers that reduce all spatial axes share; `keepdims` leaves these with size 1."""

    data_format: str | None = setting(data_format, default=None)
    keepdims: bool = setting(flag, default=False)

    rank: ClassVar[int]
    reduce: ClassVar[Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, x: Array) -> Array:
        y: Array = self.reduce(x, spatial_axes(x.ndim, self.data_format), keepdims=self.keepdims)
        return y


class GlobalMaxPooling1D(GlobalPooling):
    """The largest of all steps: (batch, steps, channels) to (batch, channels).

    >>> GlobalMaxPooling1D()(jnp.array([[[1.0], [4.0], [2.0]]]))
    Array([[4.]], dtype=float32)
    """

    rank: ClassVar[int] = 1
    reduce: ClassVar[Any] = staticmethod(largest)


class GlobalMaxPooling2D(GlobalPooling):
    """The largest of all rows and columns: (batch, rows, columns, channels) to (batch, channels).

    >>> GlobalMaxPooling2D()(jnp.ones((1, 7, 7, 3))).shape
    (1, 3)
    """

    rank: ClassVar[int] = 2
    reduce: ClassVar[Any] = staticmethod(largest)


class GlobalMaxPooling3D(GlobalPooling):
    """The largest of a whole volume: (batch, depth, rows, columns, channels) to (batch, channels).

    >>> GlobalMaxPooling3D(keepdims=True)(jnp.ones((1, 7, 7, 7, 3))).shape
    (1, 1, 1, 1, 3)
    """

    rank: ClassVar[int] = 3
    reduce: ClassVar[Any] = staticmethod(largest)


class GlobalAveragePooling1D(GlobalPooling):
    """The mean of all steps that a mask lets through: (batch, steps, channels) to (batch, channels).

    A sample whose steps are all masked gives 0, where Keras divides by 0.

    >>> GlobalAveragePooling1D()(jnp.array([[[1.0], [4.0]]]), mask=jnp.array([[True, False]]))
    Array([[1.]], dtype=float32)
    """

    rank: ClassVar[int] = 1
    reduce: ClassVar[Any] = staticmethod(jnp.mean)
    supports_masking: ClassVar[bool] = True

    def call(self, x: Array, mask: Any = None) -> Array:
        if mask is None:
            return super().call(x)
        (axis,) = spatial_axes(x.ndim, self.data_format)
        kept = jnp.expand_dims(mask.astype(bool), 3 - axis)  # (batch, steps, 1), or (batch, 1, steps)
        total = jnp.sum(jnp.where(kept, x, jnp.zeros((), x.dtype)), axis, keepdims=self.keepdims)
        count = jnp.sum(kept.astype(x.dtype), axis, keepdims=self.keepdims)
        return total / jnp.maximum(count, jnp.ones((), x.dtype))

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return None


class GlobalAveragePooling2D(GlobalPooling):
    """The mean of all rows and columns: (batch, rows, columns, channels) to (batch, channels).

    >>> GlobalAveragePooling2D()(jnp.ones((1, 7, 7, 3))).shape
    (1, 3)
    """

    rank: ClassVar[int] = 2
    reduce: ClassVar[Any] = staticmethod(jnp.mean)


class GlobalAveragePooling3D(GlobalPooling):
    """The mean of a whole volume: (batch, depth, rows, columns, channels) to (batch, channels).

    >>> GlobalAveragePooling3D(data_format="channels_first")(jnp.ones((1, 3, 7, 7, 7))).shape
    (1, 3)
    """

    rank: ClassVar[int] = 3
    reduce: ClassVar[Any] = staticmethod(jnp.mean)


GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
