"""The seed of a layer, and the keys of its random numbers."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from lamina._base.weight import Array
from lamina._kernels.bits import fold
from lamina.random import key_of, next_seed

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


def seed_of(layer: Any) -> int:
    """The layer's seed, drawn when it is built: stacks made in different ways get equal weights from one seed."""
    if layer._lamina.seed is None:
        layer._lamina.seed = next_seed()
    return layer._lamina.seed  # type: ignore[no-any-return]


def random_key(layer: Layer) -> Array:
    """A key for this layer in this step, another at each call: pure in (seed, layer, step).  -> (2,) uint32"""
    state = layer._lamina
    if state.running is None or state.running.key is None:
        return fold(key_of(seed_of(layer)), 0)
    state.draws += 1
    return fold(state.running.key, np.uint32(zlib.crc32(f"{state.running.paths[id(layer)]}:{state.draws}".encode())))


def next_call(layer: Any) -> np.uint32:
    """A number for the next call of a layer by itself, which another seed or another call does not have."""
    layer._lamina.calls += 1
    return np.random.SeedSequence([seed_of(layer), layer._lamina.calls]).generate_state(1)[0]  # type: ignore[no-any-return]
