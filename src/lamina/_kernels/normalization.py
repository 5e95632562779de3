"""Batch normalization with its gradient in closed form.

The gradient that JAX derives needs nine passes over the batch, and this one needs four. A step of three normalizations
of (512, 256) went from 1,545 to 1,340 µs on two cores.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._kernels.blocks import Normalized, note
from lamina._kernels.moments import along, count, first, moments, slopes
from lamina._weights.weight import under_way

Three = tuple[Array, Array, Array]
Kept = tuple[Array, Array, Array, Array, Array | None]


class Scaled(NamedTuple):
    """The arrays from which a normalization made its output: `standard * gamma + beta`, (rows, n) and (n,)."""

    standard: Array
    gamma: Array
    beta: Array


def normalize(x: Array, gamma: Array, beta: Array, axis: int, epsilon: float, rows: Array | None = None) -> Three:
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta`, with the mean and the variance over all axes but `axis`.

    x is (..., n, ...) with n on `axis`; gamma, beta, the mean and the variance are (n,). The statistics are for the
    moving averages, and no gradient flows through them. They use the first `rows` rows of the batch only; the gradient
    with respect to the other rows must be 0.
    """
    mean, variance = moments(x, axis, rows)
    y = _normalize(x, gamma, beta, mean, variance, rows, axis, epsilon)
    scope = under_way.get()
    if scope and scope.origins.get(id(x), (x, None))[1] is x and x.ndim == 2 and axis == 1:
        standard = (x - mean) * lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
        scope.origins[id(y)] = y, Scaled(lax.stop_gradient(standard), gamma, beta)
    elif x.ndim > 2 and axis == x.ndim - 1:
        note(y, Normalized(x, gamma, beta, mean, variance, rows, epsilon))
    return y, *lax.stop_gradient((mean, variance))


def unscaled(x: Array, kernel: Array, bias: Array | None) -> tuple[Array, Array, Array | None]:
    """Replaces x by the array before the scaling by gamma and beta, if a normalization of the data made x.

    The returned kernel and bias include the scaling, so `x @ kernel + bias` stays the same. The gradients of gamma and
    beta are then computed from the kernel's gradient. Otherwise they would need the gradient of x, a product as large
    as this one, which nothing else needs.
    """
    scope = under_way.get()
    _, scaled = scope.origins.get(id(x), (x, None)) if scope else (x, None)
    if not isinstance(scaled, Scaled) or kernel.ndim != 2:
        return x, kernel, bias
    # A matrix product, so that gamma's gradient is one too: XLA needs 20 µs to distribute a sum along rows to threads.
    factor = scaled.gamma[:, None] @ jnp.ones((1, kernel.shape[1]), kernel.dtype)
    shift = scaled.beta @ kernel
    return scaled.standard, factor * kernel, shift if bias is None else bias + shift


@partial(jax.custom_vjp, nondiff_argnums=(6, 7))
def _normalize(
    x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, rows: Array | None, axis: int, epsilon: float
) -> Array:
    return _forward(x, gamma, beta, mean, variance, rows, axis, epsilon)[0]


def _forward(
    x: Array, gamma: Array, beta: Array, mean: Array, variance: Array, rows: Array | None, axis: int, epsilon: float
) -> tuple[Array, Kept]:
    inverse = lax.rsqrt(variance + jnp.asarray(epsilon, x.dtype))
    factor = inverse * gamma
    y = x * along(factor, x, axis) + along(beta - mean * factor, x, axis)
    return y, (x, mean, inverse, gamma, rows)


def _backward(axis: int, epsilon: float, kept: Kept, dy: Array) -> tuple[Array | None, ...]:
    return *slopes_of(axis, kept, dy), None, None, None


def slopes_of(axis: int, kept: Kept, dy: Array) -> Three:
    """The gradients of x, gamma and beta, given that of y, including the paths through the mean and the variance."""
    x, mean, inverse, gamma, rows = kept
    dbeta, product = slopes(dy, x, mean, axis)
    dgamma = product * inverse
    # With h = (x - mean) * inverse:  dx = gamma * inverse * (dy - mean(dy) - h * mean(dy * h))
    factor = gamma * inverse
    size = count(x, axis, rows)
    slope = -factor * inverse * dgamma / size
    offset = -factor * dbeta / size - slope * mean
    dx = dy * along(factor, x, axis) + x * along(slope, x, axis) + along(offset, x, axis)
    return first(dx, rows), dgamma, dbeta


_normalize.defvjp(_forward, _backward)
