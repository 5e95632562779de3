"""Layers that go through a sequence step by step."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import regularizers
from lamina._base.converters import flag
from lamina._base.frames import user_facing
from lamina._base.registry import Holder
from lamina._base.settings import Setting, setting
from lamina._base.shapes import InputSpec, Shape
from lamina._kernels import recurrent
from lamina._layer.layer import Layer
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.recurrent.cells import Cell, GRUCell, LSTMCell, SimpleRNNCell
from lamina.layers.recurrent.groups import (
    Cudnn,
    Forget,
    Gate,
    Group,
    Reset,
    Rules,
    Seed,
    Starts,
    Steps,
    Units,
    Unroll,
)
from lamina.layers.recurrent.stacked_cells import cell_of, initial_states, step_of

Array = jax.Array


class Recurrent(Layer):
    """What all of them share: how a cell goes through a sequence, and what becomes of masks and states."""

    supports_masking: ClassVar[bool] = True
    _lamina_instead: ClassVar[dict[str, str]] = {"input_length": "Write Input((length, features)) before the layer."}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.states: list[Any] | None = None

    def build(self: Any, input_shape: Shape) -> None:
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))
        if self.stateful:
            batch = input_shape[0] or self._lamina.batch_size
            if batch is None:
                raise ShapeError("is stateful and wants to know the batch size: Input(batch_shape=(32, 10, 8))")
            self.states = []
            for state in jax.tree.leaves(self.get_initial_state(batch)):
                weight = self.add_weight(state.shape, "zeros", trainable=False, autocast=False, name="rnn_state")
                weight.carried = True
                self.states.append(weight.assign(state))
        self.input_spec = InputSpec(ndim=len(input_shape), axes={-1: input_shape[-1]})

    def get_initial_state(self: Any, batch_size: Any) -> list[Any]:
        """The states before the first step, for `batch_size` rows."""
        return initial_states(self.cell, batch_size, self._state_dtype())

    def _state_dtype(self: Any) -> str:
        return self.cell.compute_dtype if isinstance(self.cell, Layer) else self.compute_dtype

    def call(self: Any, x: Array, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        states = self._start(x.shape[0], initial_state)
        x = jnp.moveaxis(x, 1, 0)  # (time, batch, ...)
        if mask is not None:
            if jnp.shape(mask) != x.shape[1::-1]:
                raise ShapeError(f"wants a mask of {x.shape[1::-1]}, got {jnp.shape(mask)}")
            mask = jnp.asarray(mask).astype(bool).T  # (time, batch)
        how = {"reverse": self.go_backwards, "unroll": self.unroll}
        if isinstance(self.cell, Cell):
            y, states = self.cell.run(x, states, mask, training, **how)
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

    def _start(self: Any, batch: Any, initial_state: Any) -> list[Any]:
        states = self.get_initial_state(batch)
        if initial_state is None and self.states is not None:
            if isinstance(batch, int) and batch != self.states[0].shape[0]:
                rows = self.states[0].shape[0]
                raise ShapeError(
                    f"{self.name} is stateful and was built for batches of {rows} rows, got {batch}: say "
                    f"batch_size={rows}, and leave out the rows that fill no batch: x[:{rows} * (len(x) // {rows})]"
                )
            initial_state = [weight.value for weight in self.states]
        if initial_state is None:
            return states  # type: ignore[no-any-return]
        given = jax.tree.leaves(initial_state)
        if len(given) != len(jax.tree.leaves(states)):
            raise ArgumentError(f"{self.name} has {len(jax.tree.leaves(states))} states, initial_state {len(given)}.")
        for state, own in zip(given, jax.tree.leaves(states), strict=True):
            if jnp.shape(state) != own.shape:
                raise ShapeError(f"wants initial states of {own.shape}, got {jnp.shape(state)}")
        given = [jnp.asarray(state, self._state_dtype()) for state in given]
        return jax.tree.unflatten(jax.tree.structure(states), given)  # type: ignore[no-any-return]

    def compute_mask(self: Any, x: Any, mask: Any = None) -> Any:
        return mask if self.return_sequences else None

    @user_facing
    def reset_state(self) -> None:
        """Start from zeros again, where the layer is stateful."""
        for weight in self.states or ():
            weight.assign(jnp.zeros(weight.shape, weight.dtype))

    reset_states = reset_state


class Given(Group):
    """The cell that the user gives."""

    cell: Any = setting(cell_of)


class RNN(Unroll, Steps, Given, Holder, Recurrent):
    """Goes through (batch, time, ...) with a cell: the last output, or all of them as (batch, time, units).

    A cell has `call(x, states)`, which returns the output and the next states, and `state_size`: a size, or a list of
    sizes. It may have `output_size` and `get_initial_state(batch_size)`. A list of cells is stacked.

    >>> RNN(SimpleRNNCell(4), return_sequences=True)(jnp.ones((2, 5, 3))).shape
    (2, 5, 4)

    Args:
        go_backwards: begin at the end; the outputs stand in the order in which they were computed.
        stateful: begin each batch with the states that the one before it left, until `reset_state()`.
        unroll: compile every step by itself; slower to compile, faster for a few steps.
        zero_output_for_mask: where the mask is False the output is 0, rather than the one before.
    """

    zero_output_for_mask: bool = setting(flag, default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(min_ndim=3)


class WithCell(Recurrent):
    """A recurrent layer that makes its own cell, from settings of the same names."""

    zero_output_for_mask: bool = setting(flag, default=False, kw_only=True)

    cell_class: ClassVar[type[Cell]]
    _lamina_constants: ClassVar[dict[str, Any]] = {"implementation": 2, "time_major": False}
    ndim: ClassVar[int] = 3

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "bias_regularizer" in cls._lamina_fields:  # after which Keras has one that other layers take by name alone
            names = [name for name in cls._lamina_fields if name != "activity_regularizer"]
            names.insert(names.index("bias_regularizer") + 1, "activity_regularizer")
            fields = cls._lamina_fields | {"activity_regularizer": Setting(regularizers.get, None, False)}
            cls._lamina_fields = {name: fields[name] for name in names}
        super().__init_subclass__(**kwargs)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_spec = InputSpec(ndim=self.ndim)
        kind = self.cell_class
        shared = [
            name for name in kind._lamina_fields if name in self._lamina_fields and name not in Layer._lamina_fields
        ]
        self.cell = kind(
            **{name: getattr(self, name) for name in shared}, dtype=self.dtype_policy, trainable=self.trainable
        )

    def _lamina_arguments(self) -> dict[str, Any]:
        told = super()._lamina_arguments() | {"activity_regularizer": self.activity_regularizer}
        return {name: value for name, value in told.items() if name != "use_cudnn"}


class SimpleRNN(Seed, Unroll, Steps, Rules, Starts, Units, WithCell):
    """Maps (batch, time, n) to (batch, units): `h = activation(x[t] @ kernel + h @ recurrent_kernel + bias)`.

    >>> SimpleRNN(4)(jnp.ones((2, 5, 3))).shape
    (2, 4)
    """

    cell_class: ClassVar[type[Cell]] = SimpleRNNCell


class LSTM(Cudnn, Unroll, Steps, Seed, Rules, Forget, Starts, Gate, Units, WithCell):
    """Maps (batch, time, n) to (batch, units): a state c that gates keep, fill and read.

    With i, f, g, o = the four parts of `x[t] @ kernel + h @ recurrent_kernel + bias` and s = recurrent_activation:
    `c = s(f) * c + s(i) * activation(g)`; `h = s(o) * activation(c)`.
    Source: Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735

    >>> LSTM(4, return_sequences=True)(jnp.ones((2, 5, 3))).shape
    (2, 5, 4)

    Args:
        unit_forget_bias: the bias of f starts at 1 (Jozefowicz et al., 2015).
        use_cudnn: changes nothing, one formula serves every device.
    """

    cell_class: ClassVar[type[Cell]] = LSTMCell


class GRU(Cudnn, Reset, Unroll, Steps, Seed, Rules, Starts, Gate, Units, WithCell):
    """Maps (batch, time, n) to (batch, units): a state h of which a gate u keeps a part.

    With `x[t] @ kernel + bias` in three parts zu, zr, zg, `h @ recurrent_kernel + bias` in au, ar, ag, and
    s = recurrent_activation: `u, r = s(zu + au), s(zr + ar)`; `h = u * h + (1 - u) * activation(zg + r * ag)`.
    Source: Cho et al., 2014, https://arxiv.org/abs/1406.1078

    >>> GRU(4)(jnp.ones((2, 5, 3))).shape
    (2, 4)

    Args:
        reset_after: False multiplies h by r before its product with the recurrent kernel, and has one bias.
        use_cudnn: changes nothing, one formula serves every device.
    """

    cell_class: ClassVar[type[Cell]] = GRUCell
