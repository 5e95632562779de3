"""Recurrent nets over a whole sequence.

The product with the input is computed before the scan, and the products for the weights' gradients after the scan. In
the gradient that JAX derives from a scan, each step adds to the weights' gradients, and more arrays are stored. The
gradients written here compute everything that is not sequential for all steps at once. With lamina-onednn a whole
sequence is one call, which saves the overhead of many small products (benchmarks/README.md has the measured times).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._kernels.native import onednn
from lamina._kernels.precision import in_float32

States = TypeVar("States", bound=Sequence[Any])
"""The arrays that a cell passes from step to step; for stacked cells, lists of them."""
Two = tuple[Array, Array]
Three = tuple[Array, Array, Array]
Step = tuple[Array, Array | None]
"""The number of a step or its input, and which of its rows are not masked."""
Slopes = tuple[Array, Array, Array, Array]
LSTMKept = tuple[Array, Array, Array, Array, Array, Array | None]
GRUKept = tuple[Array, Sequence[Array], Array, Array, Array | None]


def scan(
    advance: Callable[[Array, States], tuple[Array, States]],
    x: Array,
    states: States,
    mask: Array | None = None,
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Array, States]:
    """`output, states = advance(x[t], states)` for each t: the outputs (time, batch, ...), and the states at the end.

    x is (time, batch, ...), and `mask` is (time, batch). Where the mask is False, the states do not change, and the
    output is the previous output: the first state (for stacked cells, the first state of the last cell).
    """
    tree = jax.tree.structure(states)

    def step(states: States, now: Step) -> tuple[States, Array]:
        x, counts = now
        y, new = advance(x, states)
        old = jax.tree.leaves(states)
        leaves = [a.astype(b.dtype) for a, b in zip(jax.tree.leaves(new), old, strict=True)]
        if counts is not None:
            leaves = [choose(counts, a, b) for a, b in zip(leaves, old, strict=True)]
            before = states[-1][0] if isinstance(states[0], (list, tuple)) else states[0]
            y = choose(counts, y, before)
        return jax.tree.unflatten(tree, leaves), y

    states, y = lax.scan(step, states, (x, mask), reverse=reverse, unroll=unroll)
    return y, states


def choose(counts: Array, new: Array, old: Array | float) -> Array:
    """`new` where `counts`, which has fewer axes, is True; else `old`."""
    return jnp.where(counts.reshape(counts.shape + (1,) * (new.ndim - counts.ndim)), new, old)


@in_float32
def lstm(
    x: Array,
    kernel: Array,
    bias: Array,
    h: Array,
    c: Array,
    recurrent: Array,
    mask: Array | None,
    reverse: bool = False,
    unroll: bool = False,
    *,
    half: bool = False,
) -> tuple[Array, Array, Array]:
    """The outputs of an LSTM with tanh and sigmoid, and its last states.

    x is (time, batch, n), kernel (n, 4 units) for the gates i, f, g and o, bias (4 units,); h and c are (batch, units),
    recurrent is (units, 4 units), mask None or (time, batch). With a = x[t] @ kernel + bias + h @ recurrent:
    c = sigmoid(f) c + sigmoid(i) tanh(g); h = sigmoid(o) tanh(c).
    """
    return _NETS["lstm"](x, kernel, bias, h, c, recurrent, mask, reverse, unroll, half)  # type: ignore[no-any-return]


def _lstm_forward(
    z: Array, bias: Array, h: Array, c: Array, kernel: Array, mask: Array | None, reverse: bool, unroll: bool
) -> tuple[Three, LSTMKept]:
    # All gates are one operation, since sigmoid(a) = tanh(a / 2) / 2 + 1 / 2. Their values overwrite z, and in the
    # backward pass their gradients overwrite dz. A training step (200 steps, 128 units) takes 35 ms instead of 46.
    half = jnp.repeat(jnp.array([0.5, 0.5, 1, 0.5], z.dtype), h.shape[-1])
    above = jnp.repeat(jnp.array([0.5, 0.5, 0, 0.5], z.dtype), h.shape[-1])

    def step(states: Three, now: Step) -> tuple[Three, Two]:
        (h, c, gates), (t, counts) = states, now
        all_four = jnp.tanh((_taken(gates, t) + bias + h @ kernel) * half) * half + above
        i, f, g, o = jnp.split(all_four, 4, -1)  # (batch, units) each
        new = f * c + i * g
        out = o * jnp.tanh(new)
        if counts is not None:
            out, new = choose(counts, out, h), choose(counts, new, c)
        return (out, new, _put(gates, all_four, t)), (out, c)

    xs = (jnp.arange(z.shape[0]), mask)
    (last, carry, gates), (y, before) = lax.scan(step, (h, c, z), xs, reverse=reverse, unroll=unroll)
    return (y, last, carry), (y, gates, before, h, kernel, mask)


def _lstm_backward(reverse: bool, unroll: bool, kept: LSTMKept, cotangents: Three) -> Slopes:
    y, gates, before, h, kernel, mask = kept
    dy, dh, dc = cotangents
    i, f, g, o = jnp.split(gates, 4, -1)  # (time, batch, units) each
    tanh_c = jnp.tanh(f * before + i * g)
    to = [g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), tanh_c * o * (1 - o)]
    dz, to_c, across = jnp.concatenate(to, -1), o * (1 - tanh_c * tanh_c), kernel.T

    def step(slopes: Three, now: tuple[Array, Array, Array, Array, Array | None]) -> tuple[Three, None]:
        (dh, dc, dz), (t, dy, to_c, f, counts) = slopes, now
        dh = dh + dy
        new = dc + dh * to_c
        own = _taken(dz, t) * jnp.concatenate([new, new, new, dh], -1)  # (batch, 4 units)
        new = new * f
        if counts is None:
            return (own @ across, new, _put(dz, own, t)), None
        own = choose(counts, own, 0.0)  # chosen after the products, so that NaN in masked steps does not spread
        return (choose(counts, own @ across, dh), choose(counts, new, dc), _put(dz, own, t)), None

    xs = (jnp.arange(y.shape[0]), dy, to_c, f, mask)
    (dh, dc, dz), _ = lax.scan(step, (dh, dc, dz), xs, reverse=not reverse, unroll=unroll)
    return dz, dh, dc, _weight_gradient(_shifted(y, h, reverse), dz)


@in_float32
def gru(
    x: Array,
    kernel: Array,
    bias: Array,
    h: Array,
    recurrent: Array,
    inner_bias: Array,
    mask: Array | None,
    reverse: bool = False,
    unroll: bool = False,
    *,
    half: bool = False,
) -> tuple[Array, Array]:
    """The outputs of a GRU with tanh and sigmoid and `reset_after`, and its last state.

    x is (time, batch, n), kernel (n, 3 units) for the gates u, r and g, bias (3 units,); h is (batch, units), recurrent
    (units, 3 units), inner_bias (3 units,), mask None or (time, batch). With z = x[t] @ kernel + bias and
    a = h @ recurrent + inner_bias: u, r = sigmoid(z + a); g = tanh(z + r a); h = u h + (1 - u) g.
    """
    return _NETS["gru"](x, kernel, bias, h, recurrent, inner_bias, mask, reverse, unroll, half)  # type: ignore[no-any-return]


def _gru_forward(
    z: Array, bias: Array, h: Array, kernel: Array, inner_bias: Array, mask: Array | None, reverse: bool, unroll: bool
) -> tuple[Two, GRUKept]:
    def step(h: Array, now: Step) -> tuple[Array, tuple[Array, ...]]:
        z, counts = now
        z_u, z_r, z_g = jnp.split(z + bias, 3, -1)  # (batch, units) each
        a_u, a_r, a = jnp.split(h @ kernel + inner_bias, 3, -1)
        u, r = jax.nn.sigmoid(z_u + a_u), jax.nn.sigmoid(z_r + a_r)
        g = jnp.tanh(z_g + r * a)
        # As one array they are computed once; otherwise later operations recompute them (18 instead of 7 ms for 200
        # steps of (32, 128)).
        u, r, g = jnp.split(lax.optimization_barrier(jnp.concatenate([u, r, g], -1)), 3, -1)
        out = u * h + (1 - u) * g
        if counts is not None:
            out = choose(counts, out, h)
        return out, (out, u, r, g, a)

    last, (y, *gates) = lax.scan(step, h, (z, mask), reverse=reverse, unroll=unroll)
    return (y, last), (y, gates, h, kernel, mask)


def _gru_backward(reverse: bool, unroll: bool, kept: GRUKept, cotangents: Two) -> Slopes:
    y, (u, r, g, a), h, kernel, mask = kept
    dy, dh = cotangents
    before = _shifted(y, h, reverse)
    to_u, to_g, to_r = (before - g) * u * (1 - u), (1 - u) * (1 - g * g), a * r * (1 - r)  # (time, batch, units)
    across = kernel.T

    def step(dh: Array, now: tuple[Array, Array, Array, Array, Array, Array, Array | None]) -> tuple[Array, Two]:
        dy, to_u, to_g, to_r, u, r, counts = now
        dh = dh + dy
        du, dg = dh * to_u, dh * to_g
        dr = dg * to_r
        dz, da = jnp.concatenate([du, dr, dg], -1), jnp.concatenate([du, dr, dg * r], -1)  # (batch, 3 units)
        if counts is None:
            return dh * u + da @ across, (dz, da)
        dz, da = choose(counts, dz, 0.0), choose(counts, da, 0.0)  # after the products, as in the LSTM
        return choose(counts, dh * u + da @ across, dh), (dz, da)

    dh, (dz, da) = lax.scan(step, dh, (dy, to_u, to_g, to_r, u, r, mask), reverse=not reverse, unroll=unroll)
    return dz, dh, _weight_gradient(before, da), da.sum((0, 1))


BY_XLA: dict[str, tuple[Callable[..., tuple[tuple[Array, ...], Any]], Callable[..., Slopes]]] = {
    "lstm": (_lstm_forward, _lstm_backward),
    "gru": (_gru_forward, _gru_backward),
}


def _computed(
    name: str, taken: Sequence[Array], mask: Array | None, reverse: bool, unroll: bool, half: bool, keep: bool
) -> tuple[tuple[Array, ...], Any]:
    """A net's outputs, and the arrays that its gradient needs; only `keep` stores all of them."""
    x, kernel, bias, *others = taken
    native = _native(x, others[0], unroll)
    if not native:
        return BY_XLA[name][0](x @ kernel, bias, *others, mask, reverse, unroll)
    given = getattr(native, name)(_batch_first(x), *taken[1:], mask=mask, reverse=reverse, half=half, keep=keep)
    y, *states = given[:-1]  # the gates are last
    return (y, *(state[0 if reverse else -1] for state in (y, *states))), given


def _kept(name: str, *arguments: Any) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
    *taken, mask, reverse, unroll, half = arguments
    wanted = () if taken[0].perturbed else None  # a structure, since the backward pass gets no Python value
    taken, mask = _values(taken), _values(mask)
    outputs, given = _computed(name, taken, mask, reverse, unroll, half, True)
    return outputs, (wanted, taken, mask, given)


def _slopes(
    name: str, reverse: bool, unroll: bool, half: bool, kept: tuple[Any, ...], cotangents: Sequence[Any]
) -> tuple[Array | None, ...]:
    wanted, taken, mask, given = kept
    x, kernel, _, h, *_ = taken
    slopes = _dense(cotangents)
    native = _native(x, h, unroll)
    if not native:
        dz, *others = BY_XLA[name][1](reverse, unroll, given, slopes)
        return dz @ kernel.T, _weight_gradient(x, dz), dz.sum((0, 1)), *others, None
    gradient = getattr(native, f"{name}_gradient")
    taken = (_batch_first(x), *taken[1:])
    dx, *others = gradient(slopes, taken, given, mask=mask, reverse=reverse, half=half, input_too=wanted is not None)
    return _batch_first(dx) if wanted is not None else jnp.zeros_like(x), *others, None


def _net(name: str) -> Callable[..., Any]:
    def computed(*arguments: Any) -> tuple[Array, ...]:
        mask, reverse, unroll, half = arguments[6:]
        return _computed(name, arguments[:6], mask, reverse, unroll, half, False)[0]

    net = jax.custom_vjp(computed, nondiff_argnums=(7, 8, 9))
    net.defvjp(partial(_kept, name), partial(_slopes, name), symbolic_zeros=True)
    return net


_NETS = {name: _net(name) for name in BY_XLA}


def _native(x: Array, h: Array, unroll: bool) -> ModuleType | None:
    """lamina-onednn if it applies: for float32."""
    plain = unroll or not x.dtype == h.dtype == jnp.float32
    known = all(isinstance(size, int) and size for size in (*x.shape, *h.shape))  # the batch size may be symbolic
    return None if plain or not known else onednn()


def _values(tree: Any) -> Any:
    """The arguments of a forward rule with `symbolic_zeros`, as plain arrays."""
    is_argument = lambda leaf: isinstance(leaf, jax.custom_derivatives.CustomVJPPrimal)  # noqa: E731
    return jax.tree.map(lambda leaf: leaf.value, tree, is_leaf=is_argument)


def _dense(cotangents: Sequence[Any]) -> tuple[Array, ...]:
    def zeros(slope: Any) -> Any:
        return jnp.zeros(slope.shape, slope.dtype) if isinstance(slope, jax.custom_derivatives.SymbolicZero) else slope

    return tuple(zeros(slope) for slope in cotangents)


def _batch_first(x: Array) -> Array:
    """(time, batch, n) <-> (batch, time, n)"""
    return jnp.swapaxes(x, 0, 1)


def _shifted(states: Array, first: Array, reverse: bool) -> Array:
    """The state before each step.  (time, batch, units) -> (time, batch, units)"""
    if reverse:
        return jnp.concatenate([states[1:], first[None]])
    return jnp.concatenate([first[None], states[:-1]])


def _weight_gradient(before: Array, slopes: Array) -> Array:
    """(time, batch, units), (time, batch, gates) -> (units, gates), in one product."""
    rows = before.shape[0] * before.shape[1]  # stated explicitly, for arrays without elements
    return jnp.matmul(before.reshape(rows, before.shape[-1]).T, slopes.reshape(rows, slopes.shape[-1]))


def _taken(sequence: Array, t: Array) -> Array:
    taken: Array = lax.dynamic_index_in_dim(sequence, t, keepdims=False)
    return taken


def _put(sequence: Array, one: Array, t: Array) -> Array:
    put: Array = lax.dynamic_update_index_in_dim(sequence, one, t, 0)
    return put
