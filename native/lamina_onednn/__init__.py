"""oneDNN's convolutions and matrix products, and recurrent nets on these, as XLA custom calls on a CPU.

Arrays lie as Keras has them: x (batch, *sizes, channels), kernels (*window, channels / groups, filters), sequences
(time, batch, features). Everything here runs within `jax.jit` and loops; a batch axis of `jax.vmap` becomes a loop.
There are no differentiation rules here: gradients are separate functions, and the caller says which belongs to which.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "convolution",
    "convolution_input_gradient",
    "convolution_kernel_gradient",
    "convolution_pooled",
    "convolution_pooled_input_gradient",
    "convolution_pooled_kernel_gradient",
    "convolution_supported",
    "gru",
    "gru_gradient",
    "half_speed",
    "lstm",
    "lstm_gradient",
    "matmul",
    "moment_slopes",
    "moments",
    "normalization_pooled",
    "normalization_pooled_gradient",
    "put_back",
    "share",
]

Array = jax.Array
Pads = tuple[tuple[int, int], ...]

TARGETS = (
    "convolution",
    "convolution_input_gradient",
    "convolution_kernel_gradient",
    "convolution_pooled",
    "convolution_pooled_input_gradient",
    "convolution_pooled_kernel_gradient",
    "put_back",
    "lstm",
    "lstm_gradient",
    "gru",
    "gru_gradient",
    "matmul",
    "moments",
    "moment_slopes",
    "normalization_pooled",
    "normalization_pooled_gradient",
)


def _load() -> ctypes.CDLL:
    # OpenMP's threads wait by spinning for milliseconds unless told otherwise, on the cores that XLA's threads need.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    files = importlib.metadata.files("onednn-cpu-gomp") or ()
    for file in files:
        if file.name == "libdnnl.so.3":
            ctypes.CDLL(str(file.locate()), ctypes.RTLD_GLOBAL)
    return ctypes.CDLL(str(Path(__file__).with_name("liblamina_onednn.so")))


_library = _load()
for _name in TARGETS:
    jax.ffi.register_ffi_target(
        f"lamina_{_name}", jax.ffi.pycapsule(getattr(_library, f"lamina_{_name}")), platform="cpu"
    )


@cache
def half_speed() -> float:
    """How many times as fast as float32 this processor multiplies bfloat16; 0 where it has no instruction for it."""
    _library.lamina_half_speed.restype = ctypes.c_double
    return float(_library.lamina_half_speed())


def share(programs: int) -> None:
    """Let each call from now on take its part of the threads alone, while so many programs run at a time."""
    _library.lamina_share(ctypes.c_int64(programs))


def _call(name: str, shapes: Any, *arrays: Array, **attributes: Any) -> Any:
    call: Any = jax.ffi.ffi_call(f"lamina_{name}", shapes, vmap_method="sequential")
    return call(*arrays, **attributes)


def _numbers(values: Any) -> Any:
    return np.array(values, np.int64)


def _window(strides: Any, padding: Pads, dilation: Any, groups: int) -> dict[str, Any]:
    before, after = zip(*padding, strict=True)
    return {
        "strides": _numbers(strides),
        "before": _numbers(before),
        "after": _numbers(after),
        "dilation": _numbers(dilation),
        "groups": groups,
    }


@cache
def convolution_supported(
    name: str,
    x: tuple[int, ...],
    kernel: tuple[int, ...],
    y: tuple[int, ...],
    strides: tuple[int, ...],
    padding: Pads,
    dilation: tuple[int, ...],
    groups: int,
    half: bool = False,
) -> bool:
    """Whether oneDNN has a fast way for these shapes, of bfloat16 with `half`; `name` is that of a function here."""
    axes = len(strides)
    before, after = zip(*padding, strict=True)
    if not 1 <= axes <= 3 or min(*x, *kernel, *y, *before, *after) < 0:
        return False
    if 0 in (*x, *kernel, *y):
        return False
    sizes = _numbers([*x, *kernel, *y, *strides, *before, *after, *dilation])
    ask = _library.lamina_convolution_supported
    number, pointer = ctypes.c_int64, ctypes.c_void_p
    ask.restype, ask.argtypes = ctypes.c_bool, [number, ctypes.c_bool, number, number, pointer, number]
    return bool(ask(TARGETS.index(name), half, axes, groups, sizes.ctypes.data, len(sizes)))


def convolution(
    x: Array, kernel: Array, bias: Array, shape: Any, strides: Any, padding: Pads, dilation: Any, groups: int
) -> Array:
    """y, of this shape: (batch, *positions, filters), and of x's dtype, float32 or bfloat16; the others are float32."""
    out = jax.ShapeDtypeStruct(shape, x.dtype)
    window = _window(strides, padding, dilation, groups)
    return _call("convolution", out, x, kernel, bias, **window)  # type: ignore[no-any-return]


def convolution_input_gradient(
    dy: Array, kernel: Array, shape: Any, strides: Any, padding: Pads, dilation: Any, groups: int
) -> Array:
    """dx, of x's shape and dy's dtype."""
    out = jax.ShapeDtypeStruct(shape, dy.dtype)
    window = _window(strides, padding, dilation, groups)
    return _call("convolution_input_gradient", out, dy, kernel, **window)  # type: ignore[no-any-return]


def convolution_kernel_gradient(
    x: Array, dy: Array, shape: Any, strides: Any, padding: Pads, dilation: Any, groups: int
) -> tuple[Array, Array]:
    """The gradients of the kernel, of its shape, and of the bias: float32."""
    out = _arrays(shape, shape[-1:])
    window = _window(strides, padding, dilation, groups)
    return _call("convolution_kernel_gradient", out, x, dy, **window)  # type: ignore[no-any-return]


def convolution_pooled(
    x: Array, kernel: Array, bias: Array, shape: Any, strides: Any, padding: Pads, dilation: Any, groups: int, pool: Any
) -> tuple[Array, Array]:
    """The largest of the windows of relu(y), of this shape, and which element of its window each one is.

    `pool` is the windows' height and width, and from one to the next; they do not overlap. A place counts a window's
    elements row by row, the first of equal ones; it is -1 where none is above zero, or one is NaN.
    """
    out = jax.ShapeDtypeStruct(shape, x.dtype), jax.ShapeDtypeStruct(shape, jnp.int16)
    window = _window(strides, padding, dilation, groups)
    return _call("convolution_pooled", out, x, kernel, bias, **window, pool=_numbers(pool))  # type: ignore[no-any-return]


def convolution_pooled_input_gradient(
    dp: Array,
    kernel: Array,
    places: Array,
    shape: Any,
    strides: Any,
    padding: Pads,
    dilation: Any,
    groups: int,
    pool: Any,
) -> Array:
    """The gradient of x, of this shape, from the slopes of the largest: float32."""
    window = _window(strides, padding, dilation, groups)
    out = jax.ShapeDtypeStruct(shape, jnp.float32)
    return _call("convolution_pooled_input_gradient", out, dp, kernel, places, **window, pool=_numbers(pool))  # type: ignore[no-any-return]


def convolution_pooled_kernel_gradient(
    x: Array, dp: Array, places: Array, shape: Any, strides: Any, padding: Pads, dilation: Any, groups: int, pool: Any
) -> tuple[Array, Array]:
    """The gradients of the kernel, of this shape, and of the bias from the slopes of the largest: float32."""
    window = _window(strides, padding, dilation, groups)
    out = _arrays(shape, shape[-1:])
    return _call("convolution_pooled_kernel_gradient", out, x, dp, places, **window, pool=_numbers(pool))  # type: ignore[no-any-return]


def put_back(dp: Array, places: Array, shape: Any, pool: Any) -> Array:
    """dy, of this shape: the slopes of the largest at their places, and zeros."""
    return _call("put_back", jax.ShapeDtypeStruct(shape, dp.dtype), dp, places, pool=_numbers(pool))  # type: ignore[no-any-return]


def normalization_pooled(x: Array, factor: Array, shift: Array, shape: Any, pool: Any) -> tuple[Array, Array]:
    """The largest of the windows of `relu(x * factor + shift)`, of this shape, and their places.

    x is (batch, rows, columns, channels), of float32, with channels that 16 divides; factor and shift are (channels,).
    """
    out = jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct(shape, jnp.int16)
    return _call("normalization_pooled", out, x, factor, shift, pool=_numbers(pool))  # type: ignore[no-any-return]


def normalization_pooled_gradient(
    dp: Array, places: Array, x: Array, mean: Array, inverse: Array, gamma: Array, rows: Array, pool: Any
) -> tuple[Array, Array, Array]:
    """The gradients of x, gamma and beta, where `rows` rows of the batch had this mean and 1 / deviation."""
    out = _arrays(x.shape, mean.shape, mean.shape)
    arrays = dp, places, x, mean, inverse, gamma, rows
    return _call("normalization_pooled_gradient", out, *arrays, pool=_numbers(pool))  # type: ignore[no-any-return]


def _arrays(*shapes: tuple[int, ...]) -> tuple[jax.ShapeDtypeStruct, ...]:
    return tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)


def _mask(mask: Array | None) -> Array:
    return jnp.ones((0, 0), bool) if mask is None else mask


def lstm(
    x: Array,
    kernel: Array,
    bias: Array,
    h: Array,
    c: Array,
    recurrent: Array,
    *,
    mask: Array | None,
    reverse: bool,
    keep: bool,
    half: bool = False,
) -> tuple[Array, Array, Array]:
    """The outputs, the carries c and the gates i, f, g, o of each step; without `keep` c and gates of the last only.

    x is (batch, time, features), h and c are (batch, units), the kernels (features, 4 units) and (units, 4 units), the
    bias is (4 units,), all float32; what is of each step is (time, batch, ...).
    With `half` the products are of bfloat16.
    Where the mask, (time, batch), is False, the states and the output stay as they are before.
    """
    (batch, time, _), units = x.shape, h.shape[1]
    kept = time if keep else 1
    out = _arrays((time, batch, units), (kept, batch, units), (kept, batch, 4 * units))
    return _call("lstm", out, _mask(mask), x, kernel, bias, h, c, recurrent, reverse=reverse, half=half)  # type: ignore[no-any-return]


def lstm_gradient(
    slopes: tuple[Array, Array, Array],
    taken: tuple[Array, Array, Array, Array, Array, Array],
    given: tuple[Array, Array, Array],
    *,
    mask: Array | None,
    reverse: bool,
    input_too: bool,
    half: bool = False,
) -> tuple[Array, ...]:
    """The gradients of all that `lstm` has `taken`, from what it has `given` with `keep`.

    The slopes are those of y and of the last h and c. Without `input_too` the first gradient, that of x, is empty.
    """
    x, kernel, _, h, c, recurrent = taken
    out = _arrays(x.shape if input_too else (0, 0, 0), *(array.shape for array in taken[1:]))
    arrays = (*slopes, x, kernel, h, c, recurrent, *given)
    return _call("lstm_gradient", out, _mask(mask), *arrays, reverse=reverse, half=half)  # type: ignore[no-any-return]


def gru(
    x: Array,
    kernel: Array,
    bias: Array,
    h: Array,
    recurrent: Array,
    inner_bias: Array,
    *,
    mask: Array | None,
    reverse: bool,
    keep: bool,
    half: bool = False,
) -> tuple[Array, Array]:
    """The outputs, and u, r, g and what r multiplies of each step; without `keep` of the last only.

    As `lstm`, with 3 units in place of 4; r multiplies h @ recurrent + inner_bias.
    """
    (batch, time, _), units = x.shape, h.shape[1]
    out = _arrays((time, batch, units), (time if keep else 1, batch, 4 * units))
    return _call("gru", out, _mask(mask), x, kernel, bias, h, recurrent, inner_bias, reverse=reverse, half=half)  # type: ignore[no-any-return]


def gru_gradient(
    slopes: tuple[Array, Array],
    taken: tuple[Array, Array, Array, Array, Array, Array],
    given: tuple[Array, Array],
    *,
    mask: Array | None,
    reverse: bool,
    input_too: bool,
    half: bool = False,
) -> tuple[Array, ...]:
    """As `lstm_gradient`; the slopes are those of y and of the last h."""
    x, kernel, _, h, recurrent, _ = taken
    out = _arrays(x.shape if input_too else (0, 0, 0), *(array.shape for array in taken[1:]))
    return _call("gru_gradient", out, _mask(mask), *slopes, x, kernel, h, recurrent, *given, reverse=reverse, half=half)  # type: ignore[no-any-return]


def matmul(a: Array, b: Array, dtype: Any, *, a_turned: bool = False, b_turned: bool = False) -> Array:
    """`a @ b`, (rows, columns), in this dtype, where a turned one is transposed first.

    a is (rows, inner), b (inner, columns); they and the dtype are float32, or both are bfloat16 and the dtype either.
    """
    out = jax.ShapeDtypeStruct((a.shape[a_turned], b.shape[not b_turned]), dtype)
    return _call("matmul", out, a, b, a_turned=a_turned, b_turned=b_turned)  # type: ignore[no-any-return]


def moments(x: Array, rows: Array | None = None) -> tuple[Array, Array]:
    """The mean and the variance of each column of x, (rows, columns) of float32; of its first `rows`, () int32."""
    first = jnp.int32(x.shape[0]) if rows is None else rows
    return _call("moments", _arrays(x.shape[1:], x.shape[1:]), x, first)  # type: ignore[no-any-return]


def moment_slopes(dy: Array, x: Array, mean: Array) -> tuple[Array, Array]:
    """The sums of dy and of dy * (x - mean) over the rows; dy and x are (rows, columns), the mean (columns,)."""
    return _call("moment_slopes", _arrays(mean.shape, mean.shape), dy, x, mean)  # type: ignore[no-any-return]
