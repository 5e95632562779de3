"""Writes spectrograms as convolutions with the sines and cosines of a Fourier transform."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from lamina import dtypes
from lamina._arrays.arrays import HostArray
from lamina._onnx.graph import Graph, Value
from lamina._onnx.writers import writes
from lamina.initializers.fourier import window_values
from lamina.layers.features.spectrograms import MelSpectrogram, STFTSpectrogram, mel_weights


def _power(graph: Graph, real: Value, imag: Value) -> Value:
    return graph.node("Add", graph.node("Mul", real, real), graph.node("Mul", imag, imag))


@writes(STFTSpectrogram)
def stft(graph: Graph, x: Value, layer: STFTSpectrogram) -> Value:
    first = layer.data_format == "channels_first"
    signal = x if first else graph.node("Transpose", x, perm=[0, 2, 1])  # (batch, channels, time)
    channels, length = int(signal.shape[1] or 1), layer.frame_length
    told: dict[str, Any] = {"strides": [layer.frame_step or length // 2 or 1], "group": channels}
    if layer.padding == "same":
        told["auto_pad"] = "SAME_UPPER"

    def waves(*names: str) -> Value:
        """Convolve the signal with weights of the layer.  -> (batch, channels * frequencies, frames)"""
        kernels = [np.transpose(graph.weight(layer, name), (2, 1, 0)) for name in names]
        return graph.node("Conv", signal, np.tile(np.concatenate(kernels), (channels, 1, 1)), **told)

    if layer.mode in ("real", "imag"):
        y = waves(f"{layer.mode}_kernel")
    elif layer.mode == "stft":
        y = waves("real_kernel", "imag_kernel")
    else:
        real, imag = waves("real_kernel"), waves("imag_kernel")
        y = _angle(graph, real, imag) if layer.mode == "angle" else _power(graph, real, imag)
    if layer.mode == "psd":  # all frequencies except the first and the last count twice
        count = int(layer.real_kernel.shape[-1])
        twice = np.array([1, *[2] * (count - 2), 1][:count], np.float32)
        y = graph.node("Mul", y, np.tile(twice, channels)[:, None])
    if layer.mode in ("magnitude", "log"):
        tiny = np.float32(dtypes.epsilon())
        y = graph.node("Sqrt", graph.node("Max", y, tiny))
        y = y if layer.mode == "magnitude" else graph.node("Log", graph.node("Max", y, tiny))
    if not layer.expand_dims:
        return y if first else graph.node("Transpose", y, perm=[0, 2, 1])
    parts = graph.node("Reshape", y, np.array([0, channels, int(y.shape[1] or 1) // channels, y.shape[2] or -1]))
    return graph.node("Transpose", parts, perm=[0, 1, 3, 2] if first else [0, 3, 2, 1])


def _angle(graph: Graph, real: Value, imag: Value) -> Value:
    """The angle of each complex number, from -pi to pi."""
    negative, below = (graph.node("Less", part, np.float32(0)) for part in (real, imag))
    turn = graph.node("Where", below, np.float32(-math.pi), np.float32(math.pi))
    nothing = graph.node("And", graph.node("Equal", real, np.float32(0)), graph.node("Equal", imag, np.float32(0)))
    slope = graph.node("Div", imag, graph.node("Where", nothing, np.float32(1), real))
    return graph.node("Add", graph.node("Atan", slope), graph.node("Where", negative, turn, np.float32(0)))


@writes(MelSpectrogram)
def mel(graph: Graph, x: Value, layer: MelSpectrogram) -> Value:
    points, half = layer.fft_length, layer.fft_length // 2
    before, time = x.shape[:-1], x.shape[-1]
    rows = graph.node("ReduceProd", graph.node("Shape", x, start=0, end=-1), keepdims=1)
    whole = graph.node("Concat", rows, np.array([1]), graph.node("Shape", x, start=-1), axis=0)
    signal = replace(graph.node("Reshape", x, whole), shape=(None, 1, time))
    if time is not None and half >= time:  # ONNX can mirror a signal only once
        places = np.abs((np.arange(-half, time + half) + time - 1) % max(2 * (time - 1), 1) - (time - 1))
        signal = graph.node("Gather", signal, places, axis=2)
    else:
        signal = graph.node("Pad", signal, np.array([0, 0, half, 0, 0, half]), mode="reflect")
    turns = np.outer(np.arange(half + 1), np.arange(points)) * (2 * np.pi / points)
    kernels = [(part(turns) * _window(layer))[:, None].astype(np.float32) for part in (np.cos, np.sin)]
    real, imag = (graph.node("Conv", signal, kernel, strides=[layer.sequence_stride]) for kernel in kernels)
    power = _power(graph, real, imag)  # (rows, frequencies, frames)
    if layer.mag_exp != 2:
        power = graph.node("Pow", power, np.float32(layer.mag_exp / 2))
    y = graph.node("MatMul", np.asarray(mel_weights(layer)).T, power)  # (rows, bins, frames)
    if layer.power_to_db:
        tens = np.float32(10 / math.log(10))
        y = graph.node("Mul", graph.node("Log", graph.node("Max", y, np.float32(layer.min_power))), tens)
        y = graph.node("Sub", y, np.float32(10 * math.log10(max(abs(layer.ref_power), layer.min_power))))
        if layer.top_db is not None:
            most = graph.node("ReduceMax", y, keepdims=1)
            y = graph.node("Max", y, graph.node("Sub", most, np.float32(layer.top_db)))
    whole = graph.node("Concat", graph.node("Shape", x, start=0, end=-1), graph.node("Shape", y, start=1), axis=0)
    return replace(graph.node("Reshape", y, whole), shape=(*before, *y.shape[1:]))


def _window(layer: MelSpectrogram) -> HostArray:
    """The weight of each point of a frame.  -> (fft_length,)"""
    if layer.window is None:
        return np.ones(layer.fft_length)
    length = layer.sequence_length or layer.fft_length
    shape = window_values(layer.window, length, True) if isinstance(layer.window, str) else layer.window
    before = (layer.fft_length - length) // 2
    return np.pad(np.asarray(shape, np.float64), (before, layer.fft_length - length - before))
