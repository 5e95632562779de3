"""Weights in a `.safetensors` file: `layers.dense.kernel` and so on, without the optimizer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._saving import safetensors, weights
from lamina._saving.hdf5 import Stored
from lamina._saving.weights import Owner
from lamina._weights.weight import Weight, read
from lamina.optimizers.state import Stateful


def write(model: Owner, without: Collection[object] = ()) -> bytes:
    """Return the bytes of a file with the model's weights."""
    with weights.at_one_moment(model):
        arrays = {name: np.asarray(read(v) if isinstance(v, Weight) else v) for name, v, _ in _named(model, without)}
    return b"".join(safetensors.written(arrays, {"format": "lamina"}))


def load(model: Owner, data: bytes, where: str, *, skip_mismatch: bool = False) -> None:
    """Assign the arrays of a file to the model's weights, as `weights.load` does."""
    held, arrays = safetensors.read(data, where), dict[str, HostArray]()
    for name, _, place in _named(model, ()):
        if name in held:
            arrays[place] = held.pop(name)
    arrays |= {name.replace(".", "/"): array for name, array in held.items()}
    without = [owner for owner in weights.owners(model).values() if isinstance(owner, Stateful)]
    weights.load(model, Stored(arrays, {}), where, skip_mismatch=skip_mismatch, without=without)


def _named(model: Owner, without: Collection[object]) -> list[tuple[str, Any, str]]:
    """List for each array its name in such a file, the weight, and its path in Keras's files."""
    found = []
    for path, owner in weights.owners(model, without).items():
        if not isinstance(owner, Stateful):
            store: dict[str, Any] = {}
            owner.save_own_variables(store)
            for key, value in store.items():
                label = value.name if isinstance(value, Weight) and key.isdecimal() else key
                found.append((f"{path}/{label}".strip("/").replace("/", "."), value, f"{path}/vars/{key}".lstrip("/")))
    return found
