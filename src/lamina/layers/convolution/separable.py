"""Separable convolutions: a convolution of each channel, then a matrix product over the channels of each position."""

from __future__ import annotations

from typing import ClassVar, Literal

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._kernels.matmul import matmul
from lamina._layer.layer import weight_from_settings
from lamina._settings import arguments
from lamina._settings.converters import flag, positive, word
from lamina._settings.settings import setting
from lamina.config import data_format
from lamina.layers.convolution.depthwise import convolve_channels
from lamina.layers.convolution.plain import Sliding


class _SeparableConv(Sliding):
    """A depthwise convolution, then a matrix product of the channels at each position.

    Args:
        filters: the number of output channels.
        depth_multiplier: the number of channels that the depthwise convolution makes of each input channel.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: the initial values of the depthwise
            kernels, the penalty on the kernels, and the constraint after each update.
        pointwise_initializer, pointwise_regularizer, pointwise_constraint: the same for the matrix,
            (channels * depth_multiplier, filters).
    """

    filters: int = setting(positive)
    kernel_size: arguments.Sizes
    strides: arguments.Sizes = setting(default=1)
    padding: Literal["valid", "same"] = setting(word("valid", "same"), default="valid")
    data_format: arguments.DataFormat = setting(data_format, default=None)
    dilation_rate: arguments.Sizes = setting(default=1)
    depth_multiplier: int = setting(positive, default=1)
    activation: arguments.ActivationSetting = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    depthwise_initializer: arguments.InitializerSetting = setting(initializers.get, default="glorot_uniform")
    pointwise_initializer: arguments.InitializerSetting = setting(initializers.get, default="glorot_uniform")
    bias_initializer: arguments.InitializerSetting = setting(initializers.get, default="zeros")
    depthwise_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    pointwise_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    _lamina_activity: arguments.RegularizerSetting = setting(
        regularizers.get, default=None, alias="activity_regularizer"
    )
    depthwise_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)
    pointwise_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)

    def _lamina_make_kernels(self, channels: int) -> int:
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        pointwise = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = weight_from_settings(self, "depthwise", depthwise)
        self.pointwise_kernel = weight_from_settings(self, "pointwise", pointwise)
        return self.filters

    def _lamina_convolve(self, x: Array, bias: Array | None) -> Array:
        inner = convolve_channels(x, self.depthwise_kernel, self.strides, self.padding, self.dilation_rate)
        return matmul(inner, self.pointwise_kernel.reshape(-1, self.filters), bias)  # (batch, *positions, filters)


class SeparableConv1D(_SeparableConv):
    """Convolves a sequence, (batch, steps, channels) to (batch, new steps, filters), in two steps.

    This is the one-dimensional `SeparableConv2D`.

    >>> import jax.numpy as jnp
    >>> SeparableConv1D(3, 2)(jnp.ones((1, 5, 4))).shape
    (1, 4, 3)
    """

    rank: ClassVar[int] = 1


class SeparableConv2D(_SeparableConv):
    """Convolves an image, (batch, rows, columns, channels) to (batch, new rows, new columns, filters), in two steps.

    The first step is a `DepthwiseConv2D` without bias. The second multiplies the channels of each position by a matrix
    of shape (channels * depth_multiplier, filters) and adds the bias. Both together cost less than a `Conv2D`.
    Source: Chollet, 2016, https://arxiv.org/abs/1610.02357

    >>> import jax.numpy as jnp
    >>> SeparableConv2D(8, 3)(jnp.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 8)
    """

    rank: ClassVar[int] = 2


SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
