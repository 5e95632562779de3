"""Fingerprints of layers, losses and metrics: models with equal fingerprints share their compiled programs."""

from __future__ import annotations

import functools
import re
import types
from collections.abc import Hashable
from typing import Any

import jax
import numpy as np

from lamina._arrays.nested import children
from lamina._layer.host import HostLayer
from lamina._settings.origin import of_library
from lamina._settings.settings import Configured
from lamina._weights.weight import Weight
from lamina.dtypes import DTypePolicy

PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, np.dtype, range, slice, re.Pattern, frozenset)


PARTIAL = functools.partial, jax.tree_util.Partial


class UsersCode(Exception):
    """Raised for user code in a value, because it may depend on anything."""


def fingerprint(value: object) -> Hashable:
    """A hashable value that is equal for two objects that compile to the same program; None for user code.

    Names of layers and values of weights do not count. A user's function or class may read global variables, so a
    program with user code is not shared: it belongs to one model and one call of `compile`.

    >>> from lamina import layers
    >>> fingerprint(layers.Dense(3)) == fingerprint(layers.Dense(3)) != fingerprint(layers.Dense(4))
    True
    >>> fingerprint(layers.Lambda(lambda x: x + 1))
    """
    try:
        return _visit(value, {})
    except UsersCode:
        return None


def _visit(value: Any, seen: dict[int, int]) -> tuple[Any, ...]:
    if isinstance(value, (Configured, types.FunctionType)):
        if id(value) in seen:
            return ("again", seen[id(value)])
        seen[id(value)] = len(seen)
    kind = type(value)
    if isinstance(value, Weight):
        functions = _visit(value.regularizer, seen), _visit(value.constraint, seen)
        return ("weight", value.name, value.shape, value.dtype, value.trainable, value.autocast, functions)
    if isinstance(value, HostLayer):  # it runs before the program
        return ("host",)
    if isinstance(value, Configured) and of_library(kind):
        unnamed = ("_lamina",) if isinstance(value, DTypePolicy) else ("_lamina", "name")
        counted = [(name, item) for name, item in sorted(vars(value).items()) if name not in unnamed]
        return (kind, *((name, _visit(item, seen)) for name, item in (*counted, *value._lamina.compiled_in())))
    if kind in (list, tuple) and {*map(type, value)} <= {bool, int, float}:  # there may be a million
        return (kind, str(value))
    if (items := children(value)) is not None and of_library(kind):
        return (kind, *((key, _visit(item, seen)) for key, item in items))
    if isinstance(value, jax.Array) or (isinstance(value, np.ndarray) and value.dtype != object and of_library(kind)):
        return ("array", value.shape, str(value.dtype), np.asarray(value).tobytes())
    if isinstance(value, PLAIN) and (kind in PLAIN or isinstance(value, np.dtype) or of_library(kind)):
        return (kind, str(value) if isinstance(value, (float, slice)) else value)
    if isinstance(value, types.MethodType):
        return ("method", _visit(value.__func__, seen), _visit(value.__self__, seen))
    if kind in PARTIAL:
        return ("partial", *(_visit(part, seen) for part in (value.func, value.args, value.keywords)))
    if callable(value) and of_library(value):
        cells = getattr(value, "__closure__", None) or ()
        if cells and isinstance(value, types.FunctionType):
            given = _visit(value.__defaults__, seen), _visit(value.__kwdefaults__, seen)
            return (value.__code__, *given, *(_visit(cell.cell_contents, seen) for cell in cells))
        return ("callable", value)
    raise UsersCode
