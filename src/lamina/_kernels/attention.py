"""Attention: for each query the mean of the values, weighted by the softmax of the scores of query and keys."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._kernels.precision import in_float32
from lamina.errors import ArgumentError


@in_float32
def attend(query: Array, key: Array, value: Array, mask: Array | None = None) -> Array:
    """`softmax(query @ key.T) @ value`; query is (..., n, size), key (..., m, size), value (..., m, units).

    Args:
        mask: which keys a query may see, (..., n, m). A query that sees no key gets the unweighted mean of all values.

    -> (..., n, units)
    """
    return combined(weights(query, key, mask), value)


@in_float32
def weights(query: Array, key: Array, mask: Array | None = None, zeros: bool = False) -> Array:
    """`softmax(query @ key.T)` over the keys that a query may see.  -> (..., n, m)

    Args:
        zeros: whether a query that sees no key gets zeros instead of equal weights.
    """
    scores = query @ key.mT  # (..., n, m)
    if mask is None:
        return jax.nn.softmax(scores)
    lowest = -0.7 * jnp.finfo(scores.dtype).max  # type: ignore[no-untyped-call]
    shares = jax.nn.softmax(jnp.where(mask, scores, lowest))  # (..., n, m)
    return jnp.where(mask, shares, jnp.zeros((), shares.dtype)) if zeros else shares


@in_float32
def combined(shares: Array, value: Array) -> Array:
    """The means of the values with these weights: shares is (..., n, m), value (..., m, units).  -> (..., n, units)"""
    return shares @ value


def flash(name: str, query: Array, key: Array, value: Array, mask: Array | None = None) -> Array:
    """Attention by cuDNN, which does not store all weights; inputs (batch, steps, heads, size), in 16 bits.

    Args:
        name: the layer's name in the message.
        mask: which keys a query may see, (batch, heads, n, m).
    """
    if jax.default_backend() != "gpu":
        raise ArgumentError(
            f"{name}: flash_attention=True needs cuDNN on a GPU, and JAX computes on {jax.default_backend()!r}.\n"
            "Leave flash_attention out: the usual formula gives the same output."
        )
    return jax.nn.dot_product_attention(query, key, value, mask=mask, scale=1.0, implementation="cudnn")
