"""Layers that take the maximum or the mean of windows of a fixed size along the spatial axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import spatial_axes
from lamina._kernels import pooling
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.arguments import DataFormat, Name, Sizes
from lamina._settings.converters import checked, per_axis, word
from lamina._settings.settings import Converted, setting
from lamina.config import data_format
from lamina.errors import ShapeError


class Pooling(Layer):
    """A layer that reduces each window of `pool_size` elements to one.

    A length n becomes `(n - pool_size) // strides + 1` for "valid" padding, `ceil(n / strides)` for "same".

    Args:
        pool_size: the size of the window, one number for all axes or one for each.
        strides: the distance between two windows, one number or one for each axis. None means `pool_size`, so that the
            windows are adjacent.
        padding: "valid" for no padding; "same" for padding at both ends that does not change the result of a window.
        data_format: "channels_last" for (batch, *sizes, channels), "channels_first" for (batch, channels, *sizes);
            None for the default, `lamina.config.image_data_format()`.
    """

    name: Name = setting(init=False)
    pool_size: Sizes
    strides: Converted[int | Sequence[int] | None, tuple[int, ...]] = setting(default=None)
    padding: Literal["valid", "same"] = setting(word("valid", "same"), default="valid")
    data_format: DataFormat = setting(data_format, default=None)
    _lamina_name: Name = setting(default=None, alias="name")

    _lamina_pool: ClassVar[Callable[..., Array]]

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
                    f"expects at least {size} on axis {axis}, its pool_size, got {x.shape[axis]}: take a smaller "
                    "pool_size or padding='same'"
                )
        return self._lamina_pool(x, self.pool_size, self.strides, self.padding, axes)


class _MaxPooling(Pooling):
    _lamina_pool: ClassVar[Callable[..., Array]] = staticmethod(pooling.max_pool)


class _AveragePooling(Pooling):
    _lamina_pool: ClassVar[Callable[..., Array]] = staticmethod(pooling.mean_pool)


class MaxPooling1D(_MaxPooling):
    """The maximum of each window of `pool_size` steps: (batch, steps, channels) to (batch, new steps, channels).

    >>> import numpy as np
    >>> MaxPooling1D(2)(np.array([[[1.0], [4.0], [2.0], [3.0]]]))[0, :, 0]
    Array([4., 3.], dtype=float32)
    """

    pool_size: Sizes = setting(per_axis(1), default=2)


class MaxPooling2D(_MaxPooling):
    """The maximum of each window: (batch, rows, columns, channels) to (batch, new rows, new columns, channels).

    >>> import numpy as np
    >>> MaxPooling2D()(np.ones((1, 28, 28, 3))).shape
    (1, 14, 14, 3)
    """

    pool_size: Sizes = setting(per_axis(2), default=(2, 2))


class MaxPooling3D(_MaxPooling):
    """The maximum of each window of a volume, (batch, depth, rows, columns, channels).

    The output is (batch, new depth, new rows, new columns, channels).

    >>> import numpy as np
    >>> MaxPooling3D()(np.ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    pool_size: Sizes = setting(per_axis(3), default=(2, 2, 2))


class AveragePooling1D(_AveragePooling):
    """The mean of each window of `pool_size` steps: (batch, steps, channels) to (batch, new steps, channels).

    Padding does not count: the mean is over the elements of the window that belong to the input.

    >>> import numpy as np
    >>> AveragePooling1D(2)(np.array([[[1.0], [4.0], [2.0], [3.0]]]))[0, :, 0]
    Array([2.5, 2.5], dtype=float32)
    """

    pool_size: Sizes = setting(per_axis(1))


class AveragePooling2D(_AveragePooling):
    """The mean of each window: (batch, rows, columns, channels) to (batch, new rows, new columns, channels).

    Padding does not count: the mean is over the elements of the window that belong to the input.

    >>> import numpy as np
    >>> AveragePooling2D(2, strides=1, padding="same")(np.ones((1, 3, 3, 1))).shape
    (1, 3, 3, 1)
    """

    pool_size: Sizes = setting(per_axis(2))


class AveragePooling3D(_AveragePooling):
    """The mean of each window of a volume, (batch, depth, rows, columns, channels).

    The output is (batch, new depth, new rows, new columns, channels). Padding does not count: the mean is over the
    elements of the window that belong to the input.

    >>> import numpy as np
    >>> AveragePooling3D((1, 2, 2))(np.ones((1, 4, 4, 4, 3))).shape
    (1, 4, 2, 2, 3)
    """

    pool_size: Sizes = setting(per_axis(3))


AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
