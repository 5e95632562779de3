"""One step of a recurrent net: `output, states = cell(x, states)`; `RNN(cell)` applies it to every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import jax.numpy as jnp
from jax.typing import DTypeLike

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._kernels import recurrent
from lamina._kernels.bits import bernoulli
from lamina._kernels.matmul import matmul
from lamina._kernels.numbers import constant
from lamina._layer.keys import drawn_key
from lamina._layer.layer import Layer, weight_from_settings
from lamina._settings.arguments import ActivationSetting, ConstraintSetting, InitializerSetting, RegularizerSetting
from lamina._settings.converters import flag, positive, rate, seed_value
from lamina._settings.settings import setting
from lamina.errors import ArgumentError, ShapeError
from lamina.initializers.adapters import keyed

States: TypeAlias = list[Array]
Result: TypeAlias = tuple[Array, States]
"""The output and the next states."""


class Cell(Layer):
    """Base of the built-in cells: one product with the input and one with the state compute all gates.

    A subclass sets the numbers of its gates and states, and defines its formula in `_lamina_advance`.

    Args:
        units: the number of outputs, and the size of each state.
        activation: the function applied to the candidate for the new state, and in an LSTM to c.
        recurrent_activation: the function applied to the gates.
        use_bias: whether to add a bias.
        kernel_initializer: the initial values of the kernel, by which the input is multiplied.
        recurrent_initializer: the initial values of the recurrent kernel, by which the state is multiplied.
        bias_initializer: the initial values of the bias.
        kernel_regularizer, recurrent_regularizer, bias_regularizer: the penalties on the weights.
        kernel_constraint, recurrent_constraint, bias_constraint: the constraints on the weights.
        dropout: the fraction of the input that is set to 0 in training; all steps use the same mask.
        recurrent_dropout: the fraction of the state that is set to 0 in training before its product with the recurrent
            kernel; all steps use the same mask. If it is above 0, each gate has its own masks.
        seed: the seed of both dropouts; None for the layer's own seed.
    """

    _lamina_gates: ClassVar[int]
    _lamina_state_count: ClassVar[int] = 1
    _lamina_masks_differ: ClassVar[bool] = False
    """Whether `dropout` has one mask for each gate even without `recurrent_dropout`."""

    if TYPE_CHECKING:

        def _lamina_settings(self) -> None:
            """The settings of every cell: each class has them among its fields, in Keras's order."""
            self.units: int
            self.use_bias: bool
            self.dropout: float
            self.recurrent_dropout: float
            self.seed: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self._lamina_state_count
        self.state_size: int | list[int] = self.units if count == 1 else [self.units] * count
        self.output_size = self.units

    def get_initial_state(self, batch_size: int | None = None) -> States:
        """The initial states: zeros.  -> (batch, units), one for each state"""
        shape = (batch_size, self.units)
        return [jnp.zeros(shape, self.compute_dtype) for _ in range(self._lamina_state_count)]

    def build(self, input_shape: Shape) -> None:
        self._lamina_make_weights((input_shape[-1],), (self.units,))

    def _lamina_make_weights(self, before_input: Shape, before_state: Shape) -> None:
        """Make the weights. The shape of each kernel is the given sizes, then the size of all gates."""
        width = self.units * self._lamina_gates
        self.kernel = weight_from_settings(self, "kernel", (*before_input, width))
        self.recurrent_kernel = weight_from_settings(self, "recurrent", (*before_state, width))
        self.bias = self._lamina_make_bias(width) if self.use_bias else None

    def _lamina_make_bias(self, width: int) -> Any:
        return weight_from_settings(self, "bias", (width,))

    def call(self, x: Array, states: Array | Sequence[Array], training: bool = False) -> Result:
        given = [jnp.asarray(state) for state in (states if isinstance(states, (list, tuple)) else [states])]
        if len(given) != self._lamina_state_count:
            raise ArgumentError(f"{self.name} has {self._lamina_state_count} states, got {len(given)}.")
        wanted = [state.shape for state in self.get_initial_state(x.shape[0])]
        if (shapes := [state.shape for state in given]) != wanted:
            raise ShapeError(f"expects states of {wanted[0]}, got {' and '.join(map(str, shapes))}")
        return self._lamina_step(x, given, training)

    def _lamina_step(self, x: Array, states: States, training: bool) -> Result:
        """One step: the output and the next states."""
        z = input_part(self, x, dropout_masks(self, self.dropout, x.shape, training))
        return self._lamina_advance(z, states, dropout_masks(self, self.recurrent_dropout, states[0].shape, training))

    def _lamina_run(self, x: Array, states: States, mask: Array | None, training: bool, **how: bool) -> Result:
        """All steps: x is (time, batch, n), the outputs are (time, batch, units)."""
        masks = dropout_masks(self, self.recurrent_dropout, states[0].shape, training)
        z = input_part(self, x, dropout_masks(self, self.dropout, x.shape[1:], training))
        return recurrent.scan(partial(self._lamina_advance, masks=masks), z, states, mask, **how)

    def _lamina_advance(self, z: Array, states: States, masks: Array | None) -> Result:
        """The output and the next states; z is the part of the gates that comes from the input."""
        raise NotImplementedError(f"{type(self).__name__} needs a method call(self, x, states).")

    def _lamina_times_kernel(self, x: Array, kernel: Array) -> Array:
        return matmul(x, kernel)

    def _lamina_times_recurrent_kernel(self, h: Array, kernel: Array) -> Array:
        return matmul(h, kernel)


def input_part(cell: Cell, x: Array, masks: Array | None) -> Array:
    """The part of the gates that comes from the input.  (..., batch, n) -> (..., batch, gates * units)"""
    z = product(cell._lamina_times_kernel, x, cell.kernel, masks)
    bias: Array | None = cell.bias
    if bias is not None and bias.ndim == 2:
        bias = bias[0]  # the second row is the bias of the product with the state
    return z if bias is None else z + bias


def state_part(cell: Cell, h: Array, masks: Array | None) -> Array:
    """The part of the gates that comes from the state.  (batch, units) -> (batch, gates * units)"""
    return product(cell._lamina_times_recurrent_kernel, h, cell.recurrent_kernel, masks)


def product(times: Callable[[Array, Array], Array], x: Array, kernel: Array, masks: Array | None) -> Array:
    """`times(x * mask, kernel)`, with one mask for all gates, or with one mask and one part of the kernel for each."""
    if masks is None or len(masks) == 1:
        return times(x if masks is None else x * masks[0], kernel)
    kernels = jnp.split(kernel, len(masks), -1)
    return jnp.concatenate([times(x * mask, part) for mask, part in zip(masks, kernels, strict=True)], -1)


def dropout_masks(cell: Cell, rate: float, shape: tuple[int, ...], training: bool) -> Array | None:
    """Dropout masks of 0 and 1 / (1 - rate): one, or one for each gate; None without dropout.  -> (masks, *shape)"""
    if not training or not 0 < rate < 1:
        return None
    count = cell._lamina_gates if cell.recurrent_dropout or cell._lamina_masks_differ else 1
    scale = constant(1 / (1 - rate), cell.compute_dtype)
    return jnp.where(bernoulli(drawn_key(cell), 1 - rate, (count, *shape)), scale, jnp.zeros_like(scale))


def is_standard(cell: LSTMCell | GRUCell, training: bool) -> bool:
    """Whether `_kernels/recurrent.py` has the formula: only for tanh and sigmoid without dropout on the state."""
    functions = cell.activation is activations.tanh and cell.recurrent_activation is activations.sigmoid
    return functions and not (training and cell.recurrent_dropout)


def standard_inputs(cell: Cell, x: Array, training: bool, bias_shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The input after dropout, and the bias or zeros: the arguments of the formulas in `_kernels/recurrent.py`."""
    masks = dropout_masks(cell, cell.dropout, x.shape[1:], training)
    bias = jnp.zeros(bias_shape, x.dtype) if cell.bias is None else cell.bias
    return x if masks is None else x * masks[0], bias


class SimpleRNNCell(Cell):
    """One step of `SimpleRNN`: `h = activation(x @ kernel + h @ recurrent_kernel + bias)`; x is (batch, n).

    >>> y, states = SimpleRNNCell(4)(jnp.ones((2, 3)), [jnp.zeros((2, 4))])
    >>> y.shape
    (2, 4)
    """

    units: int = setting(positive)
    activation: ActivationSetting = setting(activations.get, default="tanh")
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: InitializerSetting = setting(initializers.get, default="glorot_uniform")
    recurrent_initializer: InitializerSetting = setting(initializers.get, default="orthogonal")
    bias_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    kernel_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    recurrent_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    recurrent_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)
    dropout: float = setting(rate, default=0.0)
    recurrent_dropout: float = setting(rate, default=0.0)
    seed: int | None = setting(seed_value, default=None)

    _lamina_gates: ClassVar[int] = 1

    def _lamina_advance(self, z: Array, states: States, masks: Array | None) -> Result:
        h = self.activation(z + state_part(self, states[0], masks))  # (batch, units)
        return h, [h]


class LSTMCell(Cell):
    """One step of `LSTM`, with the states h and c; x is (batch, n).

    >>> y, states = LSTMCell(4)(jnp.ones((2, 3)), [jnp.zeros((2, 4)), jnp.zeros((2, 4))])
    >>> y.shape, len(states)
    ((2, 4), 2)

    Args:
        unit_forget_bias: whether the bias of the forget gate f starts at 1 (Jozefowicz et al., 2015).
    """

    units: int = setting(positive)
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
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    recurrent_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)
    dropout: float = setting(rate, default=0.0)
    recurrent_dropout: float = setting(rate, default=0.0)
    seed: int | None = setting(seed_value, default=None)

    _lamina_gates: ClassVar[int] = 4
    _lamina_state_count: ClassVar[int] = 2

    def _lamina_make_bias(self, width: int) -> Any:
        if not self.unit_forget_bias:
            return super()._lamina_make_bias(width)
        start, units = keyed(self.bias_initializer), self.units

        def with_ones(shape: Shape, dtype: DTypeLike, key: Array | None = None) -> Array:
            i, c_and_o = start((units,), dtype, key), start((2 * units,), dtype, key)
            return jnp.concatenate([i, jnp.ones((units,), dtype), c_and_o])

        regularizer, constraint = self.bias_regularizer, self.bias_constraint
        return self.add_weight((width,), with_ones, regularizer=regularizer, constraint=constraint)

    def _lamina_run(self, x: Array, states: States, mask: Array | None, training: bool, **how: bool) -> Result:
        if not is_standard(self, training):
            return super()._lamina_run(x, states, mask, training, **how)
        x, bias = standard_inputs(self, x, training, (4 * self.units,))
        h, c = states
        y, h, c = recurrent.lstm(x, self.kernel, bias, h, c, self.recurrent_kernel, mask, **how)
        return y, [h, c]

    def _lamina_advance(self, z: Array, states: States, masks: Array | None) -> Result:
        h, c = states
        i, f, g, o = jnp.split(z + state_part(self, h, masks), 4, -1)  # (batch, units) each
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]


class GRUCell(Cell):
    """One step of `GRU`; x is (batch, n).

    >>> y, states = GRUCell(4)(jnp.ones((2, 3)), [jnp.zeros((2, 4))])
    >>> y.shape
    (2, 4)

    Args:
        reset_after: whether the reset gate r multiplies the product of h with the recurrent kernel, which has its own
            bias. If False, r multiplies h before that product, and there is one bias.
    """

    units: int = setting(positive)
    activation: ActivationSetting = setting(activations.get, default="tanh")
    recurrent_activation: ActivationSetting = setting(activations.get, default="sigmoid")
    use_bias: bool = setting(flag, default=True)
    kernel_initializer: InitializerSetting = setting(initializers.get, default="glorot_uniform")
    recurrent_initializer: InitializerSetting = setting(initializers.get, default="orthogonal")
    bias_initializer: InitializerSetting = setting(initializers.get, default="zeros")
    kernel_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    recurrent_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    bias_regularizer: RegularizerSetting = setting(regularizers.get, default=None)
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    recurrent_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)
    dropout: float = setting(rate, default=0.0)
    recurrent_dropout: float = setting(rate, default=0.0)
    reset_after: bool = setting(flag, default=True)
    seed: int | None = setting(seed_value, default=None)

    _lamina_gates: ClassVar[int] = 3

    def _lamina_make_bias(self, width: int) -> Any:
        return weight_from_settings(self, "bias", (2, width) if self.reset_after else (width,))

    def _lamina_run(self, x: Array, states: States, mask: Array | None, training: bool, **how: bool) -> Result:
        if not self.reset_after or not is_standard(self, training):
            return super()._lamina_run(x, states, mask, training, **how)
        x, (bias, inner) = standard_inputs(self, x, training, (2, 3 * self.units))
        y, h = recurrent.gru(x, self.kernel, bias, states[0], self.recurrent_kernel, inner, mask, **how)
        return y, [h]

    def _lamina_advance(self, z: Array, states: States, masks: Array | None) -> Result:
        h, split = states[0], 2 * self.units
        z_u, z_r, z_g = jnp.split(z, 3, -1)  # (batch, units) each
        if self.reset_after:
            a = state_part(self, h, masks)
            a = a if self.bias is None else a + self.bias[1]
        else:
            a = product(matmul, h, self.recurrent_kernel[:, :split], None if masks is None else masks[:2])
        u = self.recurrent_activation(z_u + a[:, : self.units])
        r = self.recurrent_activation(z_r + a[:, self.units : split])
        if self.reset_after:
            a_g = r * a[:, split:]
        else:
            a_g = matmul(r * h if masks is None else r * h * masks[-1], self.recurrent_kernel[:, split:])
        h = u * h + (1 - u) * self.activation(z_g + a_g)
        return h, [h]
