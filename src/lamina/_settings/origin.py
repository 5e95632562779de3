"""Decides whether a class or function belongs to a library or to the user, by the contents of modules, not by names.

Any code can have the name of a library's module: `functools.wraps` copies the name, `exec` takes it from the globals,
and a class or a function can set its `__module__`.
"""

from __future__ import annotations

import operator
import sys
import types
from types import FunctionType
from typing import Any

LIBRARIES = "lamina", "jax", "jaxlib", "numpy", "builtins"
"""The libraries with functions that read only their arguments."""
WRAPPERS = "contextlib", "dataclasses", "reprlib", "typing"
"""Modules of Python that add methods to our classes."""

_unchanged: dict[type, tuple[Any, ...]] = {}
"""The contents of each class when all of its methods were last found to be unchanged."""


def of_library(thing: Any, *libraries: str) -> bool:
    """Whether a class, a function or another callable belongs to one of these libraries, or to `LIBRARIES`.

    A class, or a callable that is not a function, belongs to a library if its module contains it under its name. A
    function belongs to it if its code is in the file of such a module. A closure must also be contained in the module,
    or refer only to functions of the library.

    >>> of_library(dict), of_library(operator.add), of_library(operator.add, "_operator")
    (True, False, True)
    """
    libraries = libraries or LIBRARIES
    if isinstance(thing, FunctionType):
        module = _module_of(thing, libraries)
        if module is None or thing.__code__.co_filename != getattr(module, "__file__", None):
            return False
        inside = [cell.cell_contents for cell in thing.__closure__ or ()]
        return _is_held(thing, libraries) or all(not callable(each) or of_library(each, *libraries) for each in inside)
    return _is_held(thing, libraries) and (not isinstance(thing, type) or all(map(_as_written, thing.__mro__)))


def _is_held(thing: Any, libraries: tuple[str, ...]) -> bool:
    """Whether the module in `__module__` contains the object under its name."""
    name = getattr(thing, "__module__", None)
    path = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    if not (isinstance(name, str) and isinstance(path, str) and name.partition(".")[0] in libraries):
        return False
    found: Any = sys.modules.get(name)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found is thing or (name == "builtins" and getattr(types, path, None) is thing)  # NoneType is in types


def _module_of(function: FunctionType, libraries: tuple[str, ...]) -> Any:
    """Return the module of the function's globals; None if it is in none of these libraries."""
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) and name.partition(".")[0] in libraries else None
    return module if module is not None and vars(module) is function.__globals__ else None


def _as_written(kind: type) -> bool:
    """Whether the user has not replaced any method of a class of Lamina."""
    if not kind.__module__.startswith("lamina."):
        return True
    held = tuple(vars(kind).values())
    before = _unchanged.get(kind, ())
    if len(before) == len(held) and all(map(operator.is_, before, held)):
        return True
    if all(_module_of(each, ("lamina", *WRAPPERS)) for each in held if isinstance(each, FunctionType)):
        _unchanged[kind] = held
        return True
    return False
