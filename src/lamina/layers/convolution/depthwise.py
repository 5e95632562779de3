"""Convolutions of each channel by itself."""

from __future__ import annotations

from typing import Any

import jax

from lamina import activations, constraints, initializers, regularizers
from lamina._base.converters import flag, positive
from lamina._base.settings import setting
from lamina._kernels.convolution import convolve
from lamina.config import data_format
from lamina.layers.convolution.plain import Sliding

Array = jax.Array


class _DepthwiseConv(Sliding):
    kernel_size: Any
    strides: Any = 1
    padding: str = "valid"
    depth_multiplier: int = setting(positive, default=1)
    data_format: str | None = setting(data_format, default=None)
    dilation_rate: Any = 1
    activation: Any = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    depthwise_initializer: Any = setting(initializers.get, default="glorot_uniform")
    bias_initializer: Any = setting(initializers.get, default="zeros")
    depthwise_regularizer: Any = setting(regularizers.get, default=None)
    bias_regularizer: Any = setting(regularizers.get, default=None)
    depthwise_constraint: Any = setting(constraints.get, default=None)
    bias_constraint: Any = setting(constraints.get, default=None)

    def make_kernels(self, channels: int) -> int:
        self.kernel = self.add("depthwise", (*self.kernel_size, channels, self.depth_multiplier))
        return channels * self.depth_multiplier

    def slide(self, x: Array, bias: Array | None) -> Array:
        return each_channel(self, x, self.kernel, bias)


def each_channel(layer: Any, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """Every channel convolved with kernels of its own, (*window, channels, multiplier)."""
    *window, channels, multiplier = kernel.shape
    kernel = kernel.reshape(*window, 1, channels * multiplier)
    return convolve(x, kernel, layer.strides, layer.padding, layer.dilation_rate, channels, bias)


class DepthwiseConv1D(_DepthwiseConv, rank=1):
    """Maps (batch, steps, channels) to (batch, new steps, channels * depth_multiplier), each channel by itself.

    >>> DepthwiseConv1D(2, depth_multiplier=3)(jax.numpy.ones((1, 5, 4))).shape
    (1, 4, 12)
    """


class DepthwiseConv2D(_DepthwiseConv, rank=2):
    """Maps (batch, rows, columns, channels) to (batch, new rows, new columns, channels * depth_multiplier).

    Each channel is convolved by itself, with `depth_multiplier` kernels of its own.

    >>> DepthwiseConv2D(3)(jax.numpy.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 4)
    """
