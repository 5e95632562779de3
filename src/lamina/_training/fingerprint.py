"""What a compiled program depends on, and a copy of the layers that holds no arrays."""

from __future__ import annotations

import copy
import operator
import types
from typing import Any

import jax
import numpy as np

from lamina._base.frames import is_internal
from lamina._base.settings import Configured
from lamina._base.weight import Weight
from lamina._layer.structure import Tree


class Same:
    """Equal to itself alone, as long as anybody remembers it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def frozen(value: Any) -> Any:
    """A hashable stand-in that is equal for two things which compile to the same program.

    Names, places and the values of weights do not count; unknown objects count by identity. The user's functions
    count with the globals that they read: these are constants in the program.
    """
    seen: dict[int, int] = {}

    def visit(value: Any) -> Any:
        if isinstance(value, (Configured, types.FunctionType)):
            if id(value) in seen:
                return ("again", seen[id(value)])
            seen[id(value)] = len(seen)
        if isinstance(value, Weight):
            functions = visit(value.regularizer), visit(value.constraint)
            return ("weight", value.name, value.shape, value.dtype, value.trainable, value.autocast, functions)
        if isinstance(value, Configured):
            kind = type(value)
            settings = [(k, visit(v)) for k, v in sorted(vars(value).items()) if k not in kind.unshared]
            return (kind, *settings, *(visit(method) for method in _written_by_user(kind)))
        if isinstance(value, (list, tuple)):
            return (type(value), *map(visit, value))
        if isinstance(value, dict):
            return ("dict", *((key, visit(item)) for key, item in value.items()))
        if isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, jax.core.Tracer):
            return ("array", value.shape, str(value.dtype), np.asarray(value).tobytes())
        if isinstance(value, types.FunctionType):
            closure = [visit(cell.cell_contents) for cell in value.__closure__ or ()]
            read = [] if is_internal(value.__code__.co_filename) else sorted(_names(value.__code__))
            constants = [(name, visit(value.__globals__[name])) for name in read if name in value.__globals__]
            return ("function", value.__code__, visit(value.__defaults__), *closure, *constants)
        try:
            hash(value)
        except TypeError:
            return Same(value)
        return (type(value), value)

    return visit(value)


def _written_by_user(kind: type) -> list[types.FunctionType]:
    own = [vars(cls) for cls in kind.__mro__ if not cls.__module__.startswith(("lamina.", "builtins"))]
    return [item for attributes in own for item in attributes.values() if isinstance(item, types.FunctionType)]


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


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
        parts = [part.layer for layer in model.stack for part in layer.walk()]
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
