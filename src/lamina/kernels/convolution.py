"""Convolution on a CPU, with gradients that XLA's own formulas there are slow at, above all within a loop.

The rule, found while tracing from shapes and platform, and what it rests on (3 x 3 windows, two cores, ms, one call
outside a loop):

| batch, side, channels -> filters | forward: XLA, patches | kernel gradient: XLA, patches, products |
|---|---|---|
| 128, 28, 1 -> 32 | 0.4, 0.5 | 1.8, 0.7, 2.4 |
| 64, 32, 3 -> 32 | 3.1, 0.7 | 2.0, 1.2, 1.1 |
| 128, 13, 32 -> 64 | 3.4, 9.7 | 5.8, 11.9, 4.1 |
| 64, 16, 32 -> 64 | 2.3, 9.0 | 4.8, 10.3, 4.3 |

- With few input channels, forward and kernel gradient are one product with the patches written out.
- Else forward is XLA's own, and the kernel gradient one product per element of the window.
- The input gradient is a forward convolution with the kernel turned about.
- Where every channel stands by itself, forward is one multiplication and addition per element of the window.

Within `lax.scan`, where training runs, XLA's kernel gradient does not reach its fast convolution: a step of an MNIST
convnet took 316 ms there, and 17 with these formulas; XLA's step alone, outside a loop, took 38.
On a GPU or a TPU all of it is XLA's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Array = jax.Array
FEW = 4
"""Up to so many input channels the patches are cheap to write out: one product with them beats the window's loop."""


BLOCK = 64
"""How many channels of narrow groups share a matrix product of the kernel gradient: fewer leave it half idle."""


class Window(NamedTuple):
    """How the kernel moves over the axes between the batch and the channels."""

    strides: tuple[int, ...]
    padding: tuple[tuple[Any, Any], ...]
    dilation: tuple[int, ...]
    groups: int = 1
    interior: tuple[int, ...] = ()
    """How far apart the input's elements are set before, with zeros between; 1 leaves them as they are."""


def spread(sizes: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[int, ...]:
    """How many elements a dilated kernel reaches over, on each axis."""
    return tuple((size - 1) * rate + 1 for size, rate in zip(sizes, dilation, strict=True))


def convolve(
    x: Array,
    kernel: Array,
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...],
    groups: int = 1,
) -> Array:
    """`y[n, p, f] = sum over w, c of x[n, p * strides + w * dilation, c] * kernel[w, c, f]`, on the padded x.

    x is (batch, *sizes, channels), kernel (*window, channels / groups, filters), y (batch, *positions, filters).
    `padding` is "valid", "same", or "causal", which pads only before the first step.
    """
    sizes = spread(kernel.shape[:-2], dilation)
    pads = lax.padtype_to_pads(x.shape[1:-1], sizes, strides, "SAME" if padding == "same" else "VALID")
    if padding == "causal":
        pads = [(size - 1, 0) for size in sizes]
    return _apply(
        x,
        kernel,
        Window(strides, tuple((before, after) for before, after in pads), dilation, groups, (1,) * len(sizes)),
    )


def convolve_transposed(
    x: Array,
    kernel: Array,
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...],
    output_padding: tuple[int, ...] | None = None,
) -> Array:
    """The gradient of `convolve` as a function of its own: x's elements are set `strides` apart.

    x is (batch, *sizes, channels), kernel (*window, filters, channels). With a window that reaches over k elements an
    axis of n becomes `(n - 1) * stride + max(k, stride)` long for "valid" padding and `n * stride` for "same". With
    `output_padding` it is `(n - 1) * stride + k + output_padding` and `(n - 1) * stride + k % 2 + output_padding`.
    """
    pads = []
    for axis, (k, stride) in enumerate(zip(spread(kernel.shape[:-2], dilation), strides, strict=True)):
        more = None if output_padding is None else output_padding[axis]
        if padding == "valid":
            pads.append((k - 1, k - 1 + (max(k, stride) - k if more is None else more)))
        else:
            total = k + stride - 2 if more is None else k + k % 2 - 2 + more
            before = min((total + 1) // 2, k - 1)
            pads.append((before, total - before))
    window = Window((1,) * len(strides), tuple(pads), dilation, 1, strides)
    return _apply(x, _turned(kernel, 1), window)


def _apply(x: Array, kernel: Array, window: Window) -> Array:
    return _on_cpu(x, kernel, window) if jax.default_backend() == "cpu" else plain(x, kernel, window)


def plain(x: Array, kernel: Array, window: Window) -> Array:
    """XLA's own convolution."""
    axes = "DHW"[-len(window.strides) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        window.strides,
        window.padding,
        window.interior,
        window.dilation,
        (f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=window.groups,
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _on_cpu(x: Array, kernel: Array, window: Window) -> Array:
    channels = x.shape[-1]
    if window.groups == channels:
        return _depthwise(x, kernel, window)
    if window.groups == 1 and channels <= FEW:
        parts = jnp.concatenate(list(_shifted(x, kernel.shape[:-2], window)), -1)  # (batch, *positions, window * c)
        return jnp.matmul(parts, kernel.reshape(-1, kernel.shape[-1]))
    return plain(x, kernel, window)


def _depthwise(x: Array, kernel: Array, window: Window) -> Array:
    """Every channel by itself: one multiplication and addition per element of the window, which XLA fuses."""
    times = kernel.reshape(-1, x.shape[-1], kernel.shape[-1] // x.shape[-1])  # (window, channels, multiplier)
    parts = zip(_shifted(x, kernel.shape[:-2], window), times, strict=True)
    y = sum(part[..., None] * each for part, each in parts)  # (batch, *positions, channels, multiplier)
    return jnp.reshape(y, (*x.shape[:1], *jnp.shape(y)[1:-2], kernel.shape[-1]))


def _shifted(x: Array, sizes: tuple[int, ...], window: Window) -> Iterator[Array]:
    """What each element of the kernel sees of x: slices of (batch, *positions, channels)."""
    zero = jnp.zeros((), x.dtype)
    inner = [(*pads, apart - 1) for pads, apart in zip(window.padding, window.interior, strict=True)]
    x = lax.pad(x, zero, [(0, 0, 0), *inner, (0, 0, 0)])
    for place in np.ndindex(*sizes):
        part = x
        for axis, (at, size) in enumerate(zip(place, spread(sizes, window.dilation), strict=True)):
            start = at * window.dilation[axis]
            last = x.shape[axis + 1] - size + start
            part = lax.slice_in_dim(part, start, last + 1, window.strides[axis], axis + 1)
        yield part


def _forward(x: Array, kernel: Array, window: Window) -> tuple[Array, tuple[Array, Array]]:
    return _on_cpu(x, kernel, window), (x, kernel)


def _backward(window: Window, kept: tuple[Array, Array], dy: Array) -> tuple[Array, Array]:
    x, kernel = kept
    return _input_gradient(x, kernel, dy, window), _kernel_gradient(x, kernel, dy, window)


def _turned(kernel: Array, groups: int) -> Array:
    """The kernel that leads back: turned about, its channels and filters exchanged within each group."""
    *sizes, channels, filters = kernel.shape
    kernel = jnp.flip(kernel, tuple(range(len(sizes)))).reshape(*sizes, channels, groups, filters // groups)
    return jnp.moveaxis(kernel, -1, -3).swapaxes(-1, -2).reshape(*sizes, filters // groups, groups * channels)


def _input_gradient(x: Array, kernel: Array, dy: Array, window: Window) -> Array:
    """A plain convolution of dy, set apart by the strides, with the kernel turned about."""
    pads = []
    for axis, (k, (before, _)) in enumerate(
        zip(spread(kernel.shape[:-2], window.dilation), window.padding, strict=True)
    ):
        length = (x.shape[axis + 1] - 1) * window.interior[axis] + 1
        reached = (dy.shape[axis + 1] - 1) * window.strides[axis] + 1
        pads.append((k - 1 - before, length - reached + before))
    back = Window(window.interior, tuple(pads), window.dilation, window.groups, window.strides)
    return _on_cpu(dy, _turned(kernel, window.groups), back)


def _kernel_gradient(x: Array, kernel: Array, dy: Array, window: Window) -> Array:
    """One matrix product per element of the window: the shifted x with dy, over all rows and positions.

    Narrow groups are taken together to blocks of about `BLOCK` channels; of their product the diagonal counts.
    """
    over = tuple(range(x.ndim - 1))
    parts = list(_shifted(x, kernel.shape[:-2], window))
    if x.shape[-1] <= FEW and window.groups == 1:
        parts = [jnp.concatenate(parts, -1)]
    c, f = x.shape[-1] // window.groups, dy.shape[-1] // window.groups  # within one group
    at_once = max(1, BLOCK // c)
    blocks = []
    for first in range(0, window.groups, at_once):
        groups = min(at_once, window.groups - first)
        some = dy[..., first * f : (first + groups) * f]
        own = [part if groups * c == x.shape[-1] else part[..., first * c : (first + groups) * c] for part in parts]
        products = jnp.stack([jnp.tensordot(part, some, (over, over)) for part in own])
        if groups > 1:
            apart = products.reshape(-1, groups, c, groups, f)
            products = jnp.moveaxis(jnp.diagonal(apart, axis1=1, axis2=3), -1, 2)  # (window, c, groups, f)
        blocks.append(products.reshape(*kernel.shape[:-1], groups * f))
    return jnp.concatenate(blocks, -1)


_on_cpu.defvjp(_forward, _backward)
