"""The parts of one step: the check of the gradients, the update of the weights, and their averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import warn
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError, ShapeError
from lamina.optimizers.variables import State, arrays_like, renamed

if TYPE_CHECKING:
    from lamina.optimizers.optimizer import Optimizer

Arrays = dict[str, Array]


def moved(
    optimizer: Optimizer, grads: Arrays, params: Arrays, state: State, lr: Array, decay: dict[str, bool]
) -> tuple[Arrays, State]:
    """Return the arrays after decay and `update_step`, each in its dtype, and the optimizer's variables.

    `update_step` runs on copies of the optimizer and the weights that hold the arrays of this step.
    """
    names = optimizer._lamina.names
    now = optimizer._lamina_with(renamed(state, names))
    now._lamina.source = None
    params = dict(params)
    for path, g in grads.items():
        stored, rate, name = params[path], lr.astype(g.dtype), names.get(path, path)
        p = stored.astype(g.dtype)
        share = optimizer._lamina_decay_of(state["slots"][path])
        if share and decay.get(path, True):
            p = p - p * (share * rate)
        variable = Weight(p, name=name.rpartition("/")[2], path=name)
        variable.of_pass = True
        now.update_step(g, variable, rate)
        params[path] = variable.array.astype(stored.dtype)
    changing: State = {part: state[part] for part in ("slots", "own") if part in state}
    return params, arrays_like(changing, now._lamina.variables, names)


def averaged(optimizer: Optimizer, params: Arrays, average: Arrays, t: Array) -> tuple[Arrays, Arrays]:
    """Update the averages of the weights. Returns the weights, which may be set to their averages, and the averages."""
    momentum = jnp.where(t == 0, 0.0, optimizer.ema_momentum)  # the average starts with the weights of the first step
    new = {}
    for path, p in params.items():
        share = momentum.astype(average[path].dtype)
        new[path] = share * average[path] + (1 - share) * p.astype(share.dtype)
    if optimizer.ema_overwrite_frequency:
        due = (t + 1) % optimizer.ema_overwrite_frequency == 0
        params = {path: jnp.where(due, new[path].astype(p.dtype), p) for path, p in params.items()}
    return params, new


def by_weight(given: list[ArrayLike | None], weights: dict[str, Weight]) -> Arrays:
    """Return the gradients that are not None, by path, checked against their weights."""
    if len(given) != len(weights):
        raise ArgumentError(f"expected a gradient for each of {len(weights)} weights, got {len(given)}.")
    grads = {path: jnp.asarray(g) for path, g in zip(weights, given, strict=True) if g is not None}
    missing = [path for path in weights if path not in grads]
    if not grads:
        raise ArgumentError(f"all {len(weights)} gradients are None: the loss does not depend on these weights.")
    if missing:
        warn(f"no gradient for {', '.join(missing)}: the loss does not depend on them.")
    for path, g in grads.items():
        if g.shape != weights[path].shape:
            raise ShapeError(f"the gradient of {path!r} has shape {g.shape}, the weight {weights[path].shape}.")
    return grads
