"""Convolution: three maps between x, the kernel and y. The gradients of each map are the other two.

The forward map adds the bias, and the map to the kernel also gives the bias's gradient.

The formula for a map is chosen while tracing (benchmarks/README.md has the table of measured times):

1. On a CPU with lamina-onednn: oneDNN's kernel, at the speed of a matrix product, or Winograd's algorithm, up to 2.7
   times as fast (windows of 3 and 5, strides of 1, channels and filters divisible by 16; errors are up to 5 times those
   of a sum). XLA is used where oneDNN has only a reference implementation, and for the forward map of one channel with
   a small window.
2. On a CPU without lamina-onednn: the compositions in `convolution_by_xla`.
3. On a GPU or a TPU: XLA's own convolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike

from lamina._arrays.arrays import Array
from lamina._kernels import convolution_by_xla as by_xla
from lamina._kernels.blocks import Made, note, noted
from lamina._kernels.moments import along
from lamina._kernels.native import on_cpu, onednn
from lamina._kernels.precision import in_float32
from lamina._kernels.window import Sizes, Window, result_shape, spread

FARTHEST = 1000
"""For larger strides and dilations oneDNN generates such long code that creating the kernel takes a minute."""


def convolve(
    x: Array,
    kernel: Array,
    strides: Sizes,
    padding: str,
    dilation: Sizes,
    groups: int = 1,
    bias: Array | None = None,
) -> Array:
    """`y[n, p, f] = sum over w, c of x[n, p * strides + w * dilation, c] * kernel[w, c, f] + bias[f]`, on the padded x.

    x is (batch, *sizes, channels), kernel (*window, channels / groups, filters), y (batch, *positions, filters).
    `padding` is "valid", "same", or "causal", which pads only before the first step.
    """
    again = partial(_mapped, x, kernel, bias, strides, padding, dilation, groups)
    return note(again(forward), Made(again))


def rescaled(x: Array, factor: Array, shift: Array, axis: int) -> Array:
    """`x * factor + shift` along `axis`, in x's dtype. If a convolution made x, its kernel and bias are scaled instead.

    A 16-bit kernel is not scaled, since it would be rounded again.
    """
    made, exact = noted(x), x.dtype.itemsize > 2 or on_cpu()
    if not isinstance(made, Made) or made.rectified or axis != x.ndim - 1 or not exact:
        return (x * along(factor, x, axis) + along(shift, x, axis)).astype(x.dtype)
    again = made.rescaled(factor, shift)
    return note(again.again(forward), again)


@in_float32
def _mapped(
    x: Array,
    kernel: Array,
    bias: Array | None,
    strides: Sizes,
    padding: str,
    dilation: Sizes,
    groups: int,
    by: Callable[[Array, Array, Array | None, Window], Any],
    *,
    half: bool = False,
) -> Any:
    """The result of `by` for x, the kernel, the bias and the window."""
    sizes = spread(kernel.shape[:-2], dilation)
    pads = lax.padtype_to_pads(x.shape[1:-1], sizes, strides, "SAME" if padding == "same" else "VALID")
    if padding == "causal":
        pads = [(size - 1, 0) for size in sizes]
    if not all(isinstance(n, int) for pair in pads for n in pair):  # the padding of a symbolic size
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*pair, 0) for pair in pads), (0, 0, 0)])
        pads = [(0, 0)] * len(pads)
    window = Window(strides, tuple((before, after) for before, after in pads), dilation, groups, half)
    return by(x, kernel, bias, window)


@in_float32
def convolve_transposed(
    x: Array,
    kernel: Array,
    strides: Sizes,
    padding: str,
    dilation: Sizes,
    output_padding: Sizes | None = None,
    *,
    half: bool = False,
) -> Array:
    """The gradient of `convolve` as a separate function: the elements of x are placed `strides` apart.

    x is (batch, *sizes, channels), kernel (*window, filters, channels). For a window that spans k elements, an axis of
    length n becomes `(n - 1) * stride + max(k, stride)` for "valid" padding and `n * stride` for "same". With
    `output_padding` it is `(n - 1) * stride + k + output_padding` and `(n - 1) * stride + k % 2 + output_padding`.
    """
    pads, lengths = [], []
    for axis, (k, stride) in enumerate(zip(spread(kernel.shape[:-2], dilation), strides, strict=True)):
        before, over = transposed_pads(k, stride, padding, None if output_padding is None else output_padding[axis])
        lengths.append((x.shape[axis + 1] - 1) * stride + k + over)
        pads.append((before, max(-over - before, 0)))
    shape = (x.shape[0], *lengths, kernel.shape[-2])
    return input_gradient(x, kernel, Window(strides, tuple(pads), dilation, half=half), shape)


def transposed_pads(k: int, stride: int, padding: str, more: int | None) -> tuple[int, int]:
    """How many elements of a transposed convolution are cut at the beginning of an axis, and how many follow its end.

    Args:
        k: how many elements the window spans.
        more: the setting `output_padding`.
    """
    if padding == "valid":
        return 0, max(k, stride) - k if more is None else more
    both = k + stride - 2 if more is None else k + k % 2 - 2 + more
    return max(k - 1 - (both + 1) // 2, 0), both - 2 * (k - 1)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def forward(x: Array, kernel: Array, bias: Array | None, window: Window) -> Array:
    """x, kernel -> y"""
    shape = result_shape(x, kernel, window)
    native, dtype = by_onednn("convolution", x, kernel, window, shape)
    if native:
        shift = jnp.zeros(shape[-1:], x.dtype) if bias is None else bias
        return native.convolution(x.astype(dtype), kernel, shift, shape, *window[:-1]).astype(x.dtype)  # type: ignore[no-any-return]
    y = by_xla.computed("convolution", x, kernel, shape, window)
    return y if bias is None else y + bias


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def input_gradient(dy: Array, kernel: Array, window: Window, shape: Sizes) -> Array:
    """y, kernel -> x, with this shape"""
    native, dtype = by_onednn("convolution_input_gradient", dy, kernel, window, shape)
    if native:
        dx = native.convolution_input_gradient(dy.astype(dtype), kernel, shape, *window[:-1])
        return dx.astype(dy.dtype)  # type: ignore[no-any-return]
    return by_xla.computed("convolution_input_gradient", dy, kernel, shape, window)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def kernel_gradient(x: Array, dy: Array, window: Window, shape: Sizes) -> tuple[Array, Array]:
    """x, y -> kernel, with this shape, and bias"""
    native, dtype = by_onednn("convolution_kernel_gradient", x, dy, window, shape)
    if native:
        taken = x.astype(dtype), dy.astype(dtype)
        return native.convolution_kernel_gradient(*taken, shape, *window[:-1])  # type: ignore[no-any-return]
    kernel = by_xla.computed("convolution_kernel_gradient", x, dy, shape, window)
    return kernel, dy.sum(tuple(range(dy.ndim - 1)))


def _forward_slopes(
    window: Window, kept: tuple[Array, Array, Array | None], dy: Array
) -> tuple[Array, Array, Array | None]:
    x, kernel, bias = kept
    dkernel, dbias = kernel_gradient(x, dy, window, kernel.shape)
    return input_gradient(dy, kernel, window, x.shape), dkernel, None if bias is None else dbias


forward.defvjp(lambda x, kernel, bias, window: (forward(x, kernel, bias, window), (x, kernel, bias)), _forward_slopes)
input_gradient.defvjp(
    lambda dy, kernel, window, shape: (input_gradient(dy, kernel, window, shape), (dy, kernel)),
    lambda window, _, kept, x: (
        forward(x, kept[1], None, window),
        kernel_gradient(x, kept[0], window, kept[1].shape)[0],
    ),
)
kernel_gradient.defvjp(
    lambda x, dy, window, shape: (kernel_gradient(x, dy, window, shape), (x, dy)),
    lambda window, _, kept, slopes: (
        input_gradient(kept[1], slopes[0], window, kept[0].shape),
        forward(kept[0], *slopes, window),
    ),
)


def in_next_loop(kernel: Sizes) -> bool:
    """Whether XLA fuses the convolution with later operations, in half of oneDNN's time; then y is not stored."""
    return kernel[-2] == 1 and math.prod(kernel[:-2]) <= 9 and kernel[-1] % 16 == 0


def _overruns(kernel: Sizes, strides: Sizes) -> bool:
    """Whether oneDNN may write beyond its memory. With strides and windows of one element it first gathers the elements
    it needs, 16 channels at a time, but it reserves memory only for the channels that exist."""
    return math.prod(kernel[:-2]) == 1 and max(strides) > 1 and kernel[-2] % 16 != 0


def by_onednn(
    name: str, a: Array, b: Array, window: Window, shape: Sizes
) -> tuple[ModuleType | None, DTypeLike | None]:
    """oneDNN's module and the dtype of x, or (None, None) where oneDNN cannot compute the map with this name fast."""
    native = onednn()
    x, kernel, y = {
        "convolution": (a.shape, b.shape, shape),
        "convolution_input_gradient": (shape, b.shape, a.shape),
        "convolution_kernel_gradient": (a.shape, shape, b.shape),
    }[name]
    far = max(*window.strides, *window.dilation) > FARTHEST
    if far or (name == "convolution" and x[-1] == 1 and in_next_loop(kernel)) or _overruns(kernel, window.strides):
        return None, None
    known = all(isinstance(size, int) for size in (*x, *kernel, *y))  # the batch size may be symbolic
    if native and known and a.dtype == b.dtype == jnp.float32:
        for half, dtype in [(True, jnp.bfloat16)] * window.half + [(False, jnp.float32)]:
            if native.convolution_supported(name, x, kernel, y, *window[:-1], half=half):
                return native, dtype
    return None, None
