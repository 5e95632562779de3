"""Layers that take the largest or the mean element of as many windows as the output is to have."""

from __future__ import annotations

from typing import Any, ClassVar

import jax

from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, per_axis, spatial_axes
from lamina._kernels import pooling
from lamina._layer.layer import Layer
from lamina.config import data_format

Array = jax.Array


class AdaptivePooling(Layer):
    """What the layers share whose output has a given size: window i of k over n elements is [⌊i n/k⌋, ⌈(i+1) n/k⌉)."""

    output_size: Any
    data_format: str | None = setting(data_format, default=None)

    kernel: ClassVar[Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=len(self.output_size) + 2)

    def call(self, x: Array) -> Array:
        y: Array = self.kernel(x, self.output_size, spatial_axes(x.ndim, self.data_format))
        return y


class AdaptiveMaxPooling1D(AdaptivePooling):
    """The largest of each of `output_size` windows: (batch, steps, channels) to (batch, output_size, channels).

    >>> AdaptiveMaxPooling1D(2)(jax.numpy.array([[[1.0], [4.0], [2.0], [3.0], [0.0]]]))[0, :, 0]
    Array([4., 3.], dtype=float32)
    """

    output_size: Any = setting(per_axis(1))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_max_pool)


class AdaptiveMaxPooling2D(AdaptivePooling):
    """The largest of each of `output_size` windows: (batch, rows, columns, channels) to (batch, *sizes, channels).

    >>> AdaptiveMaxPooling2D((3, 2))(jax.numpy.ones((1, 7, 7, 3))).shape
    (1, 3, 2, 3)
    """

    output_size: Any = setting(per_axis(2))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_max_pool)


class AdaptiveMaxPooling3D(AdaptivePooling):
    """The largest of each of `output_size` windows of a volume: (batch, *sizes, channels).

    >>> AdaptiveMaxPooling3D(2)(jax.numpy.ones((1, 7, 6, 5, 3))).shape
    (1, 2, 2, 2, 3)
    """

    output_size: Any = setting(per_axis(3))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_max_pool)


class AdaptiveAveragePooling1D(AdaptivePooling):
    """The mean of each of `output_size` windows: (batch, steps, channels) to (batch, output_size, channels).

    >>> AdaptiveAveragePooling1D(2)(jax.numpy.array([[[1.0], [4.0], [1.0], [3.0], [2.0]]]))[0, :, 0]
    Array([2., 2.], dtype=float32)
    """

    output_size: Any = setting(per_axis(1))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_mean_pool)


class AdaptiveAveragePooling2D(AdaptivePooling):
    """The mean of each of `output_size` windows: (batch, rows, columns, channels) to (batch, *output_size, channels).

    >>> AdaptiveAveragePooling2D(1)(jax.numpy.ones((1, 7, 7, 3))).shape
    (1, 1, 1, 3)
    """

    output_size: Any = setting(per_axis(2))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_mean_pool)


class AdaptiveAveragePooling3D(AdaptivePooling):
    """The mean of each of `output_size` windows of a volume: (batch, *sizes, channels).

    >>> AdaptiveAveragePooling3D((1, 2, 3))(jax.numpy.ones((1, 7, 6, 5, 3))).shape
    (1, 1, 2, 3, 3)
    """

    output_size: Any = setting(per_axis(3))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_mean_pool)
