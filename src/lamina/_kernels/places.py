"""The positions of the maxima in their windows, which lamina-onednn's poolings store for their gradients.

A position counts the elements of a window row by row; it is -1 if no gradient flows.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._kernels.native import onednn

LARGE = 16
"""Windows with more elements are large: few elements of their gradient are not zero."""
MOST = 2**15 - 1
"""The largest number of elements of a window."""
LANES = 16
"""The number of channels that C++ processes at once; for fewer, XLA's loops are faster."""

Sizes = tuple[int, ...]
Two = tuple[Array, Array]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def put_back(dp: Array, places: Array, pool: Sizes, shape: Sizes) -> Array:
    """An array of this shape with the gradients `dp` at the positions of the maxima, and zeros elsewhere."""
    native = onednn()
    assert native
    return native.put_back(dp, places, shape, pool)  # type: ignore[no-any-return]


def _picked(y: Array, places: Array, pool: Sizes) -> Array:
    """The elements of y at these positions."""
    high, wide, *strides = pool
    if high * wide > LARGE:
        images, rows, columns, filters = jnp.ogrid[tuple(map(slice, places.shape))]
        row, column = rows * strides[0] + places // wide, columns * strides[1] + places % wide
        return jnp.where(places < 0, jnp.zeros((), y.dtype), y[images, row, column, filters])
    picked = jnp.zeros(places.shape, y.dtype)
    for k in range(high * wide):
        first = (0, *divmod(k, wide), 0)
        last = (
            len(y),
            *(at + (n - 1) * stride + 1 for at, n, stride in zip(first[1:3], places.shape[1:3], strides, strict=True)),
            y.shape[3],
        )
        picked = jnp.where(places == k, lax.slice(y, first, last, (1, *strides, 1)), picked)
    return picked


put_back.defvjp(
    lambda dp, places, pool, shape: (put_back(dp, places, pool, shape), places),
    lambda pool, shape, places, dy: (_picked(dy, places, pool), None),
)
