"""Layers that take the maximum or the mean over all spatial axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import spatial_axes
from lamina._kernels.pooling import largest
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.arguments import DataFormat
from lamina._settings.converters import flag
from lamina._settings.settings import setting
from lamina.config import data_format


class GlobalPooling(Layer):
    """A layer that reduces all spatial axes to one element for each channel.

    Args:
        data_format: "channels_last" for (batch, *sizes, channels), "channels_first" for (batch, channels, *sizes);
            None for the default, `lamina.config.image_data_format()`.
        keepdims: whether the output keeps the spatial axes with size 1.
    """

    data_format: DataFormat = setting(data_format, default=None)
    keepdims: bool = setting(flag, default=False)

    _lamina_rank: ClassVar[int]
    """The number of spatial axes of the input."""
    _lamina_reduce: ClassVar[Callable[..., Array]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self._lamina_rank + 2)

    def call(self, x: Array) -> Array:
        return self._lamina_reduce(x, spatial_axes(x.ndim, self.data_format), keepdims=self.keepdims)


class _GlobalMaxPooling(GlobalPooling):
    _lamina_reduce: ClassVar[Callable[..., Array]] = staticmethod(largest)


class _GlobalAveragePooling(GlobalPooling):
    _lamina_reduce: ClassVar[Callable[..., Array]] = staticmethod(jnp.mean)


class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The maximum over all steps: (batch, steps, channels) to (batch, channels).

    >>> GlobalMaxPooling1D()(jnp.array([[[1.0], [4.0], [2.0]]]))
    Array([[4.]], dtype=float32)
    """

    _lamina_rank: ClassVar[int] = 1


class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The maximum over all rows and columns: (batch, rows, columns, channels) to (batch, channels).

    >>> GlobalMaxPooling2D()(jnp.ones((1, 7, 7, 3))).shape
    (1, 3)
    """

    _lamina_rank: ClassVar[int] = 2


class GlobalMaxPooling3D(_GlobalMaxPooling):
    """The maximum over a whole volume: (batch, depth, rows, columns, channels) to (batch, channels).

    >>> GlobalMaxPooling3D(keepdims=True)(jnp.ones((1, 7, 7, 7, 3))).shape
    (1, 1, 1, 1, 3)
    """

    _lamina_rank: ClassVar[int] = 3


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean over the steps that are not masked: (batch, steps, channels) to (batch, channels).

    A sample with all steps masked gives 0, where Keras divides by 0.

    >>> GlobalAveragePooling1D()(jnp.array([[[1.0], [4.0]]]), mask=jnp.array([[True, False]]))
    Array([[1.]], dtype=float32)
    """

    _lamina_rank: ClassVar[int] = 1
    supports_masking: ClassVar[bool] = True

    def call(self, x: Array, mask: Array | None = None) -> Array:
        if mask is None:
            return super().call(x)
        (axis,) = spatial_axes(x.ndim, self.data_format)
        kept = jnp.expand_dims(mask.astype(bool), 3 - axis)  # (batch, steps, 1), or (batch, 1, steps)
        total = jnp.sum(jnp.where(kept, x, jnp.zeros((), x.dtype)), axis, keepdims=self.keepdims)
        count = jnp.sum(kept.astype(x.dtype), axis, keepdims=self.keepdims)
        return total / jnp.maximum(count, jnp.ones((), x.dtype))

    def compute_mask(self, x: object, mask: object = None) -> None:
        """No mask: the output has no steps."""


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean over all rows and columns: (batch, rows, columns, channels) to (batch, channels).

    >>> GlobalAveragePooling2D()(jnp.ones((1, 7, 7, 3))).shape
    (1, 3)
    """

    _lamina_rank: ClassVar[int] = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """The mean over a whole volume: (batch, depth, rows, columns, channels) to (batch, channels).

    >>> GlobalAveragePooling3D(data_format="channels_first")(jnp.ones((1, 3, 7, 7, 7))).shape
    (1, 3)
    """

    _lamina_rank: ClassVar[int] = 3


GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
