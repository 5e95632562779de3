"""Convolutions of each channel separately."""

from __future__ import annotations

from typing import ClassVar, Literal

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._kernels.convolution import convolve
from lamina._kernels.precision import in_float32
from lamina._layer.layer import weight_from_settings
from lamina._settings import arguments
from lamina._settings.converters import flag, positive, word
from lamina._settings.settings import setting
from lamina.config import data_format
from lamina.layers.convolution.plain import Sliding


class _DepthwiseConv(Sliding):
    """A convolution in which every output channel depends on one input channel.

    Args:
        depth_multiplier: the number of output channels for each input channel, each with its own kernel.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: the initial values of the kernels, the
            penalty on the kernels, and the constraint after each update.
    """

    kernel_size: arguments.Sizes
    strides: arguments.Sizes = setting(default=1)
    padding: Literal["valid", "same"] = setting(word("valid", "same"), default="valid")
    depth_multiplier: int = setting(positive, default=1)
    data_format: arguments.DataFormat = setting(data_format, default=None)
    dilation_rate: arguments.Sizes = setting(default=1)
    activation: arguments.ActivationSetting = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    depthwise_initializer: arguments.InitializerSetting = setting(initializers.get, default="glorot_uniform")
    bias_initializer: arguments.InitializerSetting = setting(initializers.get, default="zeros")
    depthwise_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    _lamina_activity: arguments.RegularizerSetting = setting(
        regularizers.get, default=None, alias="activity_regularizer"
    )
    depthwise_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)

    def _lamina_make_kernels(self, channels: int) -> int:
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = weight_from_settings(self, "depthwise", shape)
        return channels * self.depth_multiplier

    def _lamina_convolve(self, x: Array, bias: Array | None) -> Array:
        return convolve_channels(x, self.kernel, self.strides, self.padding, self.dilation_rate, bias)


@in_float32
def convolve_channels(
    x: Array,
    kernel: Array,
    strides: tuple[int, ...],
    padding: str,
    dilation: tuple[int, ...],
    bias: Array | None = None,
) -> Array:
    """Convolve every channel with its own kernels; `kernel` is (*kernel_size, channels, multiplier)."""
    *window, channels, multiplier = kernel.shape
    kernel = kernel.reshape(*window, 1, channels * multiplier)
    return convolve(x, kernel, strides, padding, dilation, channels, bias)


class DepthwiseConv1D(_DepthwiseConv):
    """Convolves each channel separately: (batch, steps, channels) to (batch, new steps, channels * depth_multiplier).

    This is the one-dimensional `DepthwiseConv2D`.

    >>> import numpy as np
    >>> DepthwiseConv1D(2, depth_multiplier=3)(np.ones((1, 5, 4))).shape
    (1, 4, 12)
    """

    rank: ClassVar[int] = 1


class DepthwiseConv2D(_DepthwiseConv):
    """Convolves each channel of an image separately.

    (batch, rows, columns, channels) becomes (batch, new rows, new columns, channels * depth_multiplier).
    Each channel has `depth_multiplier` kernels: `y[..., c * depth_multiplier + m]` is
    `activation(convolve(x[..., c], kernel[..., c, m]) + bias[c * depth_multiplier + m])`.

    >>> import numpy as np
    >>> DepthwiseConv2D(3)(np.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 4)
    """

    rank: ClassVar[int] = 2
