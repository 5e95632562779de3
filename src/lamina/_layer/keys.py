"""The seed of a layer, and the keys of its random numbers."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array, HostArray, as_array
from lamina._kernels.bits import fold
from lamina._layer.structure import held, parts
from lamina._settings.settings import value_of
from lamina._weights.weight import Weight
from lamina.random import Draws, SeedGenerator, key_of, next_seed

if TYPE_CHECKING:
    from lamina._layer.layer import Layer


def seed_of(layer: Any) -> int:
    """The layer's seed, drawn when the layer is built. So the same seed gives equal weights however a stack is made."""
    if layer._lamina.seed is None:
        layer._lamina.seed = next_seed()
    return layer._lamina.seed  # type: ignore[no-any-return]


def random_key(layer: Layer) -> Array:
    """A key for this layer in this step, new at each call; it depends on (seed, layer, step) only.  -> (2,) uint32"""
    state = layer._lamina
    if state.running is None or state.running.key is None:
        return fold(key_of(seed_of(layer)), 0)
    state.draws += 1
    return fold(state.running.key, np.uint32(zlib.crc32(f"{state.running.paths[id(layer)]}:{state.draws}".encode())))


def drawn_key(layer: Layer) -> Array:
    """The key of the next draw of a layer that has a `seed` argument.  -> (2,) uint32

    If a seed is given, the key depends only on that seed, the step and the number of the draw in the step. Layers with
    equal seeds therefore draw equal numbers, as in Keras. Without a seed, the key is that of `random_key`.
    """
    now, seed = layer._lamina.running, value_of(layer, "seed")
    return random_key(layer) if seed is None or now is None else now.draws.key(seed, _seed_state(layer))


def seed_states(layer: Any) -> list[Weight]:
    """The random states of a layer and its sublayers, which Keras counts among the variables.

    Only `stateless_call` draws from them, since there no training step gives a key.
    """
    return list(dict.fromkeys(state for part in parts(layer) for state in own_seed_states(part.layer)))


def own_seed_states(layer: Any) -> Iterator[Weight]:
    """The state of a layer that has a seed, and those of the generators that a custom layer holds."""
    draws = all(getattr(layer, name, True) for name in ("rate", "stddev", "_lamina_draws"))
    if draws and "seed" in layer._lamina_fields and not hasattr(layer, "cell"):  # a recurrent layer uses its cell's
        yield _seed_state(layer)
    yield from (leaf.state for _, leaf in held(layer) if isinstance(leaf, SeedGenerator))


def _seed_state(layer: Any) -> Weight:
    if layer._lamina.seed_state is None:
        name = "seed_generator_state"
        seed = layer.seed % 2**32 if isinstance(layer.seed, int) else 0
        with jax.ensure_compile_time_eval():  # the state is used after the trace that may create it
            start = as_array(np.array([seed, 0], np.uint32))
        layer._lamina.seed_state = Weight(start, name=name, path=f"{layer.name}/{name}", trainable=False)
    state: Weight = layer._lamina.seed_state
    return state


def of_states(layer: Any, states: dict[Weight, ArrayLike]) -> tuple[Array, Draws]:
    """The key and the number of draws for a call that is given the random states."""
    arrays = {seed: jnp.asarray(state).astype("uint32") for seed, state in states.items()}
    number = 1 + sum(state.sum() for state in arrays.values())
    return fold(key_of(seed_of(layer)), number), Draws(states=arrays)


def next_state(state: ArrayLike) -> Array:
    """The random state after a call that has drawn from it, as in Keras.  (2,) uint32 -> (2,) uint32"""
    return jnp.asarray(state) + jnp.array([0, 1], "uint32")


def next_call(layer: Any) -> HostArray:
    """The two numbers for the next direct call of a layer: one that no other seed or call has, and the number of the
    call.  -> (2,) uint32
    """
    layer._lamina.calls += 1
    number = np.random.SeedSequence([seed_of(layer), layer._lamina.calls]).generate_state(1)[0]
    return np.array([number, 2**32 - layer._lamina.calls], np.uint32)
