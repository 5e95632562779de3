"""Convolution and its two gradients as compositions of XLA convolutions that are fast on a CPU.

The gradients that JAX derives are slow there: training runs in a loop, and in a loop XLA has no fast way to compute
them. The same holds for grouped convolutions. Here each of them is a plain convolution, which is fast.
benchmarks/README.md has the times.

- The input gradient is the convolution of dy with the kernel reversed along its axes.
- The kernel gradient is the convolution of x with dy, where channels and batch are exchanged.
- Groups are merged into blocks of some width, with zeros in the kernel between them.
- A convolution over three axes becomes one over two axes: the elements along the first axis become channels.
- A depthwise convolution is one multiplication and addition per element of the window; so is the forward map of a
  single channel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina._arrays.arrays import Array
from lamina._kernels.window import Sizes, Window, spread

MOST_PIECES = 1000
"""The largest window; for larger ones, tracing one operation for each element would take longer than it saves."""
BLOCK = 64
"""The number of channels up to which narrow groups are merged: fewer channels do not fill a matrix product."""


class Moves(NamedTuple):
    """A window as XLA's convolution describes it: the elements of x are first placed `apart`, with zeros between."""

    strides: Sizes
    padding: tuple[tuple[int, int], ...]
    dilation: Sizes
    groups: int
    apart: Sizes


def computed(name: str, a: Array, b: Array, shape: Sizes, window: Window) -> Array:
    """The map with this name, by the composition for a CPU."""
    own = {
        "convolution": convolution,
        "convolution_input_gradient": convolution_input_gradient,
        "convolution_kernel_gradient": convolution_kernel_gradient,
    }
    *sizes, channels, filters = shape if name == "convolution_kernel_gradient" else b.shape
    pieces = math.prod(sizes) if len(sizes) > 2 or 1 in (channels, filters // window.groups) else 1
    ours = jax.default_backend() == "cpu" and pieces <= MOST_PIECES
    return own[name](a, b, shape, window) if ours else plain(name, a, b, shape, window)


def plain(name: str, a: Array, b: Array, shape: Sizes, window: Window) -> Array:
    """XLA's own convolution, and the gradients that JAX derives from it."""
    moves = _forward_moves(window)
    if name == "convolution":
        return _convolved(a, b, moves)
    third = jax.ShapeDtypeStruct(shape, a.dtype)
    if name == "convolution_input_gradient":
        return jax.linear_transpose(lambda x: _convolved(x, b, moves), third)(a)[0]  # type: ignore[no-any-return]
    return jax.linear_transpose(lambda kernel: _convolved(a, kernel, moves), third)(b)[0]  # type: ignore[no-any-return]


def convolution(x: Array, kernel: Array, shape: Sizes, window: Window) -> Array:
    """y (batch, *positions, filters)"""
    return _composed(x, kernel, _forward_moves(window))


def convolution_input_gradient(dy: Array, kernel: Array, shape: Sizes, window: Window) -> Array:
    """A convolution of dy, spread by the strides, with the kernel reversed along its axes."""
    strides, padding, dilation, groups, _ = window
    pads = []
    for axis, (k, (before, _)) in enumerate(zip(spread(kernel.shape[:-2], dilation), padding, strict=True)):
        reached = (dy.shape[axis + 1] - 1) * strides[axis] + 1
        pads.append((k - 1 - before, shape[axis + 1] - reached + before))
    moves = Moves((1,) * len(strides), tuple(pads), dilation, groups, strides)
    return _composed(dy, _turned(kernel, groups), moves)


def convolution_kernel_gradient(x: Array, dy: Array, shape: Sizes, window: Window) -> Array:
    """A convolution of x with dy, spread by the strides; its strides are the dilation of the window."""
    moves = _forward_moves(window)
    if window.groups == x.shape[-1] > 1:
        apart = dy.reshape(*dy.shape[:-1], x.shape[-1], -1)  # (batch, *positions, channels, multiplier)
        parts = _shifted(x, shape[:-2], moves)
        sums = [jnp.sum(part[..., None] * apart, tuple(range(dy.ndim - 1))) for part in parts]
        return jnp.stack(sums).reshape(shape)
    blocks = []
    for c, f, groups in _blocks(x.shape[-1], dy.shape[-1], window.groups):
        y = _exchanged(x[..., c], dy[..., f], shape[:-2], moves)
        if groups > 1:  # only the diagonal is needed
            apart = y.reshape(*shape[:-2], groups, shape[-2], groups, -1)
            y = jnp.moveaxis(jnp.diagonal(apart, axis1=-4, axis2=-2), -1, -2)  # (*window, channels, groups, f)
        blocks.append(y.reshape(*shape[:-1], -1))
    return jnp.concatenate(blocks, -1)


def _exchanged(x: Array, dy: Array, sizes: Sizes, moves: Moves) -> Array:
    """(batch, *n, channels), (batch, *positions, filters) -> (*sizes, channels, filters)"""
    if len(sizes) > 2:
        first, *others = sizes
        x, dy = (a.reshape(-1, *a.shape[2:]) for a in (_planes(x, first, moves), dy))
        y = _exchanged(x, dy, tuple(others), _rest(moves))
        return jnp.moveaxis(y.reshape(*others, first, -1, y.shape[-1]), -3, 0)
    pads = []
    for axis, size in enumerate(sizes):
        before, reached = moves.padding[axis][0], (dy.shape[axis + 1] - 1) * moves.strides[axis] + 1
        pads.append((before, (size - 1) * moves.dilation[axis] + reached - x.shape[axis + 1] - before))
    own = Moves(moves.dilation, tuple(pads), moves.strides, 1, moves.apart)
    y = _convolved(x.swapaxes(0, -1), jnp.moveaxis(dy, 0, -2), own)  # (channels, *sizes, filters)
    return jnp.moveaxis(y, 0, -2)


def _blocks(channels: int, filters: int, groups: int) -> Iterator[tuple[slice, slice, int]]:
    """The channels and filters of merged groups, and the number of merged groups."""
    c, f = channels // groups, filters // groups  # within one group
    at_once = max(1, BLOCK // c)
    for first in range(0, groups, at_once):
        last = min(first + at_once, groups)
        yield slice(first * c, last * c), slice(first * f, last * f), last - first


def _forward_moves(window: Window) -> Moves:
    strides, padding, dilation, groups, _ = window
    return Moves(strides, padding, dilation, groups, (1,) * len(strides))


def _composed(x: Array, kernel: Array, moves: Moves) -> Array:
    if moves.groups == x.shape[-1]:
        return _depthwise(x, kernel, moves)
    alone = moves._replace(groups=1)
    blocks = _blocks(x.shape[-1], kernel.shape[-1], moves.groups)
    return jnp.concatenate([_ungrouped(x[..., c], _filled(kernel[..., f], n), alone) for c, f, n in blocks], -1)


def _ungrouped(x: Array, kernel: Array, moves: Moves) -> Array:
    first, *others, channels, filters = kernel.shape
    if len(others) < 2:
        return _convolved(x, kernel, moves)
    turned = jnp.moveaxis(kernel, 0, -3).reshape(*others, first * channels, filters)
    planes = _planes(x, first, moves)
    y = _convolved(planes.reshape(-1, *planes.shape[2:]), turned, _rest(moves))
    return y.reshape(*planes.shape[:2], *y.shape[1:])


def _planes(x: Array, size: int, moves: Moves) -> Array:
    """(batch, depth, *sizes, channels) -> (batch, positions, *sizes, size * channels), for a window of this size."""
    return jnp.concatenate(list(_shifted(x, (size,), moves)), -1)


def _rest(moves: Moves) -> Moves:
    """Reversed along all axes but the first."""
    return moves._replace(**{name: getattr(moves, name)[1:] for name in ("strides", "padding", "dilation", "apart")})


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
    """Each channel separately: one multiplication and addition per element of the window, which XLA fuses."""
    times = kernel.reshape(-1, x.shape[-1], kernel.shape[-1] // x.shape[-1])  # (window, channels, multiplier)
    parts = zip(_shifted(x, kernel.shape[:-2], moves), times, strict=True)
    y = sum(part[..., None] * each for part, each in parts)  # (batch, *positions, channels, multiplier)
    return jnp.reshape(y, (*x.shape[:1], *jnp.shape(y)[1:-2], kernel.shape[-1]))


def _shifted(x: Array, sizes: Sizes, moves: Moves) -> Iterator[Array]:
    """The part of x for each element of a window, or of its first axes: slices of (batch, *positions, *rest)."""
    axes = len(sizes)
    inner = [(*pads, apart - 1) for pads, apart in zip(moves.padding[:axes], moves.apart[:axes], strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *inner, *[(0, 0, 0)] * (x.ndim - axes - 1)])
    for place in np.ndindex(*sizes):
        part = x
        for axis, (at, size) in enumerate(zip(place, spread(sizes, moves.dilation[:axes]), strict=True)):
            start = at * moves.dilation[axis]
            last = x.shape[axis + 1] - size + start
            part = lax.slice_in_dim(part, start, last + 1, moves.strides[axis], axis + 1)
        yield part


def _turned(kernel: Array, groups: int) -> Array:
    """The kernel of the input's gradient: reversed along its axes, channels and filters exchanged within each group."""
    *sizes, channels, filters = kernel.shape
    kernel = jnp.flip(kernel, tuple(range(len(sizes)))).reshape(*sizes, channels, groups, filters // groups)
    return jnp.moveaxis(kernel, -1, -3).swapaxes(-1, -2).reshape(*sizes, filters // groups, groups * channels)
