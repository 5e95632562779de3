"""Convolutions in two cheaper steps: each channel by itself, then all channels at each place."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from lamina import activations, constraints, initializers, regularizers
from lamina._base.converters import flag, positive
from lamina._base.settings import setting
from lamina.config import data_format
from lamina.layers.convolution.depthwise import each_channel
from lamina.layers.convolution.plain import Sliding

Array = jax.Array


class _SeparableConv(Sliding):
    filters: int = setting(positive)
    kernel_size: Any
    strides: Any = 1
    padding: str = "valid"
    data_format: str | None = setting(data_format, default=None)
    dilation_rate: Any = 1
    depth_multiplier: int = setting(positive, default=1)
    activation: Any = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    depthwise_initializer: Any = setting(initializers.get, default="glorot_uniform")
    pointwise_initializer: Any = setting(initializers.get, default="glorot_uniform")
    bias_initializer: Any = setting(initializers.get, default="zeros")
    depthwise_regularizer: Any = setting(regularizers.get, default=None)
    pointwise_regularizer: Any = setting(regularizers.get, default=None)
    bias_regularizer: Any = setting(regularizers.get, default=None)
    depthwise_constraint: Any = setting(constraints.get, default=None)
    pointwise_constraint: Any = setting(constraints.get, default=None)
    bias_constraint: Any = setting(constraints.get, default=None)

    def make_kernels(self, channels: int) -> int:
        inner = channels * self.depth_multiplier
        self.depthwise_kernel = self.add("depthwise", (*self.kernel_size, channels, self.depth_multiplier))
        self.pointwise_kernel = self.add("pointwise", (*(1,) * self.rank, inner, self.filters))
        return self.filters

    def slide(self, x: Array, bias: Array | None) -> Array:
        inner = each_channel(self, x, self.depthwise_kernel)
        y = jnp.matmul(inner, self.pointwise_kernel.reshape(-1, self.filters))
        return y if bias is None else y + bias


class SeparableConv1D(_SeparableConv, rank=1):
    """Maps (batch, steps, channels) to (batch, new steps, filters): each channel by itself, then all at each step.

    A `DepthwiseConv1D` without bias, then a matrix product with (channels * depth_multiplier, filters).

    >>> SeparableConv1D(3, 2)(jnp.ones((1, 5, 4))).shape
    (1, 4, 3)
    """


class SeparableConv2D(_SeparableConv, rank=2):
    """Maps (batch, rows, columns, channels) to (batch, new rows, new columns, filters), in two cheaper steps.

    A `DepthwiseConv2D` without bias, then at each place a matrix product with (channels * depth_multiplier, filters).
    Source: Chollet, 2016, https://arxiv.org/abs/1610.02357

    >>> SeparableConv2D(8, 3)(jnp.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 8)
    """


SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
