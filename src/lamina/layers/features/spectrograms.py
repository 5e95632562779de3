"""Layers that map signals to spectrograms: the strength of each frequency over time."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import jax.numpy as jnp
import numpy as np
from jax import lax

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._messages.tracebacks import warn
from lamina._process.memory import require
from lamina._settings.arguments import DataFormat
from lamina._settings.converters import above_zero, flag, not_negative, number, one_of, optional, positive
from lamina._settings.settings import setting
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError
from lamina.initializers.fourier import STFT, Scaling, Window, known_window, window_values

SpectrogramMode: TypeAlias = Literal["log", "magnitude", "psd", "real", "imag", "angle", "stft"]


def frames(x: Array, length: int, step: int) -> Array:
    """Windows of `length` values, one every `step` values.  (..., time) -> (..., frames, length)"""
    count = (x.shape[-1] - length) // step + 1
    start = lax.broadcasted_iota(jnp.int32, (count, length), 0) * step
    return x[..., start + lax.broadcasted_iota(jnp.int32, (count, length), 1)]


def mirrored(x: Array, size: int) -> Array:
    """The signal, extended at each end by `size` mirrored values.  (..., time) -> (..., time + 2 * size)"""
    last = x.shape[-1] - 1
    if size <= last:
        return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(size, size)], mode="reflect")
    # One mirrored period is repeated, since jnp.pad adds one operation for each repetition.
    places = np.abs((np.arange(-size, last + 1 + size) + last) % max(2 * last, 1) - last)
    return x[..., places]


def mel(hertz: Array) -> Array:
    """Frequencies on the mel scale, on which equal distances sound equally large."""
    return 1127 * jnp.log(1 + hertz / 700)


class MelSpectrogram(Layer):
    """Maps signals (batch, time) to mel spectrograms (batch, num_mel_bins, frames); direct calls also take (time,).

    Each frame is multiplied by the window and Fourier-transformed. Then `abs(...) ** mag_exp` is summed with triangular
    weights, whose centres are evenly spaced in mel. The signal is mirrored at its ends, so that frames are centred.

    >>> MelSpectrogram(fft_length=64, sequence_stride=32, num_mel_bins=8)(jnp.ones((1, 128))).shape
    (1, 8, 5)

    Args:
        fft_length: the number of points of the Fourier transform.
        sequence_stride: the distance between two frames.
        sequence_length: the length of the window; None uses `fft_length`.
        window: a name that `scipy.signal.get_window` knows, `sequence_length` values, or None for no window.
        sampling_rate: the number of values of the signal per second.
        num_mel_bins: the number of mel bins.
        min_freq: the lowest frequency, in hertz.
        max_freq: the highest frequency, in hertz; None uses half the `sampling_rate`.
        power_to_db: whether to return decibels, `10 log10(power / ref_power)`.
        top_db: the greatest distance in decibels from the maximum of the batch; lower values are raised to this limit.
            None for no limit.
        mag_exp: the exponent of the magnitude; 2 for the power.
        min_power: the least power; smaller values are raised to it before the logarithm.
        ref_power: the power that is 0 decibels.
    """

    fft_length: int = setting(positive, default=2048)
    sequence_stride: int = setting(positive, default=512)
    sequence_length: int | None = setting(optional(positive), default=None)
    window: Window = setting(known_window, default="hann")
    sampling_rate: float = setting(above_zero, default=16000)
    num_mel_bins: int = setting(positive, default=128)
    min_freq: float = setting(not_negative, default=20.0)
    max_freq: float | None = setting(optional(above_zero), default=None)
    power_to_db: bool = setting(flag, default=True)
    top_db: float | None = setting(optional(not_negative), default=80.0)
    mag_exp: float = setting(above_zero, default=2.0)
    min_power: float = setting(above_zero, default=1e-10)
    ref_power: float = setting(number, default=1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(min_ndim=2)
        self.sequence_length = self.sequence_length or self.fft_length
        self.max_freq = self.max_freq or int(self.sampling_rate / 2)
        if self.fft_length < self.sequence_length:
            raise ArgumentError(
                f"MelSpectrogram: fft_length={self.fft_length} must be at least sequence_length={self.sequence_length}."
            )
        if self.min_freq >= self.max_freq:
            raise ArgumentError(f"MelSpectrogram: min_freq={self.min_freq} must be below max_freq={self.max_freq}.")
        if not isinstance(self.window, str) and self.window and len(self.window) != self.sequence_length:
            raise ArgumentError(
                f"MelSpectrogram: the window has {len(self.window)} values, sequence_length is {self.sequence_length}."
            )

    def _lamina_is_sample(self, shape: Shape) -> bool:
        return len(shape) == 1

    def call(self, x: Array) -> Array:  # (..., time)
        dtype = jnp.promote_types(x.dtype, jnp.float32)
        what = f"has fft_length={self.fft_length:,} and num_mel_bins={self.num_mel_bins:,}: their weights need"
        require(16 * (self.fft_length // 2 + 1) * (self.num_mel_bins + 8), what, ShapeError)
        half, length = self.fft_length // 2, self.sequence_length or self.fft_length
        padded = mirrored(x.astype(dtype), half)
        window = self.window
        if window is None:
            values = jnp.ones(self.fft_length, dtype)
        else:
            before = (self.fft_length - length) // 2
            shape = window_values(window, length, True) if isinstance(window, str) else window
            values = jnp.pad(jnp.asarray(shape, dtype), (before, self.fft_length - length - before))
        spectrum = jnp.fft.rfft(frames(padded, self.fft_length, self.sequence_stride) * values)
        power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)  # (..., frames, fft_length / 2 + 1)
        if self.mag_exp != 2:
            power = power ** (self.mag_exp / 2)
        y = jnp.matmul(power, mel_weights(self).astype(dtype))  # (..., frames, num_mel_bins)
        if self.power_to_db:
            y = 10 * jnp.log10(jnp.maximum(y, self.min_power))
            y = y - 10 * math.log10(max(abs(self.ref_power), self.min_power))
            y = y if self.top_db is None else jnp.maximum(y, jnp.max(y) - self.top_db)
        return jnp.swapaxes(y, -1, -2).astype(x.dtype)


def mel_weights(layer: MelSpectrogram) -> Array:
    """The weight of each frequency in each mel bin, as triangles.  -> (fft_length / 2 + 1, num_mel_bins)"""
    limits = mel(jnp.asarray([layer.min_freq, layer.max_freq], jnp.float32))
    edges = jnp.linspace(limits[0], limits[1], layer.num_mel_bins + 2, dtype=jnp.float32)
    heard = jnp.linspace(0, layer.sampling_rate / 2, layer.fft_length // 2 + 1, dtype=jnp.float32)[1:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (mel(heard) - lower) / (centre - lower), (upper - mel(heard)) / (upper - centre)
    return jnp.pad(jnp.maximum(0, jnp.minimum(rising, falling)), ((1, 0), (0, 0)))


class STFTSpectrogram(Layer):
    """Maps signals (batch, time, channels) to (batch, frames, channels * frequencies): short-time Fourier transforms.

    The matrices of the transform are weights. They are trained unless `trainable=False`.

    >>> STFTSpectrogram(frame_length=8)(jnp.ones((1, 32, 1))).shape
    (1, 7, 5)

    Args:
        mode: the output for each complex number: "real", "imag", both ("stft"), "angle", "magnitude", the "log" of
            the magnitude, or the power ("psd"; all frequencies but the first and the last count twice).
        frame_length: the length of a frame.
        frame_step: the distance between two frames; None uses half the `frame_length`.
        fft_length: the number of points of the Fourier transform; None uses the least power of two that is at least
            `frame_length`.
        window: a name that `scipy.signal.get_window` knows, `frame_length` values, or None for no window.
        periodic: whether a window given by name is periodic instead of symmetric.
        scaling: "density" divides by the L2 norm of the window, "spectrum" by its L1 norm; None does not divide.
        padding: "valid", or "same" to pad the signal with zeros, so that there is a frame for every `frame_step`.
        expand_dims: whether the frequencies get their own axis: (batch, frames, frequencies, channels).
        data_format: "channels_last" or "channels_first", the place of the channels axis; None takes
            `config.image_data_format()`.
    """

    mode: SpectrogramMode = setting(one_of(*get_args(SpectrogramMode)), default="log")
    frame_length: int = setting(positive, default=256)
    frame_step: int | None = setting(optional(positive), default=None)
    fft_length: int | None = setting(optional(positive), default=None)
    window: Window = setting(known_window, default="hann")
    periodic: bool = setting(flag, default=False)
    scaling: Scaling = setting(one_of("density", "spectrum", None), default="density")
    padding: Literal["valid", "same"] = setting(one_of("valid", "same"), default="valid")
    expand_dims: bool = setting(flag, default=False)
    data_format: DataFormat = setting(data_format, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=3)
        if self.frame_step is not None and self.frame_step > self.frame_length:
            raise ArgumentError(
                f"STFTSpectrogram: frame_step={self.frame_step} must be at most frame_length={self.frame_length}."
            )
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise ArgumentError(
                f"STFTSpectrogram: fft_length={self.fft_length} must be at least frame_length={self.frame_length}."
            )
        if isinstance(self.window, list) and len(self.window) != self.frame_length:
            raise ArgumentError(
                f"STFTSpectrogram: the window has {len(self.window)} values, frame_length is {self.frame_length}."
            )
        if self.fft_length is not None and self.fft_length & (self.fft_length - 1):
            warn(f"STFTSpectrogram: fft_length={self.fft_length} is slower than a power of two.")

    def build(self, input_shape: Shape) -> None:
        points = self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))
        shape = (self.frame_length, 1, points // 2 + 1)
        told = (self.window, self.scaling, self.periodic)
        if self.mode != "imag":
            self.real_kernel = self.add_weight(shape, STFT("real", *told))
        if self.mode != "real":
            self.imag_kernel = self.add_weight(shape, STFT("imag", *told))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The output's shape. If the time is unknown, the number of frames is unknown too."""
        axis = 2 if self.data_format == "channels_first" else 1
        sizes = list(input_shape)
        unknown = len(sizes) == 3 and sizes[axis] is None
        if unknown:
            sizes[axis] = self.frame_length
        shape: Shape = super().compute_output_shape(sizes)
        return (*shape[:axis], None, *shape[axis + 1 :]) if unknown else shape

    def call(self, x: Array) -> Array:  # (batch, time, channels)
        signal = x if self.data_format == "channels_first" else jnp.swapaxes(x, 1, 2)
        time, step = signal.shape[2], self.frame_step or self.frame_length // 2 or 1
        if self.padding == "same":
            missing = max((-(-time // step) - 1) * step + self.frame_length - time, 0)
            signal = jnp.pad(signal, ((0, 0), (0, 0), (missing // 2, missing - missing // 2)))
        elif isinstance(time, int) and time < self.frame_length:
            raise ShapeError(f"expects at least {self.frame_length} time steps, one frame_length, got {time}")
        pieces = frames(signal, self.frame_length, step)  # (batch, channels, frames, frame_length)
        y = transformed(self, pieces)  # (batch, channels, frames, frequencies)
        if self.expand_dims:
            return jnp.transpose(y, (0, 1, 2, 3) if self.data_format == "channels_first" else (0, 2, 3, 1))
        y = jnp.swapaxes(y, 2, 3).reshape((y.shape[0], y.shape[1] * y.shape[3], y.shape[2]))
        return y if self.data_format == "channels_first" else jnp.swapaxes(y, 1, 2)


def transformed(layer: STFTSpectrogram, pieces: Array) -> Array:
    """The Fourier transform of each frame, in the layer's `mode`.  (..., frame_length) -> (..., frequencies)"""
    real = jnp.matmul(pieces, layer.real_kernel[:, 0]) if layer.mode != "imag" else pieces
    imag = jnp.matmul(pieces, layer.imag_kernel[:, 0]) if layer.mode != "real" else pieces
    if layer.mode in ("real", "imag"):
        return real if layer.mode == "real" else imag
    if layer.mode == "angle":
        return jnp.arctan2(imag, real)
    if layer.mode == "stft":
        return jnp.concatenate([real, imag], -1)
    power = jnp.square(real) + jnp.square(imag)
    if layer.mode == "psd":
        return power + jnp.pad(power[..., 1:-1], ((0, 0), (0, 0), (0, 0), (1, 1)))
    tiny = jnp.asarray(dtypes.epsilon(), power.dtype)
    magnitude = jnp.sqrt(jnp.maximum(power, tiny))
    return magnitude if layer.mode == "magnitude" else jnp.log(jnp.maximum(magnitude, tiny))
