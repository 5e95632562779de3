"""Pooling windows: the maximum or the mean of each window.

On a CPU a window is read as shifted, strided slices, one axis after the other, because XLA's gradient of a window's
maximum is very slow. Milliseconds for the gradient with respect to the input, float32, on two cores:

| input, window, stride          | XLA's window | reshape, then reduce | slices |
|--------------------------------|--------------|----------------------|--------|
| max (128, 26, 26, 32), 2×2, 2  |         28.1 |                  2.8 |    0.8 |
| max (64, 32, 32, 32), 2×2, 2   |         20.1 |                  2.0 |    0.5 |
| max (64, 196, 128), 5, 5       |          2.1 |                  0.9 |    0.7 |
| max (32, 55, 55, 64), 3×3, 2   |         83.2 |                    – |   16.3 |
| max (32, 28, 28, 64), 3×3, 1   |         48.4 |                    – |    3.2 |
| max (64, 200, 128), 50, 50     |          4.3 |                  2.3 |   30.8 |
| mean (128, 26, 26, 32), 2×2, 2 |          0.6 |                  0.2 |    1.1 |
| mean (32, 55, 55, 64), 3×3, 2  |         14.3 |                    – |    9.9 |
| mean (32, 28, 28, 64), 3×3, 1  |          2.7 |                    – |    0.9 |

XLA and the slices give the gradient to the first of equal elements. Reshape-then-reduce divides it among them, so it
is used for means only. Other platforms, and windows that are too long to unroll, use XLA's own formulas.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina._arrays.arrays import Array, HostArray
from lamina._kernels import blocks, convolution_pooled, normalization_pooled, places
from lamina._kernels.native import onednn
from lamina._kernels.precision import in_float32

Sizes = tuple[int, ...]
UNROLLED = 16
"""The largest number of slices, over all axes, in which a window is read."""


def max_pool(x: Array, window: Sizes, strides: Sizes, padding: str, axes: Sizes) -> Array:
    """The maximum of each window; `window` and `strides` have one size for each of `axes`."""
    y = _with_what_made(x, window, strides, padding, axes)
    return _max_pool(x, window, strides, padding, axes) if y is None else y


def _with_what_made(x: Array, window: Sizes, strides: Sizes, padding: str, axes: Sizes) -> Array | None:
    """The maxima of x's windows, fused with the convolution or normalization and the relu that made x; else None."""
    made = blocks.noted(x)
    if (
        onednn() is None
        or not made
        or not made.rectified
        or axes != tuple(range(1, x.ndim - 1))
        or x.ndim not in (3, 4)
        or math.prod(window) > places.MOST
        or x.shape[-1] < places.LANES
    ):
        return None
    fits = all(size <= min(stride, n) for size, stride, n in zip(window, strides, x.shape[1:-1], strict=True))
    if not fits or (padding == "same" and any(map(any, lax.padtype_to_pads(x.shape[1:-1], window, strides, "SAME")))):
        return None
    pool = (*window, *strides) if x.ndim == 4 else (1, *window, 1, *strides)
    if isinstance(made, blocks.Normalized):
        y = normalization_pooled.where_served(made, pool)
    else:
        y = made.again(partial(convolution_pooled.where_served, pool=pool))
    if y is None:
        return None
    return (y if x.ndim == 4 else y[:, 0]).astype(x.dtype)


@in_float32
def _max_pool(x: Array, window: Sizes, strides: Sizes, padding: str, axes: Sizes) -> Array:
    floating, whole = (jnp.issubdtype(x.dtype, kind) for kind in (jnp.floating, jnp.integer))
    start = np.asarray(-np.inf if floating else np.iinfo(x.dtype).min if whole else False, x.dtype)
    x = _padded(x, start, window, strides, padding, axes)
    if _unroll(window):
        return _by_slices(x, window, strides, axes, _first_largest)
    return lax.reduce_window(x, start, lax.max, *_whole(x, window, strides, axes), "VALID")  # type: ignore[no-any-return]


def largest(x: Array, axes: Sizes, keepdims: bool = False) -> Array:
    """The maximum along `axes`. If several elements are the maximum, one of them gets the gradient."""
    sizes = tuple(x.shape[axis] for axis in axes)
    known = all(isinstance(size, int) and size for size in sizes)
    y = _with_what_made(x, sizes, sizes, "valid", axes) if known else None
    if y is None:
        return _largest(x, axes, keepdims)
    return y if keepdims else lax.squeeze(y, axes)


@in_float32
def _largest(x: Array, axes: Sizes, keepdims: bool) -> Array:
    """The maximum, computed by comparing the two halves of an axis again and again.

    The gradient of `jnp.max` goes to the elements of x that equal the maximum. XLA may recompute x for this comparison
    with other rounding. Then no element is equal, and the gradient is lost; a depthwise convolution showed this.
    """
    if not all(isinstance(x.shape[axis], int) for axis in axes):  # an exported program, which has no gradient
        return jnp.max(x, axes, keepdims=keepdims)
    for axis in axes:
        while (count := x.shape[axis]) > 1:
            half = (count + 1) // 2
            x = _first_largest(*(lax.slice_in_dim(x, start, start + half, axis=axis) for start in (0, count - half)))
    return x if keepdims else lax.squeeze(x, axes)


@in_float32
def mean_pool(x: Array, window: Sizes, strides: Sizes, padding: str, axes: Sizes) -> Array:
    """The mean of each window over those of its elements that are not padding."""
    dtype = jnp.promote_types(x.dtype, jnp.float32)  # sums in at least float32
    total = _sums(x.astype(dtype), window, strides, padding, axes)
    if padding == "valid":
        count = jnp.asarray(math.prod(window), dtype)
    else:
        ones = jnp.ones([size if axis in axes else 1 for axis, size in enumerate(x.shape)], dtype)
        count = _sums(ones, window, strides, padding, axes)
    mean = total / count
    result: Array = mean.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else mean
    return result


def _sums(x: Array, window: Sizes, strides: Sizes, padding: str, axes: Sizes) -> Array:
    zero = np.asarray(0, x.dtype)
    x = _padded(x, zero, window, strides, padding, axes)
    if window == strides:
        for axis, size in zip(axes, window, strict=True):
            count = x.shape[axis] // size
            x = lax.slice_in_dim(x, 0, count * size, 1, axis)
            x = x.reshape((*x.shape[:axis], count, size, *x.shape[axis + 1 :])).sum(axis + 1)
        return x
    if _unroll(window):
        return _by_slices(x, window, strides, axes, jnp.add)
    return lax.reduce_window(x, zero, lax.add, *_whole(x, window, strides, axes), "VALID")  # type: ignore[no-any-return]


def _unroll(window: Sizes) -> bool:
    return jax.default_backend() == "cpu" and sum(window) <= UNROLLED


def _first_largest(a: Array, b: Array) -> Array:
    """The larger of two; `a` if they are equal, and NaN if one is. The gradient goes to the chosen one."""
    return jnp.where((b > a) | (b != b), b, a)


def _by_slices(x: Array, window: Sizes, strides: Sizes, axes: Sizes, join: Callable[[Array, Array], Array]) -> Array:
    # The last axis comes first, so that the first of equal elements is the first in row-major order, as in XLA.
    for axis, size, stride in reversed(list(zip(axes, window, strides, strict=True))):
        reach = x.shape[axis] - size  # how far the window can move
        parts = [lax.slice_in_dim(x, k, k + reach // stride * stride + 1, stride, axis) for k in range(size)]
        x = parts[0]
        for part in parts[1:]:
            x = join(x, part)
    return x


def _padded(x: Array, value: HostArray, window: Sizes, strides: Sizes, padding: str, axes: Sizes) -> Array:
    """x, padded as XLA does for `padding`, "same" or "valid"."""
    if padding == "valid":
        return x
    amounts = lax.padtype_to_pads([x.shape[axis] for axis in axes], window, strides, "SAME")
    by_axis = {axis: (low, high, 0) for axis, (low, high) in zip(axes, amounts, strict=True)}
    return lax.pad(x, value, [by_axis.get(axis, (0, 0, 0)) for axis in range(x.ndim)])


def _whole(x: Array, window: Sizes, strides: Sizes, axes: Sizes) -> tuple[Sizes, Sizes]:
    """`window` and `strides`, with one size for every axis of x."""
    sizes, steps = dict(zip(axes, window, strict=True)), dict(zip(axes, strides, strict=True))
    return tuple(sizes.get(i, 1) for i in range(x.ndim)), tuple(steps.get(i, 1) for i in range(x.ndim))


def adaptive_max_pool(x: Array, sizes: Sizes, axes: Sizes) -> Array:
    """The maximum of each of `sizes[i]` windows that cover axis `axes[i]` as evenly as possible."""
    for axis, size in reversed(list(zip(axes, sizes, strict=True))):
        starts, ends = windows(x.shape[axis], size)
        parts = [jnp.take(x, np.minimum(starts + k, ends - 1), axis, mode="clip") for k in range((ends - starts).max())]
        x = parts[0]
        for part in parts[1:]:
            x = _first_largest(x, part)
    return x


def adaptive_mean_pool(x: Array, sizes: Sizes, axes: Sizes) -> Array:
    """The mean of each of `sizes[i]` windows that cover axis `axes[i]` as evenly as possible: one matrix product."""
    for axis, size in zip(axes, sizes, strict=True):
        starts, ends = windows(x.shape[axis], size)
        position = np.arange(x.shape[axis])[:, None]
        share = ((position >= starts) & (position < ends)) / (ends - starts)  # (length, size)
        mean = jnp.tensordot(x, jnp.asarray(share, x.dtype), ((axis,), (0,)), precision="highest")
        x = jnp.moveaxis(mean, -1, axis)
    return x


def windows(length: int, count: int) -> tuple[HostArray, HostArray]:
    """The starts and ends of `count` windows over `length` elements; neighbouring windows may share an element."""
    index = np.arange(count)
    return index * length // count, -((-(index + 1) * length) // count)
