"""Convolutions the other way round: every element of the input adds a kernel to the output."""

from __future__ import annotations

from typing import Any, ClassVar

import jax

from lamina import activations, constraints, initializers, regularizers
from lamina._base.converters import flag, positive
from lamina._base.settings import setting
from lamina._kernels.convolution import convolve_transposed
from lamina.config import data_format
from lamina.errors import ArgumentError
from lamina.layers.convolution.plain import Sliding, not_both

Array = jax.Array


class _ConvTranspose(Sliding):
    filters: int = setting(positive)
    kernel_size: Any
    strides: Any = 1
    padding: str = "valid"
    output_padding: Any = None
    data_format: str | None = setting(data_format, default=None)
    dilation_rate: Any = 1
    activation: Any = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: Any = setting(initializers.get, default="glorot_uniform")
    bias_initializer: Any = setting(initializers.get, default="zeros")
    kernel_regularizer: Any = setting(regularizers.get, default=None)
    bias_regularizer: Any = setting(regularizers.get, default=None)
    kernel_constraint: Any = setting(constraints.get, default=None)
    bias_constraint: Any = setting(constraints.get, default=None)

    covered: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        not_both(self)
        if any(more >= stride for more, stride in zip(self.output_padding or (), self.strides, strict=False)):
            raise ArgumentError(
                f"{type(self).__name__}(strides={self.strides}, output_padding={self.output_padding}): "
                "output_padding must be below strides on every axis."
            )

    def make_kernels(self, channels: int) -> int:
        self.kernel = self.add("kernel", (*self.kernel_size, self.filters, channels))
        return self.filters

    def slide(self, x: Array, bias: Array | None) -> Array:
        how = (self.strides, self.padding, self.dilation_rate, self.output_padding)
        y = convolve_transposed(x, self.kernel, *how)
        return y if bias is None else y + bias


class Conv1DTranspose(_ConvTranspose, rank=1):
    """Maps (batch, steps, channels) to (batch, more steps, filters): the way back of a `Conv1D`, as its gradient goes.

    See `Conv2DTranspose`.

    >>> Conv1DTranspose(3, 2, strides=2)(jax.numpy.ones((1, 5, 4))).shape
    (1, 10, 3)
    """


class Conv2DTranspose(_ConvTranspose, rank=2):
    """Maps (batch, rows, columns, channels) to (batch, more rows, more columns, filters): the way back of a `Conv2D`.

    Every input element adds its multiple of the kernel to the output, `strides` apart. n rows become `n * strides` for
    `padding="same"` and `(n - 1) * strides + max(kernel_size, strides)` for "valid"; with `output_padding` they become
    `(n - 1) * strides + kernel_size % 2 + output_padding` and `(n - 1) * strides + kernel_size + output_padding`.
    Source: Dumoulin and Visin, 2016, https://arxiv.org/abs/1603.07285

    >>> Conv2DTranspose(8, 3, strides=2, padding="same")(jax.numpy.ones((1, 5, 5, 4))).shape
    (1, 10, 10, 8)
    """


class Conv3DTranspose(
    _ConvTranspose, rank=3, first=("filters", "kernel_size", "strides", "padding", "data_format", "output_padding")
):
    """Maps (batch, depth, rows, columns, channels) to (batch, more depth, more rows, more columns, filters).

    The three-dimensional `Conv2DTranspose`.

    >>> Conv3DTranspose(2, 2, strides=2)(jax.numpy.ones((1, 2, 2, 2, 1))).shape
    (1, 4, 4, 4, 2)
    """


Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
