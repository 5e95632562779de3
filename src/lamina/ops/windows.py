"""Functions of Keras's `ops.nn` and `ops.image` that move a window: convolution, pooling, patches, blocks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import spatial_axes
from lamina._kernels import pooling
from lamina._kernels.convolution import convolve, convolve_transposed
from lamina._kernels.window import spread
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import per_axis, word
from lamina.config import data_format as known_format
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.convolution.depthwise import convolve_channels
from lamina.ops.tensors import Tensor, tensor

Sizes = int | Sequence[int]
padding_word = word("valid", "same")


def channels_last(function: Callable[[Array], Array], x: Array, data_format: str | None) -> Array:
    """`function` of x with the channels on the last axis; the result has them where `data_format` says."""
    if known_format(data_format) == "channels_last":
        return function(x)
    return jnp.moveaxis(function(jnp.moveaxis(x, 1, -1)), -1, 1)


def _spatial(x: Array, function: str) -> int:
    if not 3 <= x.ndim <= 5:
        raise ShapeError(f"{function} takes (batch, ..., channels) with 1 to 3 axes between them, got {x.shape}.")
    return x.ndim - 2


def _pooled(
    pool: Callable[..., Array], inputs: Tensor, window: Sizes, strides: Sizes | None, padding: str, layout: str | None
) -> Array:
    x = tensor(inputs)
    sizes = per_axis(_spatial(x, "pooling"))
    window = sizes(window)
    steps = window if strides is None else sizes(strides)
    axes = spatial_axes(x.ndim, known_format(layout))
    _room([x.shape[axis] for axis in axes], window, padding)
    pooled: Array = pool(x, window, steps, padding_word(padding), axes)
    return pooled


def _room(sizes: Sequence[int], window: Sequence[int], padding: str) -> None:
    """Raise an error if a window is larger than the axes that it moves over and there is no padding."""
    if padding_word(padding) == "valid" and any(n < k for n, k in zip(sizes, window, strict=True)):
        raise ShapeError(f"a window of {tuple(window)} is larger than {tuple(sizes)}: take padding='same'.")


@user_facing
def max_pool(
    inputs: Tensor, pool_size: Sizes, strides: Sizes | None = None, padding: str = "valid",
    data_format: str | None = None,
) -> Array:  # fmt: skip
    """The maximum of each window of `pool_size`; the windows are `strides` apart, by default `pool_size`."""
    return _pooled(pooling.max_pool, inputs, pool_size, strides, padding, data_format)


@user_facing
def average_pool(
    inputs: Tensor, pool_size: Sizes, strides: Sizes | None = None, padding: str = "valid",
    data_format: str | None = None,
) -> Array:  # fmt: skip
    """The mean of each window of `pool_size`, without padding; the windows are `strides` apart."""
    return _pooled(pooling.mean_pool, inputs, pool_size, strides, padding, data_format)


@user_facing
def adaptive_max_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Array:
    """The maximum of each of `output_size` windows, which cover the axes as evenly as possible."""
    x = tensor(inputs)
    sizes = per_axis(_spatial(x, "adaptive_max_pool"))(output_size)
    return pooling.adaptive_max_pool(x, sizes, spatial_axes(x.ndim, known_format(data_format)))


@user_facing
def adaptive_average_pool(inputs: Tensor, output_size: Sizes, data_format: str | None = None) -> Array:
    """The mean of each of `output_size` windows, which cover the axes as evenly as possible."""
    x = tensor(inputs)
    sizes = per_axis(_spatial(x, "adaptive_average_pool"))(output_size)
    return pooling.adaptive_mean_pool(x, sizes, spatial_axes(x.ndim, known_format(data_format)))


@user_facing
def conv(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Array:  # fmt: skip
    """The convolution of (batch, ..., channels) with a kernel (*window, channels / groups, filters)."""
    kernel = tensor(kernel)
    x = tensor(inputs).astype(kernel.dtype)
    sizes = per_axis(_spatial(x, "conv"))

    def convolved(x: Array) -> Array:
        if x.shape[-1] % kernel.shape[-2]:
            raise ShapeError(f"conv: {x.shape[-1]} channels cannot be parted into groups of {kernel.shape[-2]}.")
        groups = x.shape[-1] // kernel.shape[-2]
        _room(x.shape[1:-1], spread(kernel.shape[:-2], sizes(dilation_rate)), padding)
        return convolve(x, kernel, sizes(strides), padding_word(padding), sizes(dilation_rate), groups)

    return channels_last(convolved, x, data_format)


@user_facing
def depthwise_conv(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Array:  # fmt: skip
    """The convolution of each channel with its own kernels: (*window, channels, multiplier)."""
    x, kernel = tensor(inputs), tensor(kernel)
    sizes = per_axis(_spatial(x, "depthwise_conv"))

    def convolved(x: Array) -> Array:
        if x.shape[-1] != kernel.shape[-2]:
            raise ShapeError(f"depthwise_conv: {x.shape[-1]} channels, and a kernel for {kernel.shape[-2]}.")
        _room(x.shape[1:-1], spread(kernel.shape[:-2], sizes(dilation_rate)), padding)
        return convolve_channels(x, kernel, sizes(strides), padding_word(padding), sizes(dilation_rate))

    return channels_last(convolved, x, data_format)


@user_facing
def separable_conv(
    inputs: Tensor, depthwise_kernel: Tensor, pointwise_kernel: Tensor, strides: Sizes = 1, padding: str = "valid",
    data_format: str | None = None, dilation_rate: Sizes = 1,
) -> Array:  # fmt: skip
    """A `depthwise_conv`, then a `conv` with a window of one element."""
    each = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(each, pointwise_kernel, data_format=data_format)


@user_facing
def conv_transpose(
    inputs: Tensor, kernel: Tensor, strides: Sizes = 1, padding: str = "valid", output_padding: Sizes | None = None,
    data_format: str | None = None, dilation_rate: Sizes = 1,
) -> Array:  # fmt: skip
    """The gradient of `conv` as a separate function; the kernel is (*window, filters, channels)."""
    x, kernel = tensor(inputs), tensor(kernel)
    sizes, rank = per_axis(_spatial(x, "conv_transpose")), x.ndim - 2
    more = None if output_padding is None else per_axis(rank, int)(output_padding)

    def convolved(x: Array) -> Array:
        if x.shape[-1] != kernel.shape[-1]:
            raise ShapeError(f"conv_transpose: {x.shape[-1]} channels, and a kernel for {kernel.shape[-1]}.")
        return convolve_transposed(x, kernel, sizes(strides), padding_word(padding), sizes(dilation_rate), more)

    return channels_last(convolved, x, data_format)


def patches(x: Array, size: Sizes, strides: Sizes | None, dilation: Sizes, padding: str) -> Array:
    """Each window of (batch, *sizes, channels) as one row: (batch, *positions, elements of the window * channels)."""
    sizes = per_axis(_spatial(x, "extract_patches"))
    window, steps, rates = sizes(size), sizes(strides if strides else size), sizes(dilation)
    reach = spread(window, rates)
    if padding_word(padding) == "same":
        x = jnp.pad(x, [(0, 0), *lax.padtype_to_pads(x.shape[1:-1], reach, steps, "SAME"), (0, 0)])
    _room(x.shape[1:-1], reach, "valid")
    counts = [(n - k) // step + 1 for n, k, step in zip(x.shape[1:-1], reach, steps, strict=True)]

    def at(place: tuple[int, ...]) -> Array:
        starts = [i * rate for i, rate in zip(place, rates, strict=True)]
        ends = [start + (n - 1) * step + 1 for start, n, step in zip(starts, counts, steps, strict=True)]
        return x[(slice(None), *map(slice, starts, ends, steps))]

    return jnp.concatenate([at(place) for place in itertools.product(*map(range, window))], -1)


@user_facing
def unfold(x: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Array:
    """The windows of images (batch, channels, height, width) as columns: (batch, channels * window, positions)."""
    x = tensor(x)
    if x.ndim != 4:
        raise ShapeError(f"unfold takes (batch, channels, height, width), got {x.shape}.")
    above, beside = per_axis(2, int)(padding)
    padded = jnp.pad(x, ((0, 0), (0, 0), (above, above), (beside, beside)))
    found = patches(jnp.moveaxis(padded, 1, -1), kernel_size, stride, dilation, "valid")  # (batch, rows, columns, n)
    columns = found.reshape((len(x), found.shape[1] * found.shape[2], -1, x.shape[1]))
    return columns.transpose((0, 3, 2, 1)).reshape((len(x), -1, columns.shape[1]))


@user_facing
def fold(
    x: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
) -> Array:
    """Adds up columns (batch, channels * window, positions) at their positions in an image of `output_size`.

    It is the transpose of `unfold`: -> (batch, channels, height, width).
    """
    x = tensor(x)
    window = per_axis(2)(kernel_size)
    if x.ndim != 3 or x.shape[1] % (window[0] * window[1]):
        raise ShapeError(f"fold takes (batch, channels * {window[0] * window[1]}, positions), got {x.shape}.")
    shape = (len(x), x.shape[1] // (window[0] * window[1]), *per_axis(2)(output_size))
    image = jax.ShapeDtypeStruct(shape, x.dtype)
    (folded,) = jax.linear_transpose(lambda y: unfold(y, window, dilation, padding, stride), image)(x)
    return folded  # type: ignore[no-any-return]


def _blocks(x: Tensor, block_size: int, data_format: str, function: str) -> tuple[Array, int]:
    x = tensor(x)
    if x.ndim != 4:
        raise ShapeError(f"{function} takes images with a batch axis and channels, got {x.shape}.")
    if block_size < 2:
        raise ArgumentError(f"{function}(block_size={block_size!r}): a block has at least 2 pixels a side.")
    return x, block_size


@user_facing
def depth_to_space(x: Tensor, block_size: int, data_format: str = "channels_last") -> Array:
    """Turns channels into blocks of pixels: (batch, h, w, c * b²) -> (batch, h * b, w * b, c)."""
    x, b = _blocks(x, block_size, data_format, "depth_to_space")
    if known_format(data_format) == "channels_last":
        n, h, w, c = x.shape
        return x.reshape((n, h, w, b, b, c // b**2)).swapaxes(2, 3).reshape((n, h * b, w * b, c // b**2))
    n, c, h, w = x.shape
    y = x.reshape((n, c // b**2, b, b, h, w)).transpose((0, 1, 4, 2, 5, 3))
    return y.reshape((n, c // b**2, h * b, w * b))


@user_facing
def space_to_depth(x: Tensor, block_size: int, data_format: str = "channels_last") -> Array:
    """Turns blocks of pixels into channels: the inverse of `depth_to_space`."""
    x, b = _blocks(x, block_size, data_format, "space_to_depth")
    if known_format(data_format) == "channels_last":
        n, h, w, c = x.shape
        return x.reshape((n, h // b, b, w // b, b, c)).swapaxes(2, 3).reshape((n, h // b, w // b, c * b**2))
    n, c, h, w = x.shape
    y = x.reshape((n, c, h // b, b, w // b, b)).transpose((0, 1, 3, 5, 2, 4))
    return y.reshape((n, c * b**2, h // b, w // b))
