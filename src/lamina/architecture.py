"""What a compiled program depends on, and a copy of the layers that holds no arrays."""

from __future__ import annotations

import copy
import operator
import types
from typing import Any

import jax
import numpy as np

from lamina.settings import Configured
from lamina.tree import Tree
from lamina.weight import Weight


def frozen(value: Any) -> Any:
    """A hashable stand-in that is equal for two things which compile to the same program.

    Names, places and the values of weights do not count; unknown objects count by identity.
    """
    if isinstance(value, Weight):
        functions = frozen(value.regularizer), frozen(value.constraint)
        return ("weight", value.name, value.shape, value.dtype, value.trainable, value.autocast, functions)
    if isinstance(value, Configured):
        skip = type(value).unshared
        return (type(value), *((k, frozen(v)) for k, v in sorted(vars(value).items()) if k not in skip))
    if isinstance(value, (list, tuple)):
        return (type(value), *map(frozen, value))
    if isinstance(value, dict):
        return ("dict", *((key, frozen(item)) for key, item in value.items()))
    if isinstance(value, (np.ndarray, jax.Array)):
        return ("array", value.shape, str(value.dtype), np.asarray(value).tobytes())
    if isinstance(value, types.FunctionType):
        closure = tuple(frozen(cell.cell_contents) for cell in value.__closure__ or ())
        return ("function", value.__code__, frozen(value.__defaults__), closure)
    try:
        hash(value)
    except TypeError:
        return ("object", id(value))
    return (type(value), value)


def skeleton(layer: Any) -> Any:
    """A copy with the shapes of the weights in place of their arrays: what a compiled program may hold on to."""
    abstract: dict[int, Any] = {}

    def strip(value: Any) -> Any:
        if id(value) in abstract:
            return abstract[id(value)]
        if isinstance(value, Weight):
            twin = copy.copy(value)
            twin.value = jax.ShapeDtypeStruct(value.shape, value.value.dtype)
            abstract[id(value)] = twin
            return twin
        if isinstance(value, Tree):
            twin_layer = abstract[id(value)] = copy.copy(value)
            for attribute, item in vars(value).items():
                vars(twin_layer)[attribute] = None if attribute in value.left_out else strip(item)
            return twin_layer
        if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
            return type(value)(strip(item) for item in value)
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items()}
        return value

    return strip(layer)


class Watch:
    """Notices when a stack gets other layers, or an attribute of a layer is replaced, so that what was made from
    the layers is made anew."""

    def __init__(self, model: Any) -> None:
        self.model, self.layers = model, list(model.stack)
        parts = [part for layer in model.stack for _, part in layer.walk()]
        self.seen = [(vars(part), len(vars(part)), list(vars(part).values())) for part in parts]

    def is_unchanged(self) -> bool:
        now = self.model.stack
        return (
            len(now) == len(self.layers)
            and all(map(operator.is_, now, self.layers))
            and all(
                len(now) == size and all(map(operator.is_, now.values(), before)) for now, size, before in self.seen
            )
        )
