"""Weights made with `overwrite_with_gradient=True`: their gradient is their new value, without a formula.

A quantized layer updates its scale in this way: its custom gradient function returns the scale for the next step
instead of a gradient.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._messages.spelling import free_name
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError

if TYPE_CHECKING:
    from lamina.optimizers.state import OptimizerState

Arrays = dict[str, Array]


def by_path(weights: Iterable[Weight]) -> dict[str, Weight]:
    """Return the weights by their paths."""
    found: dict[str, Weight] = {}
    for weight in weights:
        if found.get(weight.path) is weight:
            raise ArgumentError(f"two weights are called {weight.path!r}: each weight has one gradient.")
        found[free_name(weight.path, found)] = weight  # two models may have equal paths
    return found


def overwritten(state: OptimizerState) -> frozenset[str]:
    """Return the paths of the overwritten weights; in a compiled program these are the program's names."""
    if not state.weights:
        return state.overwritten
    return frozenset(path for path, weight in by_path(state.weights).items() if weight.overwrite_with_gradient)


def after_overwriting(
    state: OptimizerState, grads: Arrays, params: Arrays, accumulator: Arrays | None, due: Array | bool
) -> tuple[Arrays, Arrays, Arrays]:
    """Return the gradients of all other weights, and the values and the accumulators of the overwritten ones.

    If gradients accumulate, the accumulator keeps the largest numbers.

    Args:
        due: whether weights change in this step.
    """
    names = overwritten(state) & grads.keys()
    rest = {path: g for path, g in grads.items() if path not in names}
    if accumulator is None:
        return rest, {path: grads[path].astype(params[path].dtype) for path in names}, {}
    most = {
        path: jnp.maximum(grads[path].astype(held.dtype), held) for path, held in accumulator.items() if path in names
    }
    values = {path: jnp.where(due, g.astype(params[path].dtype), params[path]) for path, g in most.items()}
    return rest, values, {path: jnp.where(due, jnp.zeros_like(g), g) for path, g in most.items()}
