"""Layers that move elements and compute nothing."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina._base.converters import count, integer, one_of, positive
from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, per_axis, spatial_axes
from lamina._layer.layer import Layer
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError

Array = jax.Array


class Flatten(Layer):
    """Maps (batch, ...) to (batch, product of the rest), channels last.

    >>> Flatten()(jnp.ones((2, 3, 4))).shape
    (2, 12)
    """

    data_format: str | None = setting(data_format, default=None)

    _lamina_keeps_values: ClassVar[bool] = True
    """Whether each number in the output is one of the input's."""

    def __post_init__(self) -> None:
        super().__post_init__()
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

    _lamina_keeps_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.target_shape, str) or not hasattr(self.target_shape, "__len__"):
            raise ArgumentError(f"Reshape takes a tuple of sizes: Reshape(({self.target_shape!r},)).")
        try:
            sizes = tuple(integer(size) for size in self.target_shape)
        except ArgumentError as error:
            raise ArgumentError(f"Reshape({self.target_shape!r}): {error}") from None
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


class Permute(Layer):
    """Moves the axes after the batch's: axis `dims[i]` of the input, counted from 1, becomes axis i + 1.

    >>> Permute((2, 1))(jnp.ones((5, 10, 64))).shape
    (5, 64, 10)
    """

    dims: Any

    _lamina_keeps_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        dims = tuple(self.dims) if isinstance(self.dims, (tuple, list)) else (self.dims,)
        if any(isinstance(axis, str) for axis in dims) or sorted(map(str, dims)) != [
            *map(str, range(1, len(dims) + 1))
        ]:
            raise ArgumentError(
                f"Permute(dims={self.dims!r}): expected each of 1, 2, ..., once, as in Permute((2, 1))."
            )
        self.dims = dims
        self.input_spec = InputSpec(ndim=len(dims) + 1)

    def call(self, x: Array) -> Array:
        return jnp.transpose(x, (0, *self.dims))


class RepeatVector(Layer):
    """Repeats each row: (batch, features) to (batch, n, features).

    >>> RepeatVector(3)(jnp.ones((2, 4))).shape
    (2, 3, 4)
    """

    n: int = setting(positive)

    _lamina_keeps_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=2)

    def call(self, x: Array) -> Array:  # (batch, features)
        return jnp.broadcast_to(x[:, None], (x.shape[0], self.n, x.shape[1]))


_pair = per_axis(2, count)  # before and after


class Cropping(Layer):
    """What the cropping layers share: a pair of counts for each spatial axis."""

    cropping: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pairs = (self.cropping,) if isinstance(self.cropping[0], int) else self.cropping
        self.input_spec = InputSpec(ndim=len(self._pairs) + 2)

    def call(self, x: Array) -> Array:
        axes = spatial_axes(x.ndim, getattr(self, "data_format", None))
        for axis, (before, after) in zip(axes, self._pairs, strict=True):
            size = x.shape[axis]
            if isinstance(size, int) and before + after >= size:
                raise ShapeError(f"wants more than {before + after} on axis {axis}, all that it crops, got {size}")
            x = lax.slice_in_dim(x, before, size - after, 1, axis)
        return x


class Cropping1D(Cropping):
    """Cuts steps off at the start and the end: (batch, steps, channels) to fewer steps.

    >>> Cropping1D((1, 2))(jnp.ones((1, 10, 3))).shape
    (1, 7, 3)
    """

    cropping: Any = setting(_pair, default=(1, 1))


class Cropping2D(Cropping):
    """Cuts rows and columns off: `cropping` is one count, one a side pair, or ((top, bottom), (left, right)).

    >>> Cropping2D(((2, 2), (4, 4)))(jnp.ones((1, 28, 28, 3))).shape
    (1, 24, 20, 3)
    """

    cropping: Any = setting(per_axis(2, _pair), default=((0, 0), (0, 0)))
    data_format: str | None = setting(data_format, default=None)


class Cropping3D(Cropping):
    """Cuts the six sides of a volume: `cropping` is one count, or one or a pair for each of three axes.

    >>> Cropping3D((1, 1, 2))(jnp.ones((1, 8, 8, 8, 3))).shape
    (1, 6, 6, 4, 3)
    """

    cropping: Any = setting(per_axis(3, _pair), default=((1, 1), (1, 1), (1, 1)))
    data_format: str | None = setting(data_format, default=None)


class ZeroPadding(Layer):
    """What the layers that add zeros share: a pair of counts for each spatial axis."""

    padding: Any
    data_format: str | None = setting(data_format, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pairs = (self.padding,) if isinstance(self.padding[0], int) else self.padding
        self.input_spec = InputSpec(ndim=len(self._pairs) + 2)

    def call(self, x: Array) -> Array:
        amounts = dict(zip(spatial_axes(x.ndim, self.data_format), self._pairs, strict=True))
        return jnp.pad(x, [amounts.get(axis, (0, 0)) for axis in range(x.ndim)])


class ZeroPadding1D(ZeroPadding):
    """Puts zeros before the first and after the last step: (batch, steps, channels) to more steps.

    >>> ZeroPadding1D((0, 2))(jnp.ones((1, 10, 3))).shape
    (1, 12, 3)
    """

    padding: Any = setting(_pair, default=1)


class ZeroPadding2D(ZeroPadding):
    """Puts zeros around an image: `padding` is one count, one for each axis, or ((top, bottom), (left, right)).

    >>> ZeroPadding2D((1, 2))(jnp.ones((1, 28, 28, 3))).shape
    (1, 30, 32, 3)
    """

    padding: Any = setting(per_axis(2, _pair), default=(1, 1))


class ZeroPadding3D(ZeroPadding):
    """Puts zeros around a volume: `padding` is one count, or one or a pair for each of three axes.

    >>> ZeroPadding3D(1)(jnp.ones((1, 8, 8, 8, 3))).shape
    (1, 10, 10, 10, 3)
    """

    padding: Any = setting(per_axis(3, _pair), default=((1, 1), (1, 1), (1, 1)))


class UpSampling(Layer):
    """What the upsampling layers share: axis i becomes `size[i]` times as long, each element repeated."""

    size: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sizes = (self.size,) if isinstance(self.size, int) else self.size
        self.input_spec = InputSpec(ndim=len(self._sizes) + 2)

    def call(self, x: Array) -> Array:
        axes = spatial_axes(x.ndim, getattr(self, "data_format", None))
        for axis, size in zip(axes, self._sizes, strict=True):
            shape = x.shape  # (..., n, ...) to (..., n, size, ...) to (..., n * size, ...)
            x = jnp.broadcast_to(jnp.expand_dims(x, axis + 1), (*shape[: axis + 1], size, *shape[axis + 1 :]))
            x = x.reshape((*shape[:axis], shape[axis] * size, *shape[axis + 1 :]))
        return x


class UpSampling1D(UpSampling):
    """Repeats every step `size` times: (batch, steps, channels) to (batch, steps * size, channels).

    >>> UpSampling1D(2)(jnp.array([[[1.0], [2.0]]]))[0, :, 0]
    Array([1., 1., 2., 2.], dtype=float32)
    """

    size: int = setting(positive, default=2)


class UpSampling2D(UpSampling):
    """Makes an image `size` times as large: (batch, rows, columns, channels) to more rows and columns.

    `interpolation` is "nearest" (elements are repeated), "bilinear", "bicubic", "lanczos3" or "lanczos5".

    >>> UpSampling2D((2, 3), interpolation="bilinear")(jnp.ones((1, 4, 4, 3))).shape
    (1, 8, 12, 3)
    """

    size: Any = setting(per_axis(2), default=(2, 2))
    data_format: str | None = setting(data_format, default=None)
    interpolation: str = setting(one_of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"), default="nearest")

    def call(self, x: Array) -> Array:
        if self.interpolation == "nearest":
            return super().call(x)
        factors = dict(zip(spatial_axes(4, self.data_format), self.size, strict=True))
        shape = [size * factors.get(axis, 1) for axis, size in enumerate(x.shape)]
        y: Array = jax.image.resize(x, shape, self.interpolation, antialias=False)
        return y.astype(x.dtype)


class UpSampling3D(UpSampling):
    """Repeats every element of a volume `size` times along each axis: (batch, depth, rows, columns, channels).

    >>> UpSampling3D((1, 2, 2))(jnp.ones((1, 4, 4, 4, 3))).shape
    (1, 4, 8, 8, 3)
    """

    size: Any = setting(per_axis(3), default=(2, 2, 2))
    data_format: str | None = setting(data_format, default=None)
