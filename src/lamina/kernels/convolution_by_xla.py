"""Convolution and its two gradients as compositions of XLA operations that a CPU is fast at.

XLA's own are slow there, above all within a loop, where training runs: the kernel gradient does not reach its fast
convolution (a step of an MNIST convnet took 316 ms, and 17 with these formulas), nor do groups.
benchmarks/README.md has the times that the choice rests on.

- With few input channels, forward and kernel gradient are one product with the patches written out.
- Else forward is XLA's own, and the kernel gradient one product per element of the window.
- The input gradient is a forward convolution with the kernel turned about.
- Groups are taken together to blocks of some width, with zeros in the kernel between them.
- Where every channel stands by itself, each map is one multiplication and addition per element of the window.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array = jax.Array
Sizes = tuple[int, ...]
FEW = 4
"""Up to so many input channels the patches are cheap to write out: one product with them beats the window's loop."""

BLOCK = 64
"""How many channels of narrow groups are taken together: fewer leave a matrix product half idle."""


def spread(sizes: Sizes, dilation: Sizes) -> Sizes:
    """How many elements a dilated kernel reaches over, on each axis."""
    return tuple((size - 1) * rate + 1 for size, rate in zip(sizes, dilation, strict=True))


def result_shape(x: Array, kernel: Array, window: Any) -> Sizes:
    """(batch, *positions, filters)"""
    reach = spread(kernel.shape[:-2], window.dilation)
    axes = zip(x.shape[1:-1], reach, window.strides, window.padding, strict=True)
    positions = ((n + before + after - k) // stride + 1 for n, k, stride, (before, after) in axes)
    return (x.shape[0], *positions, kernel.shape[-1])


class Moves(NamedTuple):
    """A window as XLA's convolution has it: x's elements are set `apart` before, with zeros between."""

    strides: Sizes
    padding: tuple[tuple[int, int], ...]
    dilation: Sizes
    groups: int
    apart: Sizes


def computed(name: str, a: Array, b: Array, shape: Sizes, window: Any) -> Array:
    """The map of this name, by the composition on a CPU."""
    own = {
        "convolution": convolution,
        "convolution_input_gradient": convolution_input_gradient,
        "convolution_kernel_gradient": convolution_kernel_gradient,
    }
    return own[name](a, b, shape, window) if jax.default_backend() == "cpu" else plain(name, a, b, shape, window)


def plain(name: str, a: Array, b: Array, shape: Sizes, window: Any) -> Array:
    """XLA's own convolution, and the gradients that JAX derives from it."""
    moves = _forward_moves(window)
    if name == "convolution":
        return _convolved(a, b, moves)
    third = jax.ShapeDtypeStruct(shape, a.dtype)
    if name == "convolution_input_gradient":
        return jax.linear_transpose(lambda x: _convolved(x, b, moves), third)(a)[0]  # type: ignore[no-any-return]
    return jax.linear_transpose(lambda kernel: _convolved(a, kernel, moves), third)(b)[0]  # type: ignore[no-any-return]


def convolution(x: Array, kernel: Array, shape: Sizes, window: Any) -> Array:
    """y (batch, *positions, filters)"""
    return _composed(x, kernel, _forward_moves(window))


def convolution_input_gradient(dy: Array, kernel: Array, shape: Sizes, window: Any) -> Array:
    """A convolution of dy, set apart by the strides, with the kernel turned about."""
    strides, padding, dilation, groups = window
    pads = []
    for axis, (k, (before, _)) in enumerate(zip(spread(kernel.shape[:-2], dilation), padding, strict=True)):
        reached = (dy.shape[axis + 1] - 1) * strides[axis] + 1
        pads.append((k - 1 - before, shape[axis + 1] - reached + before))
    moves = Moves((1,) * len(strides), tuple(pads), dilation, groups, strides)
    return _composed(dy, _turned(kernel, groups), moves)


def convolution_kernel_gradient(x: Array, dy: Array, shape: Sizes, window: Any) -> Array:
    """One matrix product per element of the window: dy with the shifted x, over all rows and positions."""
    parts = list(_shifted(x, shape[:-2], _forward_moves(window)))
    if window.groups == x.shape[-1] > 1:
        apart = dy.reshape(*dy.shape[:-1], x.shape[-1], -1)  # (batch, *positions, channels, multiplier)
        sums = [jnp.sum(part[..., None] * apart, tuple(range(dy.ndim - 1))) for part in parts]
        return jnp.stack(sums).reshape(shape)
    if x.shape[-1] <= FEW and window.groups == 1:
        parts = [jnp.concatenate(parts, -1)]
    blocks = []
    for c, f, groups in _blocks(x.shape[-1], dy.shape[-1], window.groups):
        slopes = dy[..., f].reshape(-1, f.stop - f.start).T  # turned once for all products
        own = [part if groups == window.groups else part[..., c] for part in parts]
        products = jnp.stack([jnp.matmul(slopes, part.reshape(-1, part.shape[-1])).T for part in own])
        if groups > 1:  # of the product of several groups the diagonal counts
            apart = products.reshape(len(parts), groups, shape[-2], groups, -1)
            products = jnp.moveaxis(jnp.diagonal(apart, axis1=1, axis2=3), -1, 2)  # (window, channels, groups, f)
        blocks.append(products.reshape(*shape[:-1], -1))
    return jnp.concatenate(blocks, -1)


def _blocks(channels: int, filters: int, groups: int) -> Iterator[tuple[slice, slice, int]]:
    """The channels and the filters of groups that are taken together, and how many these are."""
    c, f = channels // groups, filters // groups  # within one group
    at_once = max(1, BLOCK // c)
    for first in range(0, groups, at_once):
        last = min(first + at_once, groups)
        yield slice(first * c, last * c), slice(first * f, last * f), last - first


def _forward_moves(window: Any) -> Moves:
    strides, padding, dilation, groups = window
    return Moves(strides, padding, dilation, groups, (1,) * len(strides))


def _composed(x: Array, kernel: Array, moves: Moves) -> Array:
    channels = x.shape[-1]
    if moves.groups == channels:
        return _depthwise(x, kernel, moves)
    if moves.groups == 1 and channels <= FEW:
        parts = jnp.concatenate(list(_shifted(x, kernel.shape[:-2], moves)), -1)  # (batch, *positions, window * c)
        return jnp.matmul(parts, kernel.reshape(-1, kernel.shape[-1]))
    if moves.groups == 1:
        return _convolved(x, kernel, moves)
    alone = moves._replace(groups=1)
    blocks = _blocks(channels, kernel.shape[-1], moves.groups)
    return jnp.concatenate([_convolved(x[..., c], _filled(kernel[..., f], n), alone) for c, f, n in blocks], -1)


def _filled(kernel: Array, groups: int) -> Array:
    """(*window, channels of a group, filters) -> (*window, channels, filters), with zeros between the groups."""
    *sizes, channels, filters = kernel.shape
    apart = kernel.reshape(*sizes, 1, channels, groups, filters // groups)
    own = jnp.eye(groups, dtype=bool)[:, None, :, None]
    return jnp.where(own, apart, 0).reshape(*sizes, groups * channels, filters)


def _convolved(x: Array, kernel: Array, moves: Moves) -> Array:
    axes = "DHW"[-len(moves.strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        moves.strides,
        moves.padding,
        moves.apart,
        moves.dilation,
        (f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=moves.groups,
    )


def _depthwise(x: Array, kernel: Array, moves: Moves) -> Array:
    """Every channel by itself: one multiplication and addition per element of the window, which XLA fuses."""
    times = kernel.reshape(-1, x.shape[-1], kernel.shape[-1] // x.shape[-1])  # (window, channels, multiplier)
    parts = zip(_shifted(x, kernel.shape[:-2], moves), times, strict=True)
    y = sum(part[..., None] * each for part, each in parts)  # (batch, *positions, channels, multiplier)
    return jnp.reshape(y, (*x.shape[:1], *jnp.shape(y)[1:-2], kernel.shape[-1]))


def _shifted(x: Array, sizes: Sizes, moves: Moves) -> Iterator[Array]:
    """What each element of the kernel sees of x: slices of (batch, *positions, channels)."""
    inner = [(*pads, apart - 1) for pads, apart in zip(moves.padding, moves.apart, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inner, (0, 0, 0)])
    for place in np.ndindex(*sizes):
        part = x
        for axis, (at, size) in enumerate(zip(place, spread(sizes, moves.dilation), strict=True)):
            start = at * moves.dilation[axis]
            last = x.shape[axis + 1] - size + start
            part = lax.slice_in_dim(part, start, last + 1, moves.strides[axis], axis + 1)
        yield part


def _turned(kernel: Array, groups: int) -> Array:
    """The kernel that leads back: turned about, its channels and filters exchanged within each group."""
    *sizes, channels, filters = kernel.shape
    kernel = jnp.flip(kernel, tuple(range(len(sizes)))).reshape(*sizes, channels, groups, filters // groups)
    return jnp.moveaxis(kernel, -1, -3).swapaxes(-1, -2).reshape(*sizes, filters // groups, groups * channels)
