"""The initializer of short-time Fourier transforms, and the windows that it shares with the spectrogram layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array, HostArray
from lamina._process.memory import require
from lamina._settings.converters import flag, one_of
from lamina._settings.settings import Converted, setting
from lamina._weights.weight import initializers as registry
from lamina.errors import ArgumentError, ShapeError
from lamina.initializers.base import DType, Initializer, Key, Shape

Window: TypeAlias = Converted[str | Sequence[float] | HostArray | None, str | list[float] | None]
Scaling: TypeAlias = Literal["density", "spectrum"] | None


def known_window(value: Any) -> str | list[float] | None:
    """None, the name of a window that SciPy knows, or the values of a window."""
    if isinstance(value, str):
        try:
            window_values(value, 1, False)
        except ValueError as error:
            raise ArgumentError(f"expected a window that scipy.signal.get_window knows: {error}") from None
        return value
    if value is not None and (np.ndim(value) != 1 or np.asarray(value).dtype.kind not in "iuf"):
        raise ArgumentError(f"expected a window's name, its values in a list, or None, got {value!r}.")
    return None if value is None else [float(each) for each in value]


def window_values(window: str | list[float], size: int, periodic: bool) -> HostArray:
    """The values of a window; a named window has `size` values.  -> (size,) float64"""
    if not isinstance(window, str):
        return np.array(window)
    from scipy.signal import get_window  # type: ignore[import-untyped]  # here, as it takes half a second to import

    return np.asarray(get_window(window, size, periodic), np.float64)


@registry.add("STFTInitializer")
class STFT(Initializer):
    """The kernel (frame, 1, bins) of a convolution that computes windowed Fourier transforms of 2 (bins - 1) points.

    At time t and bin f it is `w[t] * cos(-2π t f / points)`, or sin for `side="imag"`. The scaling "density" divides
    by the window's L2 norm, and "spectrum" by its L1 norm.

    >>> STFT("real", window=None)((2, 1, 3)).round()[:, 0]
    Array([[ 1.,  1.,  1.],
           [ 1.,  0., -1.]], dtype=float32)

    Args:
        side: "real" for the cosines, "imag" for the sines.
        window: a name that `scipy.signal.get_window` knows, the window's values, or None for no window.
        scaling: "density", "spectrum", or None for no scaling.
        periodic: whether a window given by name is periodic instead of symmetric.
    """

    side: Literal["real", "imag"] = setting(one_of("real", "imag"), default="real")
    window: Window = setting(known_window, default="hann")
    scaling: Scaling = setting(one_of("density", "spectrum", None), default="density")
    periodic: bool = setting(flag, default=False)

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        if len(shape) != 3 or shape[1] != 1:
            raise ShapeError(f"STFT fills kernels of shape (frame, 1, bins), got {shape}.")
        frame, _, bins = shape
        require(24 * frame * bins, f"the kernel {shape} of a Fourier transform needs", ShapeError, weight=True)
        turns = np.arange(frame)[:, None, None] * np.arange(bins) / max(1, 2 * (bins - 1))  # (frame, 1, bins)
        kernel = (np.cos if self.side == "real" else np.sin)(-2 * np.pi * turns)
        if self.window is not None:
            w = window_values(self.window, frame, self.periodic)
            if w.shape != (frame,):
                raise ShapeError(f"the window has shape {w.shape}, but the frame has {frame} points.")
            norms = {"density": np.sqrt((w * w).sum()), "spectrum": np.abs(w).sum(), None: 1.0}
            kernel = kernel * w[:, None, None] / norms[self.scaling]
        return jnp.asarray(kernel, dtype)
