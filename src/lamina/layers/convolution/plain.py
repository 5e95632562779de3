"""Convolutions of a sequence, an image or a volume, and the base class of all convolutions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import jax.numpy as jnp

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._kernels.convolution import convolve, in_next_loop
from lamina._kernels.window import spread
from lamina._layer.layer import Layer, weight_from_settings
from lamina._layer.specs import InputSpec
from lamina._settings import arguments
from lamina._settings.converters import checked, flag, per_axis, positive, word
from lamina._settings.settings import setting
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.low_rank import LowRank, adapt


class Sliding(Layer):
    """A layer that moves a kernel over its input: the base of all convolutions.

    Each family declares its settings in Keras's order, and has two methods: `_lamina_make_kernels(channels)` makes
    the weights before the bias and returns the number of output channels, and `_lamina_convolve(x, bias)` maps
    (batch, *sizes, channels) to (batch, *positions, output channels).

    Args:
        kernel_size: the size of the kernel, one number for all axes or one for each.
        strides: how far the kernel moves from one output element to the next, one number or one for each axis.
        padding: "valid" for no padding; "same" for zeros at both ends, so that with strides of 1 the size stays.
        data_format: "channels_last" for (batch, *sizes, channels), "channels_first" for (batch, channels, *sizes);
            None for the default, `lamina.config.image_data_format()`.
        dilation_rate: the distance between two elements of the kernel, one number or one for each axis.
        activation: the function that is applied to the output, or its name; None for none.
        use_bias: whether a bias is added, one number for each output channel.
        bias_initializer, bias_regularizer, bias_constraint: the initial values of the bias, the penalty on the bias,
            and the constraint after each update.
        activity_regularizer: a penalty on the layer's output, added to the loss.
    """

    activity_regularizer: arguments.RegularizerSetting = setting(init=False)

    rank: ClassVar[int]
    """How many axes the kernel has."""
    _lamina_needs_full_window: ClassVar[bool] = True
    """Whether the input must be at least as large as the kernel if it is not padded."""
    _lamina_makes_floats: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        convert_per_axis(self, "kernel_size", "strides", "dilation_rate")
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _lamina_arguments(self) -> dict[str, Any]:
        return super()._lamina_arguments() | {"activity_regularizer": self.activity_regularizer}

    def build(self: Any, input_shape: Shape) -> None:
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None:
            raise ShapeError(f"needs to know the number of channels, got {tuple(input_shape)}")
        filters = self._lamina_make_kernels(channels)
        self.bias = weight_from_settings(self, "bias", (filters,)) if self.use_bias else None
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})

    def call(self: Any, x: Array) -> Array:
        last = self.data_format == "channels_last"
        y = self._lamina_convolve(x if last else jnp.moveaxis(x, 1, -1), self.bias)
        return self.activation(y if last else jnp.moveaxis(y, -1, 1))  # type: ignore[no-any-return]

    def _lamina_check_input(self: Any, shape: Shape) -> None:
        super()._lamina_check_input(shape)
        if self._lamina_needs_full_window:
            window_within(self, shape[1:-1] if self.data_format == "channels_last" else shape[2:])


def convert_per_axis(layer: Sliding, *names: str, convert: Callable[[object], int] = positive) -> None:
    """Turn these settings, each one number or one for each axis of the kernel, into tuples with one for each axis."""
    sizes = per_axis(layer.rank, convert, f"a whole number, or {layer.rank} of them")
    for name in names:
        setattr(layer, name, checked(type(layer).__name__, name, sizes, getattr(layer, name)))


def window_within(layer: Any, sizes: Shape) -> tuple[int, ...]:
    """How many input elements the dilated kernel covers on each axis.

    Raises a `ShapeError` if that is more than the input's `sizes` and the layer does not pad.
    """
    needed = spread(layer.kernel_size, layer.dilation_rate)
    short = any(size is not None and size < least for size, least in zip(sizes, needed, strict=True))
    if short and layer.padding == "valid":
        raise ShapeError(
            f"expects at least {' x '.join(map(str, needed))} for its window, got {' x '.join(map(str, sizes))}: "
            "take a smaller kernel_size or padding='same'"
        )
    return needed


def not_both(layer: Any) -> None:
    """Raise an `ArgumentError` if both `strides` and `dilation_rate` are above 1 on some axis."""
    if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:
        raise ArgumentError(
            f"{type(layer).__name__}(strides={layer.strides}, dilation_rate={layer.dilation_rate}): only one of the "
            "two may be above 1."
        )


class _Conv(LowRank, Sliding):
    """A convolution in which every output channel depends on all input channels of its group.

    Args:
        filters: the number of output channels.
        groups: the number of groups into which the channels are split. Each group is convolved with its own part of
            the filters, so `groups` must divide both `filters` and the number of input channels.
        kernel_initializer, kernel_regularizer, kernel_constraint: the initial values of the kernel, the penalty on the
            kernel, and the constraint after each update.
        lora_rank, lora_alpha: the rank and the weight of a low-rank adaptation, see `enable_lora`.
    """

    filters: int = setting(positive)
    kernel_size: arguments.Sizes
    strides: arguments.Sizes = setting(default=1)
    padding: Literal["valid", "same"] = setting(word("valid", "same"), default="valid")
    data_format: arguments.DataFormat = setting(data_format, default=None)
    dilation_rate: arguments.Sizes = setting(default=1)
    groups: int = setting(positive, default=1)
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

    def __post_init__(self) -> None:
        super().__post_init__()
        not_both(self)
        if self.filters % self.groups:
            raise ArgumentError(
                f"{type(self).__name__}(filters={self.filters}, groups={self.groups}): groups must divide filters."
            )

    def _lamina_make_kernels(self, channels: int) -> int:
        if channels % self.groups:
            raise ShapeError(f"expects channels that its groups={self.groups} divides, got {channels}")
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = weight_from_settings(self, "kernel", shape)
        return self.filters

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        if self.lora_rank:
            adapt(self, self.lora_rank, self.lora_alpha)

    @property
    def _lamina_in_next_loop(self) -> bool:
        return self.groups == 1 and in_next_loop(self.kernel.shape)

    def _lamina_convolve(self, x: Array, bias: Array | None) -> Array:
        return convolve(x, self.kernel, self.strides, self.padding, self.dilation_rate, self.groups, bias)


class Conv1D(_Conv):
    """Convolves a sequence: (batch, steps, channels) to (batch, new steps, filters).

    `y[p] = activation(sum_w x[p * strides + w * dilation_rate] @ kernel[w] + bias)`

    >>> Conv1D(3, 2)(jnp.ones((1, 5, 4))).shape
    (1, 4, 3)

    Args:
        padding: "valid" for no padding; "same" for zeros at both ends, so that with strides of 1 the length stays;
            "causal" for zeros at the beginning, so that no output step depends on a later input step.
    """

    filters: int = setting(positive)
    kernel_size: arguments.Sizes
    strides: arguments.Sizes = setting(default=1)
    padding: Literal["valid", "same", "causal"] = setting(word("valid", "same", "causal"), default="valid")  # type: ignore[assignment]

    rank: ClassVar[int] = 1


class Conv2D(_Conv):
    """Convolves an image: (batch, rows, columns, channels) to (batch, new rows, new columns, filters).

    `y[i, j] = activation(sum_{a, b} x[i + a, j + b] @ kernel[a, b] + bias)`, for strides and a dilation rate of 1.

    >>> Conv2D(8, 3, padding="same", activation="relu")(jnp.ones((1, 5, 5, 1))).shape
    (1, 5, 5, 8)
    """

    rank: ClassVar[int] = 2


class Conv3D(_Conv):
    """Convolves a volume, (batch, depth, rows, columns, channels).

    The output is (batch, new depth, new rows, new columns, filters). This is the three-dimensional `Conv2D`.

    >>> Conv3D(2, 2)(jnp.ones((1, 3, 3, 3, 1))).shape
    (1, 2, 2, 2, 2)
    """

    rank: ClassVar[int] = 3


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
