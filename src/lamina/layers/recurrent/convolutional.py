"""LSTMs whose states are sequences, images or volumes: every product with a kernel is a convolution."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import jax.numpy as jnp

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._kernels import recurrent
from lamina._kernels.convolution import convolve
from lamina._layer.specs import InputSpec
from lamina._layer.tracking import require_built
from lamina._settings.arguments import (
    ActivationSetting,
    ConstraintSetting,
    DataFormat,
    InitializerSetting,
    RegularizerSetting,
    Sizes,
)
from lamina._settings.converters import checked, flag, per_axis, positive, rate, seed_value, word
from lamina._settings.settings import setting
from lamina.config import data_format
from lamina.errors import ShapeError
from lamina.layers.convolution.plain import not_both, window_within
from lamina.layers.recurrent.cells import Cell, LSTMCell, Result, States, dropout_masks, input_part
from lamina.layers.recurrent.layers import WithCell


class ConvLSTMCell(LSTMCell):
    """One step of `ConvLSTM1D`, `ConvLSTM2D` or `ConvLSTM3D`; the layer passes sizes with one number for each axis.

    x is (batch, *sizes, channels), or (batch, channels, *sizes); both states have the output's shape. Each gate has its
    own dropout mask.
    """

    kernel_size: tuple[int, ...] = setting(kw_only=True)
    strides: tuple[int, ...] = setting(kw_only=True)
    padding: str = setting(kw_only=True)
    data_format: str = setting(kw_only=True)
    dilation_rate: tuple[int, ...] = setting(kw_only=True)

    _lamina_masks_differ: ClassVar[bool] = True

    @property
    def filters(self) -> int:
        return self.units

    def build(self, input_shape: Shape) -> None:
        if self.data_format == "channels_first":
            input_shape = (input_shape[0], *input_shape[2:], input_shape[1])
        *sizes, channels = (size for size in input_shape[1:] if size is not None)
        if len(sizes) < len(self.kernel_size):
            raise ShapeError(f"needs to know the sizes and channels of its images, got {tuple(input_shape)}")
        needed = window_within(self, tuple(sizes))
        reach = needed if self.padding == "valid" else (1,) * len(sizes)
        steps = zip(sizes, reach, self.strides, strict=True)
        self._lamina_positions = tuple((size - least) // stride + 1 for size, least, stride in steps)
        self._lamina_make_weights((*self.kernel_size, channels), (*self.kernel_size, self.units))

    def get_initial_state(self, batch_size: int | None = None) -> States:
        """The initial states h and c: zeros.  -> (batch, *positions, filters) each, or (batch, filters, *positions)"""
        require_built(self, "get_initial_state()")
        shape = (batch_size, *self._lamina_positions, self.units)
        return [channels_moved_back(self, jnp.zeros(shape, self.compute_dtype)) for _ in range(2)]

    def _lamina_step(self, x: Array, states: States, training: bool) -> Result:
        states = [channels_at_end(self, state) for state in states]
        h, states = super()._lamina_step(channels_at_end(self, x), states, training)
        return channels_moved_back(self, h), [channels_moved_back(self, state) for state in states]

    def _lamina_run(self, x: Array, states: States, mask: Array | None, training: bool, **how: bool) -> Result:
        """All steps. Each step convolves its input, since the result for all steps would not fit into the caches."""
        x, states = channels_at_end(self, x), [channels_at_end(self, state) for state in states]
        state_masks = dropout_masks(self, self.recurrent_dropout, states[0].shape, training)
        input_masks = dropout_masks(self, self.dropout, x.shape[1:], training)

        def step(x: Array, states: States) -> Result:
            return self._lamina_advance(input_part(self, x, input_masks), states, state_masks)

        y, states = recurrent.scan(step, x, states, mask, **how)
        return channels_moved_back(self, y), [channels_moved_back(self, state) for state in states]

    def _lamina_times_kernel(self, x: Array, kernel: Array) -> Array:
        return convolve(x, kernel, self.strides, self.padding, self.dilation_rate)

    def _lamina_times_recurrent_kernel(self, h: Array, kernel: Array) -> Array:
        ones = (1,) * len(self.kernel_size)
        return convolve(h, kernel, ones, "same", ones)


def channels_at_end(cell: ConvLSTMCell, x: Array) -> Array:
    """(..., channels, *sizes) -> (..., *sizes, channels), if the cell's data_format is "channels_first"."""
    return x if cell.data_format == "channels_last" else jnp.moveaxis(x, -len(cell.kernel_size) - 1, -1)


def channels_moved_back(cell: ConvLSTMCell, x: Array) -> Array:
    """(..., *sizes, channels) -> (..., channels, *sizes), if the cell's data_format is "channels_first"."""
    return x if cell.data_format == "channels_last" else jnp.moveaxis(x, -1, -len(cell.kernel_size) - 1)


class ConvLSTM(WithCell):
    """Base of `ConvLSTM1D`, `ConvLSTM2D` and `ConvLSTM3D`.

    Args:
        filters: the number of channels of the output and of each state.
        kernel_size: the size of both kernels; one number for every axis, or one for each.
        strides: the distance that the kernel moves from one output element to the next.
        padding: "valid" for no padding, or "same" for zeros around the input, so that with strides of 1 the size stays
            the same.
        data_format: "channels_last" or "channels_first"; None means the setting in `lamina.config`.
        dilation_rate: the distance in the input between two neighbouring elements of the kernel.
    """

    filters: int = setting(positive)
    kernel_size: Sizes = setting()
    strides: Sizes = setting(default=1)
    padding: Literal["valid", "same"] = setting(word("valid", "same"), default="valid")
    data_format: DataFormat = setting(data_format, default=None)
    dilation_rate: Sizes = setting(default=1)
    activation: ActivationSetting = setting(activations.get, default="tanh")
    recurrent_activation: ActivationSetting = setting(activations.get, default="sigmoid")
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: InitializerSetting = setting(initializers.get, default="glorot_uniform")
    recurrent_initializer: InitializerSetting = setting(initializers.get, default="orthogonal")
    bias_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    unit_forget_bias: bool = setting(flag, default=True)
    kernel_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    recurrent_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    _lamina_activity: RegularizerSetting = setting(regularizers.get, default=None, alias="activity_regularizer")
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    recurrent_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)
    dropout: float = setting(rate, default=0.0)
    recurrent_dropout: float = setting(rate, default=0.0)
    seed: int | None = setting(seed_value, default=None)
    return_sequences: bool = setting(flag, default=False)
    return_state: bool = setting(flag, default=False)
    go_backwards: bool = setting(flag, default=False)
    stateful: bool = setting(flag, default=False)
    unroll: bool = setting(flag, default=False, kw_only=True)

    _lamina_cell: ClassVar[type[Cell]] = ConvLSTMCell

    def __post_init__(self) -> None:
        sizes = per_axis(self._lamina_ndim - 3)
        for name in ("kernel_size", "strides", "dilation_rate"):
            setattr(self, name, checked(type(self).__name__, name, sizes, getattr(self, name)))
        not_both(self)
        super().__post_init__()

    def _lamina_cell_settings(self) -> dict[str, Any]:
        return super()._lamina_cell_settings() | {"units": self.filters}

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.input_spec = InputSpec(ndim=self._lamina_ndim, axes=dict(enumerate(input_shape[2:], 2)))


class ConvLSTM1D(ConvLSTM):
    """Maps (batch, time, steps, channels) to (batch, new steps, filters): an LSTM whose states are sequences.

    This is the one-dimensional `ConvLSTM2D`.

    >>> ConvLSTM1D(4, 3)(jnp.ones((2, 5, 8, 1))).shape
    (2, 6, 4)
    """

    _lamina_ndim: ClassVar[int] = 4


class ConvLSTM2D(ConvLSTM):
    """Maps (batch, time, rows, columns, channels) to (batch, new rows, new columns, filters).

    An `LSTM` along time whose states h and c are images: with * a convolution, its gates are the four parts of
    `x[t] * kernel + h * recurrent_kernel + bias`. `strides`, `padding` and `dilation_rate` are those of the first
    convolution; the second keeps the size of h. With `data_format="channels_first"` x is (batch, time, channels, rows,
    columns).
    Source: Shi et al., 2015, https://arxiv.org/abs/1506.04214, without the products with c

    >>> ConvLSTM2D(4, 3, padding="same", return_sequences=True)(jnp.ones((2, 5, 8, 8, 1))).shape
    (2, 5, 8, 8, 4)
    """

    _lamina_ndim: ClassVar[int] = 5


class ConvLSTM3D(ConvLSTM):
    """Maps (batch, time, depth, rows, columns, channels) to (batch, new depth, new rows, new columns, filters).

    This is the three-dimensional `ConvLSTM2D`.

    >>> ConvLSTM3D(2, 2)(jnp.ones((1, 3, 4, 4, 4, 1))).shape
    (1, 3, 3, 3, 2)
    """

    _lamina_ndim: ClassVar[int] = 6
