"""The mask that goes with an array: which of its steps count. It is kept beside the array as long as that lives."""

from __future__ import annotations

import functools
import weakref

import jax

from lamina._base.weight import Array

_masks: dict[int, tuple[weakref.ref[Array], Array]] = {}


def mask_of(x: object) -> Array | None:
    """The mask that a layer gave its output `x`, or None. An array made of `x` outside a layer has none, as in Keras.

    >>> from lamina import layers
    >>> mask_of(layers.Embedding(10, 4, mask_zero=True)([[3, 0]]))
    Array([[ True, False]], dtype=bool)
    """
    known = _masks.get(id(x))
    return known[1] if known is not None and known[0]() is x else None


def with_mask(x: object, mask: Array | None) -> None:
    """Let `x`, or the first of several arrays, have this mask."""
    array = next(iter(jax.tree.leaves(x)), None)
    if array is not None and mask is not None:
        place = id(array)
        forget = functools.partial(_masks.pop, place)  # bound now: at the end of the process the name is gone
        _masks[place] = weakref.ref(array, lambda _: forget(None)), mask
