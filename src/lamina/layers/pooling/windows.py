"""Layers that take the largest or the mean element of windows along the spatial axes."""

from __future__ import annotations

from typing import Any, ClassVar

import jax

from lamina._base.converters import checked, word
from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, per_axis, spatial_axes
from lamina._kernels import pooling
from lamina._layer.layer import Layer
from lamina.config import data_format
from lamina.errors import ShapeError

Array = jax.Array


class Pooling(Layer):
    """What the layers with a window share: `strides` is the window's size unless told.

    A length n becomes `(n - pool_size) // strides + 1` for "valid" padding, `ceil(n / strides)` for "same".
    """

    pool_size: Any
    strides: Any = None
    padding: str = setting(word("valid", "same"), default="valid")
    data_format: str | None = setting(data_format, default=None)

    kernel: ClassVar[Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        rank = len(self.pool_size)
        strides = self.pool_size if self.strides is None else self.strides
        self.strides = checked(type(self).__name__, "strides", per_axis(rank), strides)
        self.input_spec = InputSpec(ndim=rank + 2)

    def call(self, x: Array) -> Array:
        axes = spatial_axes(x.ndim, self.data_format)
        for axis, size in zip(axes, self.pool_size, strict=True):
            if self.padding == "valid" and isinstance(x.shape[axis], int) and x.shape[axis] < size:
                raise ShapeError(
                    f"wants at least {size} on axis {axis}, its pool_size, got {x.shape[axis]}; a smaller pool_size, "
                    'or padding="same", goes further'
                )
        y: Array = self.kernel(x, self.pool_size, self.strides, self.padding, axes)
        return y


class MaxPooling1D(Pooling):
    """The largest of every `pool_size` steps: (batch, steps, channels) to (batch, fewer steps, channels).

    >>> MaxPooling1D(2)(jax.numpy.array([[[1.0], [4.0], [2.0], [3.0]]]))[0, :, 0]
    Array([4., 3.], dtype=float32)
    """

    pool_size: Any = setting(per_axis(1), default=2)
    kernel: ClassVar[Any] = staticmethod(pooling.max_pool)


class MaxPooling2D(Pooling):
    """The largest of every `pool_size` of rows × columns: (batch, rows, columns, channels) to fewer of both.

    >>> MaxPooling2D()(jax.numpy.ones((1, 28, 28, 3))).shape
    (1, 14, 14, 3)
    """

    pool_size: Any = setting(per_axis(2), default=(2, 2))
    kernel: ClassVar[Any] = staticmethod(pooling.max_pool)


class MaxPooling3D(Pooling):
    """The largest of every `pool_size` of a volume: (batch, depth, rows, columns, channels) to fewer of each.

    >>> MaxPooling3D()(jax.numpy.ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    pool_size: Any = setting(per_axis(3), default=(2, 2, 2))
    kernel: ClassVar[Any] = staticmethod(pooling.max_pool)


class AveragePooling1D(Pooling):
    """The mean of every `pool_size` steps, of those that are no padding: (batch, steps, channels) to fewer steps.

    >>> AveragePooling1D(2)(jax.numpy.array([[[1.0], [4.0], [2.0], [3.0]]]))[0, :, 0]
    Array([2.5, 2.5], dtype=float32)
    """

    pool_size: Any = setting(per_axis(1))
    kernel: ClassVar[Any] = staticmethod(pooling.mean_pool)


class AveragePooling2D(Pooling):
    """The mean of every `pool_size` of rows × columns, of what is no padding: (batch, rows, columns, channels).

    >>> AveragePooling2D(2, strides=1, padding="same")(jax.numpy.ones((1, 3, 3, 1))).shape
    (1, 3, 3, 1)
    """

    pool_size: Any = setting(per_axis(2))
    kernel: ClassVar[Any] = staticmethod(pooling.mean_pool)


class AveragePooling3D(Pooling):
    """The mean of every `pool_size` of a volume, of what is no padding: (batch, depth, rows, columns, channels).

    >>> AveragePooling3D((1, 2, 2))(jax.numpy.ones((1, 4, 4, 4, 3))).shape
    (1, 4, 2, 2, 3)
    """

    pool_size: Any = setting(per_axis(3))
    kernel: ClassVar[Any] = staticmethod(pooling.mean_pool)


AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
