"""Recurrent nets over a whole sequence: the product with the input stands before the scan, and those of the weights'
gradients after it.

The scan that JAX differentiates adds to the weights' gradients at every step, and keeps more than they need. In the
gradients written here everything that is not sequential is computed for all steps at once. With lamina-onednn a whole
sequence is one call, for its many small products (benchmarks/README.md has the measured times).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina.kernels.native import onednn

Array = jax.Array


def scan(
    advance: Callable[[Any, Any], tuple[Array, Any]],
    x: Array,
    states: Any,
    mask: Any = None,
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Array, Any]:
    """`output, states = advance(x[t], states)` for each t: the outputs (time, batch, ...), and the states at the end.

    x is (time, batch, ...). Where `mask`, (time, batch), is False, the states stay as they are, and the output is the
    one before: the first state (of the last cell, where cells are stacked).
    """
    tree = jax.tree.structure(states)

    def step(states: Any, now: Any) -> tuple[Any, Array]:
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


def choose(counts: Array, new: Array, old: Array) -> Array:
    """`new` where `counts`, which has fewer axes, is True."""
    return jnp.where(counts.reshape(counts.shape + (1,) * (new.ndim - counts.ndim)), new, old)


@partial(jax.custom_vjp, nondiff_argnums=(7, 8))
def lstm(
    x: Array,
    kernel: Array,
    bias: Array,
    h: Array,
    c: Array,
    recurrent: Array,
    mask: Any,
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Array, Array, Array]:
    """The outputs of an LSTM with tanh and sigmoid, and the states after it.

    x is (time, batch, n), kernel (n, 4 units) for the gates i, f, g and o, bias (4 units,); h and c are (batch, units),
    recurrent is (units, 4 units), mask None or (time, batch). With a = x[t] @ kernel + bias + h @ recurrent:
    c = sigmoid(f) c + sigmoid(i) tanh(g); h = sigmoid(o) tanh(c).
    """
    return _computed("lstm", (x, kernel, bias, h, c, recurrent), mask, reverse, unroll, False)[0]  # type: ignore[no-any-return]


def _lstm_forward(
    z: Array, h: Array, c: Array, kernel: Array, mask: Any, reverse: bool, unroll: bool
) -> tuple[Any, Any]:
    def step(states: Any, now: Any) -> tuple[Any, Any]:
        (h, c), (z, counts) = states, now
        i, f, g, o = jnp.split(z + h @ kernel, 4, -1)  # (batch, units) each
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        new = f * c + i * g
        out = o * jnp.tanh(new)
        if counts is not None:
            out, new = choose(counts, out, h), choose(counts, new, c)
        return (out, new), (out, new, i, f, g, o)

    (last, carry), (y, cs, *gates) = lax.scan(step, (h, c), (z, mask), reverse=reverse, unroll=unroll)
    return (y, last, carry), (y, cs, gates, h, c, kernel, mask)


def _lstm_backward(reverse: bool, unroll: bool, kept: Any, cotangents: Any) -> tuple[Any, ...]:
    y, cs, (i, f, g, o), h, c, kernel, mask = kept
    dy, dh, dc = cotangents
    tanh_c, before = jnp.tanh(cs), _shifted(cs, c, reverse)
    to_c, to_o = o * (1 - tanh_c * tanh_c), tanh_c * o * (1 - o)  # all (time, batch, units)
    to_i, to_f, to_g = g * i * (1 - i), before * f * (1 - f), i * (1 - g * g)
    if mask is not None:
        to_c, to_o = choose(mask, to_c, jnp.zeros_like(o)), choose(mask, to_o, jnp.zeros_like(o))
        f = choose(mask, f, jnp.ones_like(f))
        to_i, to_f, to_g = (choose(mask, to, jnp.zeros_like(o)) for to in (to_i, to_f, to_g))
    across = kernel.T

    def step(slopes: Any, now: Any) -> tuple[Any, Any]:
        (dh, dc), (dy, to_i, to_f, to_g, to_o, to_c, f, counts) = slopes, now
        dh = dh + dy
        dc = dc + dh * to_c
        dz = jnp.concatenate([dc * to_i, dc * to_f, dc * to_g, dh * to_o], -1)  # (batch, 4 units)
        back = dz @ across
        return (back if counts is None else choose(counts, back, dh), dc * f), dz

    xs = (dy, to_i, to_f, to_g, to_o, to_c, f, mask)
    (dh, dc), dz = lax.scan(step, (dh, dc), xs, reverse=not reverse, unroll=unroll)
    return dz, dh, dc, _weight_gradient(_shifted(y, h, reverse), dz)


@partial(jax.custom_vjp, nondiff_argnums=(7, 8))
def gru(
    x: Array,
    kernel: Array,
    bias: Array,
    h: Array,
    recurrent: Array,
    inner_bias: Array,
    mask: Any,
    reverse: bool = False,
    unroll: bool = False,
) -> tuple[Array, Array]:
    """The outputs of a GRU with tanh and sigmoid that resets after its product, and the state after it.

    x is (time, batch, n), kernel (n, 3 units) for the gates u, r and g, bias (3 units,); h is (batch, units), recurrent
    (units, 3 units), inner_bias (3 units,), mask None or (time, batch). With z = x[t] @ kernel + bias and
    a = h @ recurrent + inner_bias: u, r = sigmoid(z + a); g = tanh(z + r a); h = u h + (1 - u) g.
    """
    return _computed("gru", (x, kernel, bias, h, recurrent, inner_bias), mask, reverse, unroll, False)[0]  # type: ignore[no-any-return]


def _gru_forward(
    z: Array, h: Array, kernel: Array, bias: Array, mask: Any, reverse: bool, unroll: bool
) -> tuple[Any, Any]:
    def step(h: Array, now: Any) -> tuple[Any, Any]:
        z, counts = now
        z_u, z_r, z_g = jnp.split(z, 3, -1)  # (batch, units) each
        a_u, a_r, a = jnp.split(h @ kernel + bias, 3, -1)
        u, r = jax.nn.sigmoid(z_u + a_u), jax.nn.sigmoid(z_r + a_r)
        g = jnp.tanh(z_g + r * a)
        out = u * h + (1 - u) * g
        if counts is not None:
            out = choose(counts, out, h)
        return out, (out, u, r, g, a)

    last, (y, *gates) = lax.scan(step, h, (z, mask), reverse=reverse, unroll=unroll)
    return (y, last), (y, gates, h, kernel, mask)


def _gru_backward(reverse: bool, unroll: bool, kept: Any, cotangents: Any) -> tuple[Any, ...]:
    y, (u, r, g, a), h, kernel, mask = kept
    dy, dh = cotangents
    before = _shifted(y, h, reverse)
    to_u, to_g, to_r = (before - g) * u * (1 - u), (1 - u) * (1 - g * g), a * r * (1 - r)  # (time, batch, units)
    if mask is not None:
        to_u, to_g = choose(mask, to_u, jnp.zeros_like(u)), choose(mask, to_g, jnp.zeros_like(u))
        u = choose(mask, u, jnp.ones_like(u))
    across = kernel.T

    def step(dh: Array, now: Any) -> tuple[Any, Any]:
        dy, to_u, to_g, to_r, u, r = now
        dh = dh + dy
        du, dg = dh * to_u, dh * to_g
        dr = dg * to_r
        da = jnp.concatenate([du, dr, dg * r], -1)  # (batch, 3 units)
        return dh * u + da @ across, (jnp.concatenate([du, dr, dg], -1), da)

    dh, (dz, da) = lax.scan(step, dh, (dy, to_u, to_g, to_r, u, r), reverse=not reverse, unroll=unroll)
    return dz, dh, _weight_gradient(before, da), da.sum((0, 1))


BY_XLA: dict[str, Any] = {"lstm": (_lstm_forward, _lstm_backward), "gru": (_gru_forward, _gru_backward)}


def _computed(name: str, taken: Any, mask: Any, reverse: bool, unroll: bool, keep: bool) -> tuple[Any, Any]:
    """A net's outputs, and what the gradient needs; without `keep` less of it."""
    x, kernel, bias, *others = taken
    native = _native(x, others[0], unroll)
    if not native:
        return BY_XLA[name][0](x @ kernel + bias, *others, mask, reverse, unroll)  # type: ignore[no-any-return]
    given = getattr(native, name)(_batch_first(x), *taken[1:], mask=mask, reverse=reverse, keep=keep)
    y, *states = given[:-1]  # the gates are the last
    return (y, *(state[0 if reverse else -1] for state in (y, *states))), given


def _kept(name: str, *arguments: Any) -> tuple[Any, Any]:
    *taken, mask, reverse, unroll = arguments
    wanted = () if taken[0].perturbed else None  # a structure: no Python value reaches the backward pass
    taken, mask = _values(taken), _values(mask)
    outputs, given = _computed(name, taken, mask, reverse, unroll, True)
    return outputs, (wanted, taken, mask, given)


def _slopes(name: str, reverse: bool, unroll: bool, kept: Any, cotangents: Any) -> tuple[Any, ...]:
    wanted, taken, mask, given = kept
    x, kernel, _, h, *_ = taken
    slopes = _dense(cotangents)
    native = _native(x, h, unroll)
    if not native:
        dz, *others = BY_XLA[name][1](reverse, unroll, given, slopes)
        return dz @ kernel.T, _weight_gradient(x, dz), dz.sum((0, 1)), *others, None
    gradient = getattr(native, f"{name}_gradient")
    taken = (_batch_first(x), *taken[1:])
    dx, *others = gradient(slopes, taken, given, mask=mask, reverse=reverse, input_too=wanted is not None)
    return _batch_first(dx) if wanted is not None else jnp.zeros_like(x), *others, None


lstm.defvjp(partial(_kept, "lstm"), partial(_slopes, "lstm"), symbolic_zeros=True)
gru.defvjp(partial(_kept, "gru"), partial(_slopes, "gru"), symbolic_zeros=True)


def _native(x: Array, h: Array, unroll: bool) -> Any:
    """lamina-onednn where it serves: for float32."""
    plain = unroll or not x.dtype == h.dtype == jnp.float32
    known = all(isinstance(size, int) and size for size in x.shape)  # a batch size may be a symbol
    return None if plain or not known else onednn()


def _values(tree: Any) -> Any:
    """What stands for each argument in a forward pass with `symbolic_zeros`, as plain arrays."""
    is_argument = lambda leaf: isinstance(leaf, jax.custom_derivatives.CustomVJPPrimal)  # noqa: E731
    return jax.tree.map(lambda leaf: leaf.value, tree, is_leaf=is_argument)


def _dense(cotangents: Any) -> Any:
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
    return jnp.einsum("tbu,tbg->ug", before, slopes)
