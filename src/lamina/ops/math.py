# mypy: disable-error-code="empty-body"
"""Keras's mathematical functions that are not NumPy's: segments, Fourier transforms, spectra, complex numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special
from jax import lax
from jax.scipy import signal
from jax.typing import DTypeLike

from lamina._arrays.arrays import Array
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.errors import ArgumentError, ShapeError
from lamina.initializers.fourier import window_values
from lamina.layers.features.spectrograms import frames
from lamina.ops.tensors import Axis, Floats, Tensor, by_jax, tensor
from lamina.ops.unlike_jax import slogdet

__all__ = [
    "cdist", "erf", "erfc", "erfinv", "extract_sequences", "fft", "fft2", "ifft2", "in_top_k", "irfft", "istft",
    "logdet", "logsumexp", "rfft", "rsqrt", "segment_max", "segment_min", "segment_prod", "segment_sum", "stft",
    "top_k", "view_as_complex", "view_as_real",
]  # fmt: skip

Pair = Sequence[Tensor]
"""The real and the imaginary parts of complex numbers."""
Window = str | Tensor | None


def erf(x: Floats) -> Array: ...
def erfc(x: Tensor) -> Array: ...
def erfinv(x: Tensor) -> Array: ...
def logsumexp(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Array: ...
def rsqrt(x: Floats) -> Array: ...


@user_facing
def cdist(x: Tensor, y: Tensor) -> Array:
    """The distances between all rows of x and all of y: (..., m, n) and (..., k, n) -> (..., m, k)."""
    x, y = tensor(x), tensor(y)
    if x.ndim < 2 or y.ndim < 2 or x.shape[-1] != y.shape[-1]:
        raise ShapeError(f"cdist takes (..., m, n) and (..., k, n), got {x.shape} and {y.shape}.")
    return jnp.sqrt(jnp.sum(jnp.square(x[..., :, None, :] - y[..., None, :, :]), -1))


@user_facing
def logdet(x: Tensor) -> Array:
    """The logarithm of the absolute value of the determinant: (..., n, n) -> (...)."""
    return slogdet(x)[1]


@user_facing
def in_top_k(targets: Tensor, predictions: Tensor, k: int) -> Array:
    """Whether the target (batch,) is among the k largest predictions (batch, classes).  -> (batch,) bool"""
    t, p = tensor(targets), tensor(predictions)
    own = jnp.take_along_axis(p, t[..., None], -1)
    return jnp.sum(p > jnp.where(jnp.isnan(own), -jnp.inf, own), -1) < k


@user_facing
def top_k(x: Tensor, k: int, sorted: bool = True) -> tuple[Array, Array]:
    """The k largest elements of the last axis, in descending order, and their indices."""
    values, indices = lax.top_k(tensor(x), k)
    return values, indices


def _by_segment(reduce: Callable[..., Array], data: Tensor, ids: Tensor, count: int | None, sorted: bool) -> Array:
    x, segments = tensor(data), tensor(ids)
    if segments.ndim != 1 or x.shape[:1] != segments.shape:
        raise ShapeError(f"segment_ids is (n,) for data (n, ...), got {segments.shape} for {x.shape}.")
    if count is None:
        raise ArgumentError("num_segments is needed, because the shape of the result depends on it.")
    reduced: Array = reduce(x, segments, count, indices_are_sorted=sorted)
    return reduced


@user_facing
def segment_sum(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Array:
    """The sum of the rows of each segment: (n, ...) and the rows' segments (n,) -> (num_segments, ...)."""
    return _by_segment(jax.ops.segment_sum, data, segment_ids, num_segments, sorted)


@user_facing
def segment_max(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Array:
    """The maximum of the rows of each segment: (n, ...) and the rows' segments (n,) -> (num_segments, ...)."""
    return _by_segment(jax.ops.segment_max, data, segment_ids, num_segments, sorted)


@user_facing
def segment_min(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Array:
    """The minimum of the rows of each segment: (n, ...) and the rows' segments (n,) -> (num_segments, ...)."""
    return _by_segment(jax.ops.segment_min, data, segment_ids, num_segments, sorted)


@user_facing
def segment_prod(data: Tensor, segment_ids: Tensor, num_segments: int | None = None, sorted: bool = False) -> Array:
    """The product of the rows of each segment: (n, ...) and the rows' segments (n,) -> (num_segments, ...)."""
    return _by_segment(jax.ops.segment_prod, data, segment_ids, num_segments, sorted)


def _complex(x: Pair, function: str) -> Array:
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ArgumentError(f"{function} takes a pair of arrays, the real and the imaginary parts.")
    real, imaginary = tensor(x[0]), tensor(x[1])
    if real.shape != imaginary.shape or not all(jnp.issubdtype(p.dtype, jnp.floating) for p in (real, imaginary)):
        raise ArgumentError(f"{function} takes two arrays of floats of one shape, got {real.shape}, {imaginary.shape}.")
    return lax.complex(real, imaginary)


def _parts(x: Array) -> tuple[Array, Array]:
    return jnp.real(x), jnp.imag(x)


@user_facing
def fft(x: Pair) -> tuple[Array, Array]:
    """The Fourier transform along the last axis; input and output are real and imaginary parts."""
    return _parts(jnp.fft.fft(_complex(x, "fft")))


@user_facing
def fft2(x: Pair) -> tuple[Array, Array]:
    """The Fourier transform along the last two axes; input and output are real and imaginary parts."""
    return _parts(jnp.fft.fft2(_complex(x, "fft2")))


@user_facing
def ifft2(x: Pair) -> tuple[Array, Array]:
    """The inverse of `fft2`."""
    return _parts(jnp.fft.ifft2(_complex(x, "ifft2")))


@user_facing
def rfft(x: Tensor, fft_length: int | None = None) -> tuple[Array, Array]:
    """The Fourier transform of real numbers along the last axis: (..., n) -> real and imaginary (..., n / 2 + 1)."""
    return _parts(jnp.fft.rfft(tensor(x), n=fft_length))


@user_facing
def irfft(x: Pair, fft_length: int | None = None) -> Array:
    """The inverse of `rfft`."""
    return jnp.fft.irfft(_complex(x, "irfft"), n=fft_length)


@user_facing
def extract_sequences(x: Tensor, sequence_length: int, sequence_stride: int) -> Array:
    """Windows along the last axis, every `sequence_stride` elements: (..., n) -> (..., windows, sequence_length)."""
    return frames(tensor(x), sequence_length, sequence_stride)


def _window(window: Window, length: int, points: int, dtype: DTypeLike) -> Array:
    """A window, padded with zeros on both sides.  -> (points,)"""
    if points < length:
        raise ArgumentError(f"fft_length={points} must be at least sequence_length={length}.")
    before = (points - length) // 2
    if window is None:
        return jnp.ones(points, dtype)
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ArgumentError(f"window={window!r}: expected 'hann', 'hamming', {length} values, or None.")
        window = window_values(window, length, True)
    values = tensor(window).astype(dtype)
    if values.shape != (length,):
        raise ShapeError(f"the window has shape {values.shape}, and sequence_length is {length}.")
    return jnp.pad(values, (before, points - length - before))


def _positive(stride: int) -> int:
    if isinstance(stride, bool) or not isinstance(stride, int) or stride < 1:
        raise ArgumentError(f"sequence_stride={stride!r}: expected a whole number of at least 1.")
    return stride


@user_facing
def stft(
    x: Tensor, sequence_length: int, sequence_stride: int, fft_length: int, window: Window = "hann",
    center: bool = True,
) -> tuple[Array, Array]:  # fmt: skip
    """The Fourier transform of each window of a signal: (..., n) -> real and imaginary (..., windows, bins).

    Args:
        sequence_length: the length of the window.
        sequence_stride: the distance between two windows.
        fft_length: the number of points of the transform; there are `fft_length / 2 + 1` bins.
        window: "hann", "hamming", `sequence_length` values, or None for no window.
        center: whether the signal is mirrored at its ends, so that the first window is centred on its first element.
    """
    x, step = tensor(x), _positive(sequence_stride)
    if x.dtype not in (jnp.float32, jnp.float64):
        raise ArgumentError(f"stft takes float32 or float64, got {x.dtype}.")
    values = _window(window, sequence_length, fft_length, x.dtype)
    if center:
        x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(fft_length // 2, fft_length // 2)], mode="reflect")
    return _parts(jnp.fft.rfft(frames(x, fft_length, step) * values))


@user_facing
def istft(
    x: Pair, sequence_length: int, sequence_stride: int, fft_length: int, length: int | None = None,
    window: Window = "hann", center: bool = True,
) -> Array:  # fmt: skip
    """The inverse of `stft`: real and imaginary parts (..., windows, bins) -> (..., n).

    Args:
        length: the length of the signal; None means the length that the windows cover.
    """
    pieces, step = _complex(x, "istft"), _positive(sequence_stride)
    if pieces.ndim < 2:
        raise ShapeError(f"istft takes parts (..., windows, bins), got {pieces.shape}.")
    values = _window(window, sequence_length, fft_length, pieces.real.dtype)
    told: dict[str, Any] = {"window": values, "nperseg": fft_length, "noverlap": fft_length - step, "nfft": fft_length}
    y = signal.istft(pieces, boundary=False, time_axis=-2, freq_axis=-1, **told)[1]
    y = y / (step if window is None else values.sum())
    start = fft_length // 2 if center else 0
    if length is not None:
        return y[..., start : start + length]
    return y[..., start : -start or None] if center else y[..., : fft_length + step * (pieces.shape[-2] - 1)]


@user_facing
def view_as_complex(x: Tensor) -> Array:
    """Complex numbers from real and imaginary parts in a last axis of size 2: (..., 2) -> (...)."""
    x = tensor(x)
    if x.shape[-1:] != (2,):
        raise ShapeError(f"view_as_complex takes (..., 2), the real and the imaginary parts, got {x.shape}.")
    return lax.complex(x[..., 0].astype("float32"), x[..., 1].astype("float32"))


@user_facing
def view_as_real(x: Tensor) -> Array:
    """The real and the imaginary parts in a new last axis: (...) -> (..., 2)."""
    return jnp.stack(_parts(tensor(x)), -1)


by_jax(__name__, jax.scipy.special, lax)

public(__name__, __all__)
