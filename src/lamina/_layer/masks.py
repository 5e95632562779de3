"""The mask of an array: which of its steps count. It is stored beside the array for as long as the array exists."""

from __future__ import annotations

import functools
import weakref
from typing import Any

import jax
import numpy as np

from lamina._arrays.arrays import Array
from lamina._arrays.nested import leaves, tree_map

_masks: dict[int, tuple[weakref.ref[Any], Array]] = {}


def mask_of(x: object) -> Array | None:
    """The mask that a layer gave its output `x`, or None. As in Keras, an array computed from `x` by hand has none.

    >>> from lamina import layers
    >>> mask_of(layers.Embedding(10, 4, mask_zero=True)([[3, 0]]))
    Array([[ True, False]], dtype=bool)
    """
    known = _masks.get(id(x))
    return known[1] if known is not None and known[0]() is x else None


def masks_of(value: Any) -> Any:
    """The mask of each array of a structure, in the same structure."""
    return tree_map(lambda leaf, _: mask_of(leaf), value)


def with_mask(x: object, mask: Any) -> None:
    """Set the mask of `x`, or of the first of several arrays; a list, tuple or dict of masks sets each array's."""
    own: Any
    arrays = [leaf for _, leaf in leaves(x) if isinstance(leaf, (jax.Array, np.ndarray))]
    for array, (_, own) in zip(arrays, leaves(mask), strict=False):
        if own is not None:
            forget = functools.partial(_forget, id(array), _masks)  # when the process ends, the global name is gone
            _masks[id(array)] = weakref.ref(array, forget), own


def _forget(place: int, masks: dict[int, Any], _: object) -> None:
    masks.pop(place, None)
