"""LSTMs that keep their states as images: every product with a kernel is a convolution."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import activations
from lamina._base.converters import flag, positive, word
from lamina._base.settings import Setting, setting
from lamina._base.shapes import InputSpec, Shape, per_axis
from lamina._kernels import recurrent
from lamina._kernels.convolution import convolve
from lamina._layer.weights import require_built
from lamina.config import data_format
from lamina.errors import ShapeError
from lamina.layers.convolution.plain import not_both, window_within
from lamina.layers.recurrent.cells import Cell, LongShortTerm
from lamina.layers.recurrent.groups import Forget, Gate, Group, Rules, Seed, Starts, Steps
from lamina.layers.recurrent.layers import WithCell

Array = jax.Array


class Window(Group):
    """How the kernel moves over an image, and what the candidates of the state go through."""

    filters: int = setting(positive)
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(word("valid", "same"), default="valid")
    data_format: str | None = setting(data_format, default=None)
    dilation_rate: Any = 1
    activation: Any = setting(activations.get, default="tanh")


class ConvLSTMCell(Seed, Rules, Forget, Starts, Gate, Window, LongShortTerm):
    """One step of `ConvLSTM2D` and its kin, which give it sizes with one number for each axis.

    x is (batch, *sizes, channels), or (batch, channels, *sizes); both states are of the output's shape.
    """

    masks_differ: ClassVar[bool] = True

    @property
    def units(self) -> int:
        return self.filters

    def build(self, input_shape: Shape) -> None:
        _, *sizes, channels = self._last(input_shape)
        if None in (*sizes, channels):
            raise ShapeError(f"needs to know the sizes and channels of its images, got {tuple(input_shape)}")
        needed = window_within(self, tuple(sizes))
        reach = needed if self.padding == "valid" else (1,) * len(sizes)
        steps = zip(sizes, reach, self.strides, strict=True)
        self.positions = tuple((size - least) // stride + 1 for size, least, stride in steps)
        self._make_weights((*self.kernel_size, channels), (*self.kernel_size, self.filters), self.filters)

    def get_initial_state(self, batch_size: Any = None) -> list[Array]:
        """Zeros, h and c.  -> (batch, *positions, filters) each, or (batch, filters, *positions)"""
        require_built(self, "get_initial_state()")
        shape = self._first((batch_size, *self.positions, self.filters))
        return [jnp.zeros(shape, self.compute_dtype) for _ in range(self.state_count)]

    def call(  # type: ignore[override]
        self, x: Array, states: Any, training: bool = False
    ) -> tuple[Array, list[Array]]:
        h, states = super().call(self._last(x), [self._last(state) for state in states], training)
        return self._first(h), [self._first(state) for state in states]

    def _state_shapes(self, batch: Any) -> list[Shape]:
        return [self._last(shape) for shape in super()._state_shapes(batch)]

    def run(self, x: Array, states: Any, mask: Any, training: bool, **how: bool) -> tuple[Array, Any]:
        """All steps. Each makes the input's share for itself: that of all at once does not fit into the caches."""
        x, states = self._last(x), [self._last(state) for state in states]
        state_drop = self.draws(states[0], training)
        input_drop = self._drawn(self.dropout, x.shape[1:], training, "input")

        def step(x: Array, states: Any) -> tuple[Array, list[Array]]:
            return self.advance(self._share(x, input_drop), states, state_drop)

        y, states = recurrent.scan(step, x, states, mask, **how)
        return self._first(y), [self._first(state) for state in states]

    def project(self, x: Array, training: bool) -> Array:
        return self._share(x, self._drawn(self.dropout, x.shape, training, "input"))

    def _share(self, x: Array, drop: Any) -> Array:
        """The input's share of the gates.  (batch, *sizes, channels) -> (batch, *positions, 4 filters)"""

        def times(x: Array, kernel: Array) -> Array:
            return convolve(x, kernel, self.strides, self.padding, self.dilation_rate)

        z = self._product(x, self.kernel, drop, times)
        return z if self.bias is None else z + self.bias

    def _product(self, x: Array, kernel: Array, drop: Any, times: Any = None) -> Array:
        return super()._product(x, kernel, drop, times or _around)

    def _last(self, x: Any) -> Any:
        """An array, or a shape, with its channels at the end."""
        return x if self.data_format == "channels_last" else _moved(x, -len(self.kernel_size) - 1, -1)

    def _first(self, x: Any) -> Any:
        return x if self.data_format == "channels_last" else _moved(x, -1, -len(self.kernel_size) - 1)


def _around(h: Array, kernel: Array) -> Array:
    """The state's share of the gates: its positions stay."""
    ones = (1,) * (h.ndim - 2)
    return convolve(h, kernel, ones, "same", ones)


def _moved(x: Any, axis: int, to: int) -> Any:
    if not isinstance(x, (tuple, list)):
        return jnp.moveaxis(x, axis, to)
    sizes = list(x)
    size = sizes.pop(axis)
    sizes.insert(len(x) + to, size)
    return tuple(sizes)


class ConvLSTM(Steps, Seed, Rules, Forget, Starts, Gate, Window, WithCell):
    """What the three of them share."""

    unroll: bool = setting(flag, default=False, kw_only=True)

    cell_class: ClassVar[type[Cell]] = ConvLSTMCell
    _lamina_constants: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, rank: int = 0, **kwargs: Any) -> None:
        if rank:
            cls.ndim = rank + 3
            size = per_axis(rank)
            cls._lamina_fields = {
                name: Setting(size, cls._lamina_fields[name].default, False)
                for name in ("kernel_size", "strides", "dilation_rate")
            }
        super().__init_subclass__(**kwargs)

    def __post_init__(self) -> None:
        super().__post_init__()
        not_both(self)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.input_spec = InputSpec(ndim=self.ndim, axes=dict(enumerate(input_shape[2:], 2)))


class ConvLSTM1D(ConvLSTM, rank=1):
    """Maps (batch, time, steps, channels) to (batch, new steps, filters): an LSTM along time whose states are lines.

    The one-dimensional `ConvLSTM2D`.

    >>> ConvLSTM1D(4, 3)(jnp.ones((2, 5, 8, 1))).shape
    (2, 6, 4)
    """


class ConvLSTM2D(ConvLSTM, rank=2):
    """Maps (batch, time, rows, columns, channels) to (batch, new rows, new columns, filters).

    An `LSTM` along time whose states h and c are images: with * a convolution, its gates are the four parts of
    `x[t] * kernel + h * recurrent_kernel + bias`. `strides`, `padding` and `dilation_rate` are those of the first one;
    the second keeps the size of h. With `data_format="channels_first"` channels stand after time.
    Source: Shi et al., 2015, https://arxiv.org/abs/1506.04214, without the products with c

    >>> ConvLSTM2D(4, 3, padding="same", return_sequences=True)(jnp.ones((2, 5, 8, 8, 1))).shape
    (2, 5, 8, 8, 4)
    """


class ConvLSTM3D(ConvLSTM, rank=3):
    """Maps (batch, time, depth, rows, columns, channels) to (batch, new depth, new rows, new columns, filters).

    The three-dimensional `ConvLSTM2D`.

    >>> ConvLSTM3D(2, 2)(jnp.ones((1, 3, 4, 4, 4, 1))).shape
    (1, 3, 3, 3, 2)
    """
