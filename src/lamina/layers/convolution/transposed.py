"""Transposed convolutions: each input element multiplies a kernel, and the products are added up in the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, TypeAlias

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._kernels.convolution import convolve_transposed
from lamina._layer.layer import weight_from_settings
from lamina._settings import arguments
from lamina._settings.converters import count, flag, positive, word
from lamina._settings.settings import Converted, setting
from lamina.config import data_format
from lamina.errors import ArgumentError
from lamina.layers.convolution.plain import Sliding, convert_per_axis, not_both

OptionalSizes: TypeAlias = Converted[int | Sequence[int] | None, tuple[int, ...] | None]


class Transposed(Sliding):
    """A convolution in the opposite direction, from a small input to a larger output.

    Args:
        filters: the number of output channels.
        output_padding: the number of elements added at the end of each axis, one number or one for each axis. It must
            be below `strides`. None for the usual size of the output.
        kernel_initializer, kernel_regularizer, kernel_constraint: the initial values of the kernel, the penalty on the
            kernel, and the constraint after each update.
    """

    _lamina_needs_full_window: ClassVar[bool] = False

    def __post_init__(self: Any) -> None:
        super().__post_init__()
        not_both(self)
        if self.output_padding is not None:
            convert_per_axis(self, "output_padding", convert=count)
        if any(more >= stride for more, stride in zip(self.output_padding or (), self.strides, strict=False)):
            raise ArgumentError(
                f"{type(self).__name__}(strides={self.strides}, output_padding={self.output_padding}): "
                "output_padding must be below strides on every axis."
            )

    def _lamina_make_kernels(self: Any, channels: int) -> int:
        filters: int = self.filters
        self.kernel = weight_from_settings(self, "kernel", (*self.kernel_size, filters, channels))
        return filters

    def _lamina_convolve(self: Any, x: Array, bias: Array | None) -> Array:
        how = (self.strides, self.padding, self.dilation_rate, self.output_padding)
        y = convolve_transposed(x, self.kernel, *how)
        return y if bias is None else y + bias


class _ConvTranspose(Transposed):
    filters: int = setting(positive)
    kernel_size: arguments.Sizes
    strides: arguments.Sizes = setting(default=1)
    padding: Literal["valid", "same"] = setting(word("valid", "same"), default="valid")
    output_padding: OptionalSizes = setting(default=None)
    data_format: arguments.DataFormat = setting(data_format, default=None)
    dilation_rate: arguments.Sizes = setting(default=1)
    activation: arguments.ActivationSetting = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: arguments.InitializerSetting = setting(initializers.get, default="glorot_uniform")
    bias_initializer: arguments.InitializerSetting = setting(initializers.get, default="zeros")
    kernel_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    _lamina_activity: arguments.RegularizerSetting = setting(
        regularizers.get, default=None, alias="activity_regularizer"
    )
    kernel_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)


class Conv1DTranspose(_ConvTranspose):
    """Transposed convolution: (batch, steps, channels) to (batch, more steps, filters).

    This is the one-dimensional `Conv2DTranspose`.

    >>> import numpy as np
    >>> Conv1DTranspose(3, 2, strides=2)(np.ones((1, 5, 4))).shape
    (1, 10, 3)
    """

    rank: ClassVar[int] = 1


class Conv2DTranspose(_ConvTranspose):
    """Transposed convolution: (batch, rows, columns, channels) to (batch, more rows, more columns, filters).

    It maps the shape of a `Conv2D`'s output to the shape of its input. The formula is that of the gradient of a
    `Conv2D` with respect to its input: each input element multiplies the kernel, and the products are added to the
    output, `strides` apart.
    n rows become `n * strides` for `padding="same"` and `(n - 1) * strides + max(kernel_size, strides)` for "valid";
    with `output_padding` they become `(n - 1) * strides + kernel_size % 2 + output_padding` and
    `(n - 1) * strides + kernel_size + output_padding`.
    Source: Dumoulin and Visin, 2016, https://arxiv.org/abs/1603.07285

    >>> import numpy as np
    >>> Conv2DTranspose(8, 3, strides=2, padding="same")(np.ones((1, 5, 5, 4))).shape
    (1, 10, 10, 8)
    """

    rank: ClassVar[int] = 2


class Conv3DTranspose(Transposed):
    """Transposed convolution of a volume, (batch, depth, rows, columns, channels).

    The output is (batch, more depth, more rows, more columns, filters). This is the three-dimensional
    `Conv2DTranspose`, but `data_format` comes before `output_padding`, as in Keras.

    >>> import numpy as np
    >>> Conv3DTranspose(2, 2, strides=2)(np.ones((1, 2, 2, 2, 1))).shape
    (1, 4, 4, 4, 2)
    """

    filters: int = setting(positive)
    kernel_size: arguments.Sizes
    strides: arguments.Sizes = setting(default=1)
    padding: Literal["valid", "same"] = setting(word("valid", "same"), default="valid")
    data_format: arguments.DataFormat = setting(data_format, default=None)
    output_padding: OptionalSizes = setting(default=None)
    dilation_rate: arguments.Sizes = setting(default=1)
    activation: arguments.ActivationSetting = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: arguments.InitializerSetting = setting(initializers.get, default="glorot_uniform")
    bias_initializer: arguments.InitializerSetting = setting(initializers.get, default="zeros")
    kernel_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: arguments.RegularizerSetting = setting(regularizers.get, default=None)
    _lamina_activity: arguments.RegularizerSetting = setting(
        regularizers.get, default=None, alias="activity_regularizer"
    )
    kernel_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: arguments.ConstraintSetting = setting(constraints.get, default=None)

    rank: ClassVar[int] = 3


Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
