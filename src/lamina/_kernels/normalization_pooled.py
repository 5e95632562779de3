"""Batch normalization in training, relu and max pooling in one pass by lamina-onednn.

The arrays between the convolution and the pooled values are not written to memory, and neither are their gradients.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._kernels.blocks import Normalized
from lamina._kernels.native import onednn
from lamina._kernels.normalization import slopes_of
from lamina._kernels.places import LANES, Sizes, Two, put_back

Three = tuple[Array, Array, Array]
Kept = tuple[Array, Array, Array, Array, Array, Array | None]


def where_served(made: Normalized, pool: Sizes) -> Array | None:
    """The maximum of each window of normalized values, if lamina-onednn can compute it."""
    x = made.x
    known = all(isinstance(n, int) and n for n in x.shape)
    if not known or x.ndim not in (3, 4) or x.dtype != jnp.float32 or x.shape[-1] % LANES:
        return None
    return pooled(*made[:7], pool)[0]


@partial(jax.custom_vjp, nondiff_argnums=(6, 7))
def pooled(
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array,
    variance: Array,
    rows: Array | None,
    epsilon: float,
    pool: Sizes,
) -> Two:
    """The maximum of each window of relu(y), and its position; y is the result of `normalize` for x."""
    native = onednn()
    assert native
    x, factor = _wide(x), _inverse(variance, epsilon) * gamma
    counts = ((n - size) // step + 1 for n, size, step in zip(x.shape[1:3], pool[:2], pool[2:], strict=True))
    return native.normalization_pooled(x, factor, beta - mean * factor, (len(x), *counts, x.shape[3]), pool)  # type: ignore[no-any-return]


def _wide(x: Array) -> Array:
    """A sequence as an image of one row."""
    return x[:, None] if x.ndim == 3 else x


def _inverse(variance: Array, epsilon: float) -> Array:
    return lax.rsqrt(variance + jnp.asarray(epsilon, variance.dtype))


def _kept(x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, *others: Any) -> tuple[Two, Kept]:
    rows, epsilon, _ = others
    p, places = pooled(x, gamma, beta, mean, variance, *others)
    return (p, places), (x, mean, _inverse(variance, epsilon), gamma, places, rows)


def _backward(epsilon: float, pool: Sizes, kept: Kept, slopes: Two) -> tuple[Array | None, ...]:
    return *_slopes(slopes[0], *kept, pool), None, None, None


pooled.defvjp(_kept, _backward)


@partial(jax.custom_vjp, nondiff_argnums=(7,))
def _slopes(
    dp: Array, x: Array, mean: Array, inverse: Array, gamma: Array, places: Array, rows: Array | None, pool: Sizes
) -> Three:
    """The gradients of x, gamma and beta."""
    native = onednn()
    assert native
    first = jnp.int32(len(x)) if rows is None else rows
    dx, *others = native.normalization_pooled_gradient(dp, places, _wide(x), mean, inverse, gamma, first, pool)
    return dx.reshape(x.shape), *others


def _derived(pool: Sizes, taken: tuple[Array | None, ...], slopes: Three) -> tuple[Array | None, ...]:
    dp, *kept, places, rows = taken

    def composed(dp: Array, x: Array, mean: Array, inverse: Array, gamma: Array) -> Three:
        dy = put_back(dp, places, pool, _wide(x).shape).reshape(x.shape)
        return slopes_of(x.ndim - 1, (x, mean, inverse, gamma, rows), dy)

    return *jax.vjp(composed, dp, *kept)[1](slopes), None, None


_slopes.defvjp(lambda *taken: (_slopes(*taken), taken[:-1]), _derived)
