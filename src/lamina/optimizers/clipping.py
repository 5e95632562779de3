"""Clipping: gradients that are too large are made smaller before a step."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina.optimizers.state import Stateful


def clipped(optimizer: Stateful, grads: dict[Any, Array]) -> dict[Any, Array]:
    """Return the gradients, clipped by `clipnorm`, `global_clipnorm` or `clipvalue` of the optimizer."""
    if largest := optimizer.clipnorm:
        norms = {path: jnp.sqrt(_sum_of_squares(g)) for path, g in grads.items()}
        return {path: g * (largest / jnp.maximum(norms[path], largest)) for path, g in grads.items()}
    if (largest := optimizer.global_clipnorm) and grads:
        widest = max((g.dtype for g in grads.values()), key=lambda dtype: dtype.itemsize)
        norm = jnp.sqrt(sum(_sum_of_squares(g).astype(widest) for g in grads.values()))
        share = largest / jnp.maximum(norm, largest)
        share = jnp.where(jnp.isfinite(norm), share, jnp.nan)  # a norm that is not finite makes all weights NaN
        return {path: g * share.astype(g.dtype) for path, g in grads.items()}
    if largest := optimizer.clipvalue:
        return {path: jnp.clip(g, -largest, largest) for path, g in grads.items()}
    return grads


def _sum_of_squares(g: Array) -> Array:
    return jnp.sum(g * g)
