"""One step of a recurrent net: `output, states = cell(x, states)`; `RNN(cell)` goes through a sequence with it."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from lamina import activations
from lamina._base.shapes import Shape
from lamina._kernels import recurrent
from lamina._kernels.bits import bernoulli, fold
from lamina._layer.forward import random_key
from lamina._layer.layer import Layer
from lamina.errors import ArgumentError, ShapeError
from lamina.layers.recurrent.groups import Forget, Gate, Reset, Rules, Seed, Starts, Units
from lamina.random import key_of

Array = jax.Array


class Cell(Layer):
    """What the built-in cells share: one product with the input and one with the state serve all their gates."""

    gates: ClassVar[int]
    state_count: ClassVar[int] = 1
    _lamina_constants: ClassVar[dict[str, Any]] = {"implementation": 2}
    masks_differ: ClassVar[bool] = False
    """Whether `dropout` has a mask for each gate even without `recurrent_dropout`."""

    @property
    def state_size(self: Any) -> Any:
        return self.units if self.state_count == 1 else [self.units] * self.state_count

    @property
    def output_size(self: Any) -> int:
        return self.units  # type: ignore[no-any-return]

    def get_initial_state(self: Any, batch_size: Any = None) -> list[Array]:
        """Zeros.  -> (batch, units), one for each state"""
        return [jnp.zeros((batch_size, self.units), self.compute_dtype) for _ in range(self.state_count)]

    def build(self: Any, input_shape: Shape) -> None:
        self._make_weights((input_shape[-1],), (self.units,), self.units)

    def _make_weights(self: Any, inner: Any, recurrent: Any, units: int) -> None:
        """The kernel and the recurrent kernel, which end in the sizes `inner` and `recurrent` + gates, and the bias."""
        own = vars(self)
        self.kernel = self.add_weight(
            (*inner, units * self.gates),
            own["kernel_initializer"],
            regularizer=own["kernel_regularizer"],
            constraint=own["kernel_constraint"],
        )
        self.recurrent_kernel = self.add_weight(
            (*recurrent, units * self.gates),
            own["recurrent_initializer"],
            regularizer=own["recurrent_regularizer"],
            constraint=own["recurrent_constraint"],
        )
        self.bias = None
        if self.use_bias:
            shape, start = self._bias(units, own["bias_initializer"])
            self.bias = self.add_weight(
                shape, start, regularizer=own["bias_regularizer"], constraint=own["bias_constraint"]
            )

    def _bias(self, units: int, start: Any) -> tuple[Any, Any]:
        """The shape of the bias, and what fills it."""
        return (units * self.gates,), start

    def call(  # type: ignore[override]
        self, x: Array, states: Any, training: bool = False
    ) -> tuple[Array, list[Array]]:
        states = [jnp.asarray(state) for state in (states if isinstance(states, (list, tuple)) else [states])]
        if len(states) != self.state_count:
            raise ArgumentError(f"{self.name} has {self.state_count} states, got {len(states)}.")
        own = self._state_shapes(x.shape[0])
        if (given := [state.shape for state in states]) != own:
            raise ShapeError(f"wants states of {own[0]}, got {' and '.join(map(str, given))}")
        return self.advance(self.project(x, training), states, drop=self.draws(states[0], training))

    def _state_shapes(self, batch: Any) -> list[Shape]:
        """The shapes of the states that `advance` takes."""
        return [state.shape for state in self.get_initial_state(batch)]

    def run(self, x: Array, states: Any, mask: Any, training: bool, **how: bool) -> tuple[Array, Any]:
        """All steps: x is (time, batch, n), the outputs are (time, batch, units)."""
        drop = self.draws(states[0], training)
        return recurrent.scan(partial(self.advance, drop=drop), self.project(x, training), states, mask, **how)

    def project(self: Any, x: Array, training: bool) -> Array:
        """The input's share of the gates.  (..., batch, n) -> (..., batch, gates * units)"""
        z = self._product(x, self.kernel, self._drawn(self.dropout, x.shape[-2:], training, "input"))
        bias = self._input_bias()
        return z if bias is None else z + bias  # type: ignore[no-any-return]

    def _input_bias(self) -> Any:
        return self.bias

    def _dropped(self: Any, x: Array, training: bool) -> Array:
        """The input where one draw of `dropout` serves all gates."""
        drop = self._drawn(self.dropout, x.shape[-2:], training, "input")
        return x if drop is None else x * drop[0]

    def _bias_of(self: Any, x: Array) -> Array:
        """The bias, or zeros."""
        return jnp.zeros(self._bias(self.units, None)[0], x.dtype) if self.bias is None else self.bias

    def advance(self, z: Array, states: Any, drop: Any) -> tuple[Array, list[Array]]:
        """The output and the next states, from the input's share."""
        raise NotImplementedError(f"{type(self).__name__} needs a method advance(self, z, states, drop).")

    def draws(self: Any, state: Array, training: bool) -> Any:
        """What `recurrent_dropout` multiplies the state with, the same at every step."""
        return self._drawn(self.recurrent_dropout, state.shape, training, "state")

    def _drawn(self: Any, rate: float, shape: Any, training: bool, use: str) -> Any:
        """Zeros, and ones scaled up; for each gate others where `recurrent_dropout` is set.  -> (1 or gates, *shape)"""
        if not training or not 0 < rate < 1:
            return None
        key = random_key(self)
        if self.seed is not None:
            key = fold(fold(key_of(self.seed), key[0]), len(use))
        count = self.gates if self.recurrent_dropout or self.masks_differ else 1
        scale = jnp.asarray(1 / (1 - rate), self.compute_dtype)
        return jnp.where(bernoulli(key, 1 - rate, (count, *shape)), scale, jnp.zeros_like(scale))

    def _product(self, x: Array, kernel: Array, drop: Any, times: Any = jnp.matmul) -> Array:
        if drop is None or len(drop) == 1:
            return times(x if drop is None else x * drop[0], kernel)  # type: ignore[no-any-return]
        kernels = jnp.split(kernel, len(drop), -1)
        return jnp.concatenate([times(x * each, part) for each, part in zip(drop, kernels, strict=True)], -1)


class SimpleRNNCell(Seed, Rules, Starts, Units, Cell):
    """One step of `SimpleRNN`: `h = activation(x @ kernel + h @ recurrent_kernel + bias)`; x is (batch, n).

    >>> y, states = SimpleRNNCell(4)(jnp.ones((2, 3)), [jnp.zeros((2, 4))])
    >>> y.shape
    (2, 4)
    """

    gates: ClassVar[int] = 1

    def advance(self, z: Array, states: Any, drop: Any) -> tuple[Array, list[Array]]:
        h = self.activation(z + self._product(states[0], self.recurrent_kernel, drop))  # (batch, units)
        return h, [h]


class LongShortTerm(Cell):
    """The formula of the cells whose states are h and c, whatever makes the gates of x and h."""

    gates: ClassVar[int] = 4
    state_count: ClassVar[int] = 2

    def _bias(self: Any, units: int, start: Any) -> tuple[Any, Any]:
        if not self.unit_forget_bias:
            return (units * 4,), start

        def with_ones(shape: Any, dtype: Any, key: Any = None) -> Array:
            i, c_and_o = start((units,), dtype, key), start((2 * units,), dtype, key)
            return jnp.concatenate([i, jnp.ones((units,), dtype), c_and_o])

        return (units * 4,), with_ones

    def advance(self: Any, z: Array, states: Any, drop: Any) -> tuple[Array, list[Array]]:
        h, c = states
        i, f, g, o = jnp.split(z + self._product(h, self.recurrent_kernel, drop), 4, -1)  # (batch, units) each
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]


class LSTMCell(Seed, Rules, Forget, Starts, Gate, Units, LongShortTerm):
    """One step of `LSTM`, whose states are h and c; x is (batch, n).

    >>> y, states = LSTMCell(4)(jnp.ones((2, 3)), [jnp.zeros((2, 4)), jnp.zeros((2, 4))])
    >>> y.shape, len(states)
    ((2, 4), 2)
    """

    def run(self, x: Array, states: Any, mask: Any, training: bool, **how: bool) -> tuple[Array, Any]:
        standard = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        if not standard or (training and self.recurrent_dropout):
            return super().run(x, states, mask, training, **how)
        x, bias = self._dropped(x, training), self._bias_of(x)
        y, h, c = recurrent.lstm(x, self.kernel, bias, *states, self.recurrent_kernel, mask, **how)
        return y, [h, c]


class GRUCell(Seed, Reset, Rules, Starts, Gate, Units, Cell):
    """One step of `GRU`; x is (batch, n).

    >>> y, states = GRUCell(4)(jnp.ones((2, 3)), [jnp.zeros((2, 4))])
    >>> y.shape
    (2, 4)
    """

    gates: ClassVar[int] = 3

    def _bias(self, units: int, start: Any) -> tuple[Any, Any]:
        return ((2, units * 3) if self.reset_after else (units * 3,)), start

    def _input_bias(self) -> Any:
        return self.bias[0] if self.reset_after and self.bias is not None else self.bias

    def run(self, x: Array, states: Any, mask: Any, training: bool, **how: bool) -> tuple[Array, Any]:
        standard = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        if not standard or not self.reset_after or (training and self.recurrent_dropout):
            return super().run(x, states, mask, training, **how)
        x, (bias, inner) = self._dropped(x, training), self._bias_of(x)
        y, h = recurrent.gru(x, self.kernel, bias, states[0], self.recurrent_kernel, inner, mask, **how)
        return y, [h]

    def advance(self, z: Array, states: Any, drop: Any) -> tuple[Array, list[Array]]:
        h, split = states[0], 2 * self.units
        z_u, z_r, z_g = jnp.split(z, 3, -1)  # (batch, units) each
        if self.reset_after:
            a = self._product(h, self.recurrent_kernel, drop)
            a = a if self.bias is None else a + self.bias[1]
        else:
            a = self._product(h, self.recurrent_kernel[:, :split], None if drop is None else drop[:2])
        u = self.recurrent_activation(z_u + a[:, : self.units])
        r = self.recurrent_activation(z_r + a[:, self.units : split])
        if self.reset_after:
            a_g = r * a[:, split:]
        else:
            a_g = (r * h if drop is None else r * h * drop[-1]) @ self.recurrent_kernel[:, split:]
        h = u * h + (1 - u) * self.activation(z_g + a_g)
        return h, [h]
