"""Layers that change the shape of their input: they move, repeat, cut off or add elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import spatial_axes
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.arguments import DataFormat, Sizes
from lamina._settings.converters import count, integer, one_of, per_axis, positive
from lamina._settings.settings import Converted, setting, value_of
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError


class Flatten(Layer):
    """Maps (batch, ...) to (batch, product of the other sizes), with the elements in the order of channels last.

    >>> Flatten()(jnp.ones((2, 3, 4))).shape
    (2, 12)

    Args:
        data_format: "channels_last" or "channels_first"; the latter's channels are first moved to the end. None means
            `config.image_data_format()`.
    """

    data_format: DataFormat = setting(data_format, default=None)

    _lamina_keeps_values: ClassVar[bool] = True
    """Whether each number in the output is one of the input's numbers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, x: Array) -> Array:  # (batch, ...)
        if self.data_format == "channels_first" and x.ndim > 2:
            x = jnp.moveaxis(x, 1, -1)
        return x.reshape((x.shape[0], math.prod(x.shape[1:])))


class Reshape(Layer):
    """Maps (batch, ...) to (batch, *target_shape) with the same elements in the same order.

    >>> Reshape((3, -1))(jnp.ones((2, 12))).shape
    (2, 3, 4)

    Args:
        target_shape: the sizes without the batch axis. One of them may be -1, which is computed from the others.
    """

    target_shape: Converted[Sequence[int], tuple[int, ...]] = setting()

    _lamina_keeps_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        given = value_of(self, "target_shape")
        if isinstance(given, str) or not hasattr(given, "__len__"):
            raise ArgumentError(f"Reshape takes a tuple of sizes: Reshape(({given!r},)).")
        try:
            sizes = tuple(integer(size) for size in given)
        except ArgumentError as error:
            raise ArgumentError(f"Reshape({given!r}): {error}") from None
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
    """Reorders the axes after the batch axis: axis `dims[i]` of the input becomes axis i + 1 of the output.

    >>> Permute((2, 1))(jnp.ones((5, 10, 64))).shape
    (5, 64, 10)

    Args:
        dims: a permutation of 1, 2, ...; the first axis after the batch axis is 1.
    """

    dims: Converted[Sequence[int], tuple[int, ...]] = setting()

    _lamina_keeps_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        given = value_of(self, "dims")
        dims = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        if any(isinstance(axis, str) for axis in dims) or sorted(map(str, dims)) != [
            *map(str, range(1, len(dims) + 1))
        ]:
            raise ArgumentError(f"Permute(dims={given!r}): expected each of 1, 2, ..., once, as in Permute((2, 1)).")
        self.dims = dims
        self.input_spec = InputSpec(ndim=len(dims) + 1)

    def call(self, x: Array) -> Array:
        return jnp.transpose(x, (0, *self.dims))


class RepeatVector(Layer):
    """Repeats each row `n` times: (batch, features) to (batch, n, features).

    >>> RepeatVector(3)(jnp.ones((2, 4))).shape
    (2, 3, 4)

    Args:
        n: the number of repetitions.
    """

    n: int = setting(positive)

    _lamina_keeps_values: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=2)

    def call(self, x: Array) -> Array:  # (batch, features)
        return jnp.broadcast_to(x[:, None], (x.shape[0], self.n, x.shape[1]))


_pair = per_axis(2, count)  # the counts at the start and at the end
Pair: TypeAlias = Converted[int | Sequence[int], tuple[int, int]]
Pairs: TypeAlias = Converted[int | Sequence[int | Sequence[int]], tuple[tuple[int, int], ...]]


class Spatial(Layer):
    """Base of the layers that work along 1, 2 or 3 spatial axes.

    Args:
        data_format: "channels_last" or "channels_first"; None for `config.image_data_format()`.
    """

    _lamina_rank: ClassVar[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self._lamina_rank + 2)


def _per_spatial_axis(layer: Spatial, name: str, x: Array) -> dict[int, Any]:
    """The value of a setting for each spatial axis of `x`; a layer for one such axis has one value."""
    axes, values = spatial_axes(x.ndim, getattr(layer, "data_format", None)), value_of(layer, name)
    return {axes[0]: values} if len(axes) == 1 else dict(zip(axes, values, strict=True))


class Cropping(Spatial):
    """Base of the layers that crop both ends of 1, 2 or 3 spatial axes."""

    def call(self, x: Array) -> Array:
        for axis, (before, after) in _per_spatial_axis(self, "cropping", x).items():
            size = x.shape[axis]
            if isinstance(size, int) and before + after >= size:
                raise ShapeError(f"expects more than {before + after} on axis {axis}, all that it crops, got {size}")
            x = lax.slice_in_dim(x, before, size - after, 1, axis)
        return x


class Cropping1D(Cropping):
    """Crops steps at the start and at the end: (batch, steps, channels) to fewer steps.

    >>> Cropping1D((1, 2))(jnp.ones((1, 10, 3))).shape
    (1, 7, 3)

    Args:
        cropping: the number of steps to remove at each end, or (at the start, at the end).
    """

    cropping: Pair = setting(_pair, default=(1, 1))
    _lamina_rank: ClassVar[int] = 1


class Cropping2D(Cropping):
    """Crops rows and columns: (batch, rows, columns, channels) to fewer rows and columns.

    >>> Cropping2D(((2, 2), (4, 4)))(jnp.ones((1, 28, 28, 3))).shape
    (1, 24, 20, 3)

    Args:
        cropping: one count for all four sides, one for each axis, or ((top, bottom), (left, right)).
    """

    cropping: Pairs = setting(per_axis(2, _pair), default=((0, 0), (0, 0)))
    data_format: DataFormat = setting(data_format, default=None)
    _lamina_rank: ClassVar[int] = 2


class Cropping3D(Cropping):
    """Crops the six sides of a volume: (batch, depth, rows, columns, channels) to smaller sizes.

    >>> Cropping3D((1, 1, 2))(jnp.ones((1, 8, 8, 8, 3))).shape
    (1, 6, 6, 4, 3)

    Args:
        cropping: one count for all six sides, one for each axis, or a pair (before, after) for each axis.
    """

    cropping: Pairs = setting(per_axis(3, _pair), default=((1, 1), (1, 1), (1, 1)))
    data_format: DataFormat = setting(data_format, default=None)
    _lamina_rank: ClassVar[int] = 3


class ZeroPadding(Spatial):
    """Base of the layers that add zeros at both ends of 1, 2 or 3 spatial axes."""

    def call(self, x: Array) -> Array:
        amounts = _per_spatial_axis(self, "padding", x)
        return jnp.pad(x, [amounts.get(axis, (0, 0)) for axis in range(x.ndim)])


class ZeroPadding1D(ZeroPadding):
    """Adds zeros before the first and after the last step: (batch, steps, channels) to more steps.

    >>> ZeroPadding1D((0, 2))(jnp.ones((1, 10, 3))).shape
    (1, 12, 3)

    Args:
        padding: the number of zeros at each end, or (at the start, at the end).
    """

    padding: Pair = setting(_pair, default=1)
    data_format: DataFormat = setting(data_format, default=None)
    _lamina_rank: ClassVar[int] = 1


class ZeroPadding2D(ZeroPadding):
    """Adds zeros around an image: (batch, rows, columns, channels) to more rows and columns.

    >>> ZeroPadding2D((1, 2))(jnp.ones((1, 28, 28, 3))).shape
    (1, 30, 32, 3)

    Args:
        padding: one count for all four sides, one for each axis, or ((top, bottom), (left, right)).
    """

    padding: Pairs = setting(per_axis(2, _pair), default=(1, 1))
    data_format: DataFormat = setting(data_format, default=None)
    _lamina_rank: ClassVar[int] = 2


class ZeroPadding3D(ZeroPadding):
    """Adds zeros around a volume: (batch, depth, rows, columns, channels) to larger sizes.

    >>> ZeroPadding3D(1)(jnp.ones((1, 8, 8, 8, 3))).shape
    (1, 10, 10, 10, 3)

    Args:
        padding: one count for all six sides, one for each axis, or a pair (before, after) for each axis.
    """

    padding: Pairs = setting(per_axis(3, _pair), default=((1, 1), (1, 1), (1, 1)))
    data_format: DataFormat = setting(data_format, default=None)
    _lamina_rank: ClassVar[int] = 3


class UpSampling(Spatial):
    """Base of the layers that repeat elements along 1, 2 or 3 spatial axes."""

    def call(self, x: Array) -> Array:
        for axis, size in _per_spatial_axis(self, "size", x).items():
            shape = x.shape  # (..., n, ...) to (..., n, size, ...) to (..., n * size, ...)
            x = jnp.broadcast_to(jnp.expand_dims(x, axis + 1), (*shape[: axis + 1], size, *shape[axis + 1 :]))
            x = x.reshape((*shape[:axis], shape[axis] * size, *shape[axis + 1 :]))
        return x


class UpSampling1D(UpSampling):
    """Repeats every step `size` times: (batch, steps, channels) to (batch, steps * size, channels).

    >>> UpSampling1D(2)(jnp.array([[[1.0], [2.0]]]))[0, :, 0]
    Array([1., 1., 2., 2.], dtype=float32)

    Args:
        size: the number of repetitions.
    """

    size: int = setting(positive, default=2)
    _lamina_rank: ClassVar[int] = 1


class UpSampling2D(UpSampling):
    """Enlarges an image by the factor `size`: (batch, rows, columns, channels) to more rows and columns.

    >>> UpSampling2D((2, 3), interpolation="bilinear")(jnp.ones((1, 4, 4, 3))).shape
    (1, 8, 12, 3)

    Args:
        size: the factor for both axes, or (for rows, for columns).
        interpolation: "nearest", which repeats elements, "bilinear", "bicubic", "lanczos3" or "lanczos5".
    """

    size: Sizes = setting(per_axis(2), default=(2, 2))
    data_format: DataFormat = setting(data_format, default=None)
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"] = setting(
        one_of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"), default="nearest"
    )
    _lamina_rank: ClassVar[int] = 2

    def call(self, x: Array) -> Array:
        if self.interpolation == "nearest":
            return super().call(x)
        factors = _per_spatial_axis(self, "size", x)
        shape = [size * factors.get(axis, 1) for axis, size in enumerate(x.shape)]
        whole = jnp.issubdtype(x.dtype, jnp.integer)
        y: Array = jax.image.resize(x.astype(jnp.float32) if whole else x, shape, self.interpolation, antialias=False)
        return jnp.round(y).astype(x.dtype) if whole else y.astype(x.dtype)


class UpSampling3D(UpSampling):
    """Repeats every element of a volume along each axis: (batch, depth, rows, columns, channels) to larger sizes.

    >>> UpSampling3D((1, 2, 2))(jnp.ones((1, 4, 4, 4, 3))).shape
    (1, 4, 8, 8, 3)

    Args:
        size: the factor for all axes, or one for each.
    """

    size: Sizes = setting(per_axis(3), default=(2, 2, 2))
    data_format: DataFormat = setting(data_format, default=None)
    _lamina_rank: ClassVar[int] = 3
