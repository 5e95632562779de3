"""Layers that slide a small kernel over a sequence, an image or a volume; and what all convolutions share."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import activations, constraints, initializers, regularizers
from lamina._base.converters import count, flag, optional, positive, word
from lamina._base.settings import Setting, setting
from lamina._base.shapes import InputSpec, Shape, per_axis
from lamina._kernels.convolution import convolve
from lamina._kernels.convolution_by_xla import spread
from lamina._layer.layer import Layer
from lamina.config import data_format
from lamina.errors import ArgumentError, ShapeError

Array = jax.Array


class Sliding(Layer):
    """What all of them share: sizes with one number for each axis, the bias, and where the channels stand.

    The settings are fields of the families below, in Keras's order. A family has `make_kernels(channels)`, which makes
    the weights before the bias and returns the number of output channels, and `slide(x, bias)`, its convolution:
    (batch, *sizes, channels) -> (batch, *positions, output channels).
    """

    rank: ClassVar[int]
    covered: ClassVar[bool] = True
    """Whether the window must lie within the input where nothing is padded."""

    def __init_subclass__(
        cls, rank: int = 0, paddings: tuple[str, ...] = ("valid", "same"), first: tuple[str, ...] = (), **kwargs: Any
    ) -> None:
        if rank:
            cls.rank = rank
            wanted = f"a whole number, or {rank} of them"
            size = per_axis(rank, wanted=wanted)
            converts = {
                "kernel_size": size,
                "strides": size,
                "dilation_rate": size,
                "output_padding": optional(per_axis(rank, count, wanted)),
                "padding": word(*paddings),
            }
            fields = {name: cls._lamina_fields[name] for name in (*first, *cls._lamina_fields)}
            for name in converts.keys() & fields.keys():
                fields[name] = Setting(converts[name], fields[name].default, False)
            cls._lamina_fields = fields
        super().__init_subclass__(**kwargs)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def _lamina_arguments(self) -> dict[str, Any]:
        return super()._lamina_arguments() | {"activity_regularizer": self.activity_regularizer}

    def add(self, kind: str, shape: tuple[int, ...]) -> Any:
        """The weight that the settings `{kind}_initializer`, `_regularizer` and `_constraint` are for."""
        initializer, regularizer, constraint = (
            getattr(self, f"{kind}_{what}") for what in ("initializer", "regularizer", "constraint")
        )
        return self.add_weight(shape, initializer, regularizer=regularizer, constraint=constraint)

    def build(self: Any, input_shape: Shape) -> None:
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None:
            raise ShapeError(f"needs to know the number of channels, got {tuple(input_shape)}")
        filters = self.make_kernels(channels)
        if self.use_bias:
            self.bias = self.add("bias", (filters,))
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})

    def call(self: Any, x: Array) -> Array:
        last = self.data_format == "channels_last"
        y = self.slide(x if last else jnp.moveaxis(x, 1, -1), self.bias if self.use_bias else None)
        return self.activation(y if last else jnp.moveaxis(y, -1, 1))  # type: ignore[no-any-return]

    def _lamina_check_input(self: Any, shape: Shape) -> None:
        super()._lamina_check_input(shape)
        if self.covered:
            window_within(self, shape[1:-1] if self.data_format == "channels_last" else shape[2:])


def window_within(layer: Any, sizes: Shape) -> tuple[int, ...]:
    """How many elements the layer's window reaches over; where nothing is padded it must lie within `sizes`."""
    needed = spread(layer.kernel_size, layer.dilation_rate)
    short = any(size is not None and size < least for size, least in zip(sizes, needed, strict=True))
    if short and layer.padding == "valid":
        raise ShapeError(
            f"wants at least {' x '.join(map(str, needed))} for its window, got {' x '.join(map(str, sizes))}: "
            "take a smaller kernel_size or padding='same'"
        )
    return needed


def not_both(layer: Any) -> None:
    if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:
        raise ArgumentError(
            f"{type(layer).__name__}(strides={layer.strides}, dilation_rate={layer.dilation_rate}): only one of the "
            "two may be above 1."
        )


class _Conv(Sliding):
    filters: int = setting(positive)
    kernel_size: Any
    strides: Any = 1
    padding: str = "valid"
    data_format: str | None = setting(data_format, default=None)
    dilation_rate: Any = 1
    groups: int = setting(positive, default=1)
    activation: Any = setting(activations.get, default=None)
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: Any = setting(initializers.get, default="glorot_uniform")
    bias_initializer: Any = setting(initializers.get, default="zeros")
    kernel_regularizer: Any = setting(regularizers.get, default=None)
    bias_regularizer: Any = setting(regularizers.get, default=None)
    kernel_constraint: Any = setting(constraints.get, default=None)
    bias_constraint: Any = setting(constraints.get, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        not_both(self)
        if self.filters % self.groups:
            raise ArgumentError(
                f"{type(self).__name__}(filters={self.filters}, groups={self.groups}): groups must divide filters."
            )

    def make_kernels(self, channels: int) -> int:
        if channels % self.groups:
            raise ShapeError(f"wants channels that its groups={self.groups} divides, got {channels}")
        self.kernel = self.add("kernel", (*self.kernel_size, channels // self.groups, self.filters))
        return self.filters

    def slide(self, x: Array, bias: Array | None) -> Array:
        return convolve(x, self.kernel, self.strides, self.padding, self.dilation_rate, self.groups, bias)


class Conv1D(_Conv, rank=1, paddings=("valid", "same", "causal")):
    """Maps (batch, steps, channels) to (batch, new steps, filters).

    `y[p] = activation(sum_w x[p + w] @ kernel[w] + bias)`, at every `strides`-th p, with the w `dilation_rate` apart.
    With `padding="causal"` no output sees a later step. `groups` parts of the channels are convolved apart.

    >>> Conv1D(3, 2)(jnp.ones((1, 5, 4))).shape
    (1, 4, 3)
    """


class Conv2D(_Conv, rank=2):
    """Maps (batch, rows, columns, channels) to (batch, new rows, new columns, filters).

    `y[i, j] = activation(sum_{a, b} x[i + a, j + b] @ kernel[a, b] + bias)`, at every `strides`-th i and j, with a and
    b `dilation_rate` apart. `groups` parts of the channels are convolved apart, each for its part of the filters.

    >>> Conv2D(8, 3, padding="same", activation="relu")(jnp.ones((1, 5, 5, 1))).shape
    (1, 5, 5, 8)
    """


class Conv3D(_Conv, rank=3):
    """Maps (batch, depth, rows, columns, channels) to (batch, new depth, new rows, new columns, filters).

    The three-dimensional `Conv2D`.

    >>> Conv3D(2, 2)(jnp.ones((1, 3, 3, 3, 1))).shape
    (1, 2, 2, 2, 2)
    """


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
