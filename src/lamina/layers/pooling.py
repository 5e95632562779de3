"""Layers that take the largest or the mean element of windows, or of everything, along the spatial axes."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina.config import data_format
from lamina.errors import ShapeError
from lamina.kernels import pooling
from lamina.layer import Layer
from lamina.settings import checked, flag, setting, word
from lamina.shapes import InputSpec, per_axis, spatial_axes

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

    def validate(self) -> None:
        super().validate()
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

    >>> MaxPooling1D(2)(jnp.array([[[1.0], [4.0], [2.0], [3.0]]]))[0, :, 0]
    Array([4., 3.], dtype=float32)
    """

    pool_size: Any = setting(per_axis(1), default=2)
    kernel: ClassVar[Any] = staticmethod(pooling.max_pool)


class MaxPooling2D(Pooling):
    """The largest of every `pool_size` of rows × columns: (batch, rows, columns, channels) to fewer of both.

    >>> MaxPooling2D()(jnp.ones((1, 28, 28, 3))).shape
    (1, 14, 14, 3)
    """

    pool_size: Any = setting(per_axis(2), default=(2, 2))
    kernel: ClassVar[Any] = staticmethod(pooling.max_pool)


class MaxPooling3D(Pooling):
    """The largest of every `pool_size` of a volume: (batch, depth, rows, columns, channels) to fewer of each.

    >>> MaxPooling3D()(jnp.ones((1, 4, 4, 4, 3))).shape
    (1, 2, 2, 2, 3)
    """

    pool_size: Any = setting(per_axis(3), default=(2, 2, 2))
    kernel: ClassVar[Any] = staticmethod(pooling.max_pool)


class AveragePooling1D(Pooling):
    """The mean of every `pool_size` steps, of those that are no padding: (batch, steps, channels) to fewer steps.

    >>> AveragePooling1D(2)(jnp.array([[[1.0], [4.0], [2.0], [3.0]]]))[0, :, 0]
    Array([2.5, 2.5], dtype=float32)
    """

    pool_size: Any = setting(per_axis(1))
    kernel: ClassVar[Any] = staticmethod(pooling.mean_pool)


class AveragePooling2D(Pooling):
    """The mean of every `pool_size` of rows × columns, of what is no padding: (batch, rows, columns, channels).

    >>> AveragePooling2D(2, strides=1, padding="same")(jnp.ones((1, 3, 3, 1))).shape
    (1, 3, 3, 1)
    """

    pool_size: Any = setting(per_axis(2))
    kernel: ClassVar[Any] = staticmethod(pooling.mean_pool)


class AveragePooling3D(Pooling):
    """The mean of every `pool_size` of a volume, of what is no padding: (batch, depth, rows, columns, channels).

    >>> AveragePooling3D((1, 2, 2))(jnp.ones((1, 4, 4, 4, 3))).shape
    (1, 4, 2, 2, 3)
    """

    pool_size: Any = setting(per_axis(3))
    kernel: ClassVar[Any] = staticmethod(pooling.mean_pool)


class GlobalPooling(Layer):
    """What the layers that reduce all spatial axes share; `keepdims` leaves these with size 1."""

    data_format: str | None = setting(data_format, default=None)
    keepdims: bool = setting(flag, default=False)

    rank: ClassVar[int]
    reduce: ClassVar[Any]

    def prepare(self) -> None:
        super().prepare()
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
    reduce: ClassVar[Any] = staticmethod(jnp.max)


class GlobalMaxPooling2D(GlobalPooling):
    """The largest of all rows and columns: (batch, rows, columns, channels) to (batch, channels).

    >>> GlobalMaxPooling2D()(jnp.ones((1, 7, 7, 3))).shape
    (1, 3)
    """

    rank: ClassVar[int] = 2
    reduce: ClassVar[Any] = staticmethod(jnp.max)


class GlobalMaxPooling3D(GlobalPooling):
    """The largest of a whole volume: (batch, depth, rows, columns, channels) to (batch, channels).

    >>> GlobalMaxPooling3D(keepdims=True)(jnp.ones((1, 7, 7, 7, 3))).shape
    (1, 1, 1, 1, 3)
    """

    rank: ClassVar[int] = 3
    reduce: ClassVar[Any] = staticmethod(jnp.max)


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


class AdaptivePooling(Layer):
    """What the layers share whose output has a given size: window i of k over n elements is [⌊i n/k⌋, ⌈(i+1) n/k⌉)."""

    output_size: Any
    data_format: str | None = setting(data_format, default=None)

    kernel: ClassVar[Any]

    def validate(self) -> None:
        super().validate()
        self.input_spec = InputSpec(ndim=len(self.output_size) + 2)

    def call(self, x: Array) -> Array:
        y: Array = self.kernel(x, self.output_size, spatial_axes(x.ndim, self.data_format))
        return y


class AdaptiveMaxPooling1D(AdaptivePooling):
    """The largest of each of `output_size` windows: (batch, steps, channels) to (batch, output_size, channels).

    >>> AdaptiveMaxPooling1D(2)(jnp.array([[[1.0], [4.0], [2.0], [3.0], [0.0]]]))[0, :, 0]
    Array([4., 3.], dtype=float32)
    """

    output_size: Any = setting(per_axis(1))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_max_pool)


class AdaptiveMaxPooling2D(AdaptivePooling):
    """The largest of each of `output_size` windows: (batch, rows, columns, channels) to (batch, *sizes, channels).

    >>> AdaptiveMaxPooling2D((3, 2))(jnp.ones((1, 7, 7, 3))).shape
    (1, 3, 2, 3)
    """

    output_size: Any = setting(per_axis(2))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_max_pool)


class AdaptiveMaxPooling3D(AdaptivePooling):
    """The largest of each of `output_size` windows of a volume: (batch, *sizes, channels).

    >>> AdaptiveMaxPooling3D(2)(jnp.ones((1, 7, 6, 5, 3))).shape
    (1, 2, 2, 2, 3)
    """

    output_size: Any = setting(per_axis(3))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_max_pool)


class AdaptiveAveragePooling1D(AdaptivePooling):
    """The mean of each of `output_size` windows: (batch, steps, channels) to (batch, output_size, channels).

    >>> AdaptiveAveragePooling1D(2)(jnp.array([[[1.0], [4.0], [1.0], [3.0], [2.0]]]))[0, :, 0]
    Array([2., 2.], dtype=float32)
    """

    output_size: Any = setting(per_axis(1))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_mean_pool)


class AdaptiveAveragePooling2D(AdaptivePooling):
    """The mean of each of `output_size` windows: (batch, rows, columns, channels) to (batch, *output_size, channels).

    >>> AdaptiveAveragePooling2D(1)(jnp.ones((1, 7, 7, 3))).shape
    (1, 1, 1, 3)
    """

    output_size: Any = setting(per_axis(2))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_mean_pool)


class AdaptiveAveragePooling3D(AdaptivePooling):
    """The mean of each of `output_size` windows of a volume: (batch, *sizes, channels).

    >>> AdaptiveAveragePooling3D((1, 2, 3))(jnp.ones((1, 7, 6, 5, 3))).shape
    (1, 1, 2, 3, 3)
    """

    output_size: Any = setting(per_axis(3))
    kernel: ClassVar[Any] = staticmethod(pooling.adaptive_mean_pool)


AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
