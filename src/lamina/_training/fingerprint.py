"""What a compiled program depends on, and a copy of the layers that holds no arrays."""

from __future__ import annotations

import copy
import types
from typing import Any

import jax
import numpy as np

from lamina._base.frames import is_internal
from lamina._base.settings import Configured
from lamina._base.tree import children
from lamina._base.weight import Weight
from lamina._layer.host import HostLayer
from lamina._layer.structure import Module, refill
from lamina.dtypes import DTypePolicy


class Same:
    """A stand-in for an object that cannot be hashed: equal only for the same object."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def fingerprint(value: Any) -> Any:
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
            kind, state = type(value), value._lamina
            unnamed = ("_lamina",) if isinstance(value, DTypePolicy) else ("_lamina", "name")
            counted = [(name, item) for name, item in sorted(vars(value).items()) if name not in unnamed]
            counted += state.compiled_in()
            settings = [(name, visit(item)) for name, item in counted]
            return (kind, *settings, *(visit(method) for method in _written_by_user(kind)))
        if (items := children(value)) is not None:
            return (type(value), *((key, visit(item)) for key, item in items))
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


def without_arrays(layer: Any) -> Any:
    """A copy with the shapes of the weights in place of their arrays: what a compiled program may hold on to.

    Layers on the host are not part of the program; an empty one stands for each.
    """
    copies: dict[int, Any] = {}

    def strip(leaf: Any, place: str = "") -> Any:
        if not isinstance(leaf, (Weight, Module)):
            return leaf
        if id(leaf) in copies:
            return copies[id(leaf)]
        twin: Any = HostLayer() if isinstance(leaf, HostLayer) else copy.copy(leaf)
        copies[id(leaf)] = twin
        if isinstance(leaf, Weight):
            twin.value = jax.ShapeDtypeStruct(leaf.shape, leaf.value.dtype)
        elif not isinstance(leaf, HostLayer):
            twin._lamina = leaf._lamina.without_arrays()
            refill(twin, leaf, strip)
        return twin

    return strip(layer)
