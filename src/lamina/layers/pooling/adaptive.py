"""Layers that split the spatial axes into a given number of windows, and reduce each window to one element."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import spatial_axes
from lamina._kernels import pooling
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.arguments import DataFormat, Sizes
from lamina._settings.converters import per_axis, up_to
from lamina._settings.settings import setting
from lamina.config import data_format

MOST = 2**16
"""The largest output size along an axis, since the windows are listed while the program is traced."""


class AdaptivePooling(Layer):
    """A pooling layer whose output size is given, whatever the size of its input.

    On an axis with n elements, window i of k covers the elements from ⌊i n / k⌋ up to, but not including,
    ⌈(i + 1) n / k⌉.

    Args:
        output_size: the size of the output, one number for all spatial axes or one for each.
        data_format: "channels_last" for (batch, *sizes, channels), "channels_first" for (batch, channels, *sizes);
            None for the default, `lamina.config.image_data_format()`.
    """

    output_size: Sizes
    data_format: DataFormat = setting(data_format, default=None)

    _lamina_pool: ClassVar[Callable[..., Array]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=len(self.output_size) + 2)

    def call(self, x: Array) -> Array:
        return self._lamina_pool(x, self.output_size, spatial_axes(x.ndim, self.data_format))


class _AdaptiveMaxPooling(AdaptivePooling):
    _lamina_pool: ClassVar[Callable[..., Array]] = staticmethod(pooling.adaptive_max_pool)


class _AdaptiveAveragePooling(AdaptivePooling):
    _lamina_makes_floats: ClassVar[bool] = True
    _lamina_pool: ClassVar[Callable[..., Array]] = staticmethod(pooling.adaptive_mean_pool)


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """The maximum of each of `output_size` windows: (batch, steps, channels) to (batch, output_size, channels).

    >>> import numpy as np
    >>> AdaptiveMaxPooling1D(2)(np.array([[[1.0], [4.0], [2.0], [3.0], [0.0]]]))[0, :, 0]
    Array([4., 3.], dtype=float32)
    """

    output_size: Sizes = setting(per_axis(1, up_to(MOST)))


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The maximum of each window: (batch, rows, columns, channels) to (batch, *output_size, channels).

    >>> import numpy as np
    >>> AdaptiveMaxPooling2D((3, 2))(np.ones((1, 7, 7, 3))).shape
    (1, 3, 2, 3)
    """

    output_size: Sizes = setting(per_axis(2, up_to(MOST)))


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """The maximum of each window: (batch, depth, rows, columns, channels) to (batch, *output_size, channels).

    >>> import numpy as np
    >>> AdaptiveMaxPooling3D(2)(np.ones((1, 7, 6, 5, 3))).shape
    (1, 2, 2, 2, 3)
    """

    output_size: Sizes = setting(per_axis(3, up_to(MOST)))


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """The mean of each of `output_size` windows: (batch, steps, channels) to (batch, output_size, channels).

    >>> import numpy as np
    >>> AdaptiveAveragePooling1D(2)(np.array([[[1.0], [4.0], [1.0], [3.0], [2.0]]]))[0, :, 0]
    Array([2., 2.], dtype=float32)
    """

    output_size: Sizes = setting(per_axis(1, up_to(MOST)))


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The mean of each window: (batch, rows, columns, channels) to (batch, *output_size, channels).

    >>> import numpy as np
    >>> AdaptiveAveragePooling2D(1)(np.ones((1, 7, 7, 3))).shape
    (1, 1, 1, 3)
    """

    output_size: Sizes = setting(per_axis(2, up_to(MOST)))


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """The mean of each window: (batch, depth, rows, columns, channels) to (batch, *output_size, channels).

    >>> import numpy as np
    >>> AdaptiveAveragePooling3D((1, 2, 3))(np.ones((1, 7, 6, 5, 3))).shape
    (1, 1, 2, 3, 3)
    """

    output_size: Sizes = setting(per_axis(3, up_to(MOST)))
