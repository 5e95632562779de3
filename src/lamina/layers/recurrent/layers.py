"""Layers that process a sequence step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import jax
import jax.numpy as jnp

from lamina import activations, constraints, initializers, regularizers
from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._kernels import recurrent
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import (
    ActivationSetting,
    ConstraintSetting,
    InitializerSetting,
    RegularizerSetting,
)
from lamina._settings.converters import flag, one_of, positive, rate, seed_value
from lamina._settings.registry import Holder
from lamina._settings.settings import setting
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.recurrent.cells import Cell, GRUCell, LSTMCell, SimpleRNNCell
from lamina.layers.recurrent.stacked_cells import CellSetting, cell_of, initial_states, step_of


class Recurrent(Layer):
    """Base of the recurrent layers: applies a cell to each step, and handles masks and states.

    Args:
        return_sequences: whether to return the outputs of all steps, or only the last output.
        return_state: whether to return the last states too, as a tuple of the output and each state.
        go_backwards: whether to start at the last step; the outputs are in the order of computation.
        stateful: whether each batch starts from the last states of the previous batch, until `reset_state()`.
        unroll: whether to compile each step separately, which takes longer to compile and is faster for few steps.
        zero_output_for_mask: whether the output of a masked step is 0. If False, it is the output of the previous step.
    """

    supports_masking: ClassVar[bool] = True

    if TYPE_CHECKING:

        def _lamina_settings(self) -> None:
            """The settings of every recurrent layer: each class has them among its fields, in Keras's order."""
            self.cell: Any
            self.return_sequences: bool
            self.return_state: bool
            self.go_backwards: bool
            self.stateful: bool
            self.unroll: bool
            self.zero_output_for_mask: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        self.states: list[Weight] | None = None

    def build(self, input_shape: Shape) -> None:
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))
        if self.stateful:
            batch = input_shape[0] or self._lamina.batch_size
            if batch is None:
                raise ShapeError("is stateful and needs to know the batch size")
            self.states = []
            for state in jax.tree.leaves(self.get_initial_state(batch)):
                weight = self.add_weight(state.shape, "zeros", trainable=False, autocast=False, name="rnn_state")
                weight.carried = True
                self.states.append(weight.assign(state))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={-1: input_shape[-1]})

    def get_initial_state(self, batch_size: int | None) -> list[Any]:
        """The states before the first step, for `batch_size` rows."""
        return initial_states(self.cell, batch_size, state_dtype(self))

    def call(
        self, x: Array, initial_state: Any = None, mask: Array | None = None, training: bool = False
    ) -> Array | tuple[Array, ...]:
        states = first_states(self, x.shape[0], initial_state)
        x = jnp.moveaxis(x, 1, 0)  # (time, batch, ...)
        if mask is not None:
            if jnp.shape(mask) != x.shape[1::-1]:
                raise ShapeError(f"expects a mask of {x.shape[1::-1]}, got {jnp.shape(mask)}")
            mask = jnp.asarray(mask).astype(bool).T  # (time, batch)
        how = {"reverse": self.go_backwards, "unroll": self.unroll}
        # A subclass of a built-in cell may override call.
        if isinstance(self.cell, Cell) and type(self.cell).call is Cell.call:
            y, states = self.cell._lamina_run(x, states, mask, training, **how)
        else:
            y, states = recurrent.scan(step_of(self.cell, training), x, states, mask, **how)
        if mask is not None and self.zero_output_for_mask:
            y = recurrent.choose(mask, y, jnp.zeros_like(y))
        for weight, state in zip(self.states or (), jax.tree.leaves(states), strict=False):
            weight.assign(state)
        if self.return_sequences:
            y = jnp.moveaxis(y[::-1] if self.go_backwards else y, 0, 1)  # (batch, time, units)
        else:
            y = y[0 if self.go_backwards else -1]  # (batch, units)
        return (y.astype(self.compute_dtype), *states) if self.return_state else y.astype(self.compute_dtype)

    def compute_mask(self, x: Array, mask: Array | None = None) -> Array | None:
        return mask if self.return_sequences else None

    @user_facing
    def reset_state(self) -> None:
        """Set the states of a stateful layer to zeros."""
        for weight in self.states or ():
            weight.assign(jnp.zeros(weight.shape, weight.dtype))

    reset_states = reset_state


def state_dtype(layer: Recurrent) -> str:
    return layer.cell.compute_dtype if isinstance(layer.cell, Layer) else layer.compute_dtype


def first_states(layer: Recurrent, batch: int | None, initial_state: Any) -> list[Any]:
    """The states before the first step: the given ones, those of the previous batch, or the cell's initial states."""
    states = layer.get_initial_state(batch)
    if initial_state is None and layer.states is not None:
        rows = layer.states[0].shape[0]
        if isinstance(batch, int) and batch != rows:
            raise ShapeError(
                f"{layer.name} is stateful and was built for batches of {rows} rows, got {batch}: say "
                f"batch_size={rows}, and leave out the rows that fill no batch: x[:{rows} * (len(x) // {rows})]"
            )
        initial_state = [weight.value for weight in layer.states]
    if initial_state is None:
        return states
    given, (own, structure) = jax.tree.leaves(initial_state), jax.tree.flatten(states)
    if len(given) != len(own):
        raise ArgumentError(f"{layer.name} has {len(own)} states, initial_state {len(given)}.")
    for state, wanted in zip(given, own, strict=True):
        if jnp.shape(state) != wanted.shape:
            raise ShapeError(f"expects initial states of {wanted.shape}, got {jnp.shape(state)}")
    dtype = state_dtype(layer)
    return jax.tree.unflatten(structure, [jnp.asarray(state, dtype) for state in given])  # type: ignore[no-any-return]


class RNN(Holder, Recurrent):
    """Applies a cell to each step of (batch, time, ...) and returns the last output, (batch, units), or all outputs.

    All outputs are (batch, time, units). A cell has `call(x, states)`, which returns the output and the next states,
    and `state_size`: a size, or a list of sizes. It may have `output_size` and `get_initial_state(batch_size)`.

    >>> RNN(SimpleRNNCell(4), return_sequences=True)(jnp.ones((2, 5, 3))).shape
    (2, 5, 4)

    Args:
        cell: the cell, or a list of cells; each cell takes the output of the one before.
    """

    cell: CellSetting = setting(cell_of)
    return_sequences: bool = setting(flag, default=False)
    return_state: bool = setting(flag, default=False)
    go_backwards: bool = setting(flag, default=False)
    stateful: bool = setting(flag, default=False)
    unroll: bool = setting(flag, default=False)
    zero_output_for_mask: bool = setting(flag, default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(min_ndim=3)


class WithCell(Recurrent):
    """Base of the layers that make their own cell from their settings.

    Args:
        units: the number of outputs, and the size of each state.
        activation: the function applied to the candidate for the new state, and in an LSTM to c.
        recurrent_activation: the function applied to the gates.
        use_bias: whether to add a bias.
        kernel_initializer: the initial values of the kernel, by which the input is multiplied.
        recurrent_initializer: the initial values of the recurrent kernel, by which the state is multiplied.
        bias_initializer: the initial values of the bias.
        unit_forget_bias: whether the bias of the forget gate f starts at 1 (Jozefowicz et al., 2015).
        kernel_regularizer, recurrent_regularizer, bias_regularizer: the penalties on the weights.
        kernel_constraint, recurrent_constraint, bias_constraint: the constraints on the weights.
        dropout: the fraction of the input that is set to 0 in training; all steps use the same mask.
        recurrent_dropout: the fraction of the state that is set to 0 in training before its product with the recurrent
            kernel; all steps use the same mask. If it is above 0, each gate has its own masks.
        seed: the seed of both dropouts; None for the layer's own seed.
        use_cudnn: has no effect, since every device uses the same formula.
    """

    activity_regularizer: RegularizerSetting = setting(init=False)
    zero_output_for_mask: bool = setting(flag, default=False, kw_only=True)

    _lamina_cell: ClassVar[type[Cell]]
    _lamina_ndim: ClassVar[int] = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self._lamina_ndim)
        self.cell = self._lamina_cell(**self._lamina_cell_settings())

    def _lamina_cell_settings(self) -> dict[str, Any]:
        """The arguments of the cell: those of its settings that this layer has too."""
        shared = (self._lamina_fields.keys() & self._lamina_cell._lamina_fields) - Layer._lamina_fields.keys()
        own = {name: getattr(self, name) for name in shared}
        return own | {"dtype": self.dtype_policy, "trainable": self.trainable}

    def _lamina_arguments(self) -> dict[str, Any]:
        return super()._lamina_arguments() | {"activity_regularizer": self.activity_regularizer}


class SimpleRNN(WithCell):
    """Maps (batch, time, n) to (batch, units): `h = activation(x[t] @ kernel + h @ recurrent_kernel + bias)`.

    >>> SimpleRNN(4)(jnp.ones((2, 5, 3))).shape
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
    _lamina_activity: RegularizerSetting = setting(regularizers.get, default=None, alias="activity_regularizer")
    kernel_constraint: ConstraintSetting = setting(constraints.get, default=None)
    recurrent_constraint: ConstraintSetting = setting(constraints.get, default=None)
    bias_constraint: ConstraintSetting = setting(constraints.get, default=None)
    dropout: float = setting(rate, default=0.0)
    recurrent_dropout: float = setting(rate, default=0.0)
    return_sequences: bool = setting(flag, default=False)
    return_state: bool = setting(flag, default=False)
    go_backwards: bool = setting(flag, default=False)
    stateful: bool = setting(flag, default=False)
    unroll: bool = setting(flag, default=False)
    seed: int | None = setting(seed_value, default=None)

    _lamina_cell: ClassVar[type[Cell]] = SimpleRNNCell
    _lamina_implicit: ClassVar[frozenset[str]] = frozenset({"seed"})


class LSTM(WithCell):
    """Maps (batch, time, n) to (batch, units) with a state c; gates scale it, add to it and read it.

    With i, f, g, o = the four parts of `x[t] @ kernel + h @ recurrent_kernel + bias` and s = recurrent_activation:
    `c = s(f) * c + s(i) * activation(g)`; `h = s(o) * activation(c)`.
    Source: Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735

    >>> LSTM(4, return_sequences=True)(jnp.ones((2, 5, 3))).shape
    (2, 5, 4)
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
    unroll: bool = setting(flag, default=False)
    use_cudnn: bool | Literal["auto"] = setting(one_of("auto", True, False), default="auto", in_config=False)

    _lamina_cell: ClassVar[type[Cell]] = LSTMCell


class GRU(WithCell):
    """Maps (batch, time, n) to (batch, units) with a state h; a gate u decides which part is kept.

    With `x[t] @ kernel + bias` in three parts zu, zr, zg, `h @ recurrent_kernel + bias` in au, ar, ag, and
    s = recurrent_activation: `u, r = s(zu + au), s(zr + ar)`; `h = u * h + (1 - u) * activation(zg + r * ag)`.
    Source: Cho et al., 2014, https://arxiv.org/abs/1406.1078

    >>> GRU(4)(jnp.ones((2, 5, 3))).shape
    (2, 4)

    Args:
        reset_after: whether r multiplies the product of h with the recurrent kernel, as above. If False, r multiplies h
            before that product, and there is one bias.
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
    unroll: bool = setting(flag, default=False)
    reset_after: bool = setting(flag, default=True)
    use_cudnn: bool | Literal["auto"] = setting(one_of("auto", True, False), default="auto", in_config=False)

    _lamina_cell: ClassVar[type[Cell]] = GRUCell
