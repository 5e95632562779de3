"""A step of all weights in one pass over memory, by lamina-onednn.

XLA computes three operations for each array with Adam: the census stack has 12 arrays, and a third of its step at
batch 32 went into them. The formulas of the optimizers are the same, and stand in their own files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from lamina._base.weight import Array
from lamina._kernels.native import onednn
from lamina._kernels.numbers import constant

if TYPE_CHECKING:
    from lamina.optimizers.optimizer import Arrays, Optimizer


def in_one_pass(
    optimizer: Optimizer,
    grads: Arrays,
    params: Arrays,
    slots: dict[str, Arrays],
    lr: Array,
    t: Array,
    decay: dict[str, float | None],
) -> tuple[Arrays, dict[str, Arrays]] | None:  # fmt: skip
    """The new weights and their slots; None where lamina-onednn does not compute them.

    Args:
        decay: for each weight the share that is subtracted from it, times the learning rate.
    """
    native = onednn()
    found = optimizer._lamina_native(lr, t) if native and grads else None
    if found is None:
        return None
    formula, settings, move = found
    names = [name for group in optimizer._lamina_order for name in group if name in slots[next(iter(grads))]]
    arrays = [(g, params[path], *(slots[path][name] for name in names)) for path, g in grads.items()]
    if any(array.dtype != jnp.float32 for each in arrays for array in each):
        return None
    numbers = [lr, move, *(constant(each or 0.0, jnp.float32) for each in (*settings, *map(decay.get, grads)))]
    new = native.update(formula, jnp.stack(numbers), arrays)
    return (
        {path: p for path, (p, *_) in zip(grads, new, strict=True)},
        {path: dict(zip(names, rest, strict=True)) for path, (_, *rest) in zip(grads, new, strict=True)},
    )
