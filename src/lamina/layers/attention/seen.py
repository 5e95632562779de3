"""Attention masks: the masks of the inputs, the causal mask, the window and a given mask, combined into one array."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina.errors import ShapeError


def causal(n: Any, m: Any) -> Array:
    """The causal mask: True for each key at the query's step or before.  -> (n, m)"""
    return jnp.arange(n)[:, None] >= jnp.arange(m)


def expanded(mask: Array, axes: tuple[int, ...], place: int) -> Array:
    """A mask of an input's steps, with an axis for queries and keys: (batch, n) -> (batch, n, 1) or (batch, 1, n)."""
    if len(axes) > 1:
        raise ShapeError(f"attends over {len(axes)} axes, so it takes no mask of steps: use attention_mask=")
    return jnp.expand_dims(jnp.asarray(mask, bool), place)


def near(use_causal_mask: bool, window: int | None, queries: Any, keys: Any) -> Array | None:
    """Which keys a query may see according to the positions alone.  -> (n, m)"""
    if not use_causal_mask and window is None:
        return None
    if len(queries) > 1:
        raise ShapeError(f"attends over {len(queries)} axes, but causal masks and windows are for one axis")
    (n,), (m,) = queries, keys
    seen = causal(n, m) if use_causal_mask else jnp.ones((n, m), bool)
    if window is not None:
        seen &= jnp.abs(jnp.arange(n)[:, None] - jnp.arange(m)) < window
    return seen


def joined(masks: list[Array | None], others: Any, queries: Any, keys: Any) -> Array | None:
    """All masks as one mask, which can be broadcast to the weights (*others, n, m); others is (batch, ..., heads).

    If there are several axes of steps, the masks have all of them, and the result has one axis for them.
    """
    seen, steps = None, (*queries, *keys)
    for mask in masks:
        if mask is None:
            continue
        before = mask.shape[: -len(steps)]
        whole = (*before, *[1] * (len(others) - len(before)), *mask.shape[-len(steps) :])
        fits = all(size in (1, wanted) for size, wanted in zip(whole, (*others, *steps), strict=False))
        if len(whole) != len(others) + len(steps) or not fits:
            shape, full = (", ".join(map(str, sizes)) for sizes in ((others[0], *steps), (*others, *steps)))
            raise ShapeError(f"expects an attention_mask of ({shape}) or ({full}), got {mask.shape}")
        seen = mask.reshape(whole) if seen is None else seen & mask.reshape(whole)
    if seen is None or len(queries) == 1:
        return seen
    before = seen.shape[: -len(steps)]
    return jnp.broadcast_to(seen, (*before, *steps)).reshape((*before, math.prod(queries), math.prod(keys)))
