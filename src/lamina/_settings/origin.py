"""What is of a library, and what is the user's own: told by what the modules hold, never by a name.

Any code can give itself the name of a module: `functools.wraps` copies it, `exec` takes what its globals say, and a
class or a function is free to set its `__module__`.
"""

from __future__ import annotations

import operator
import sys
import types
from types import FunctionType
from typing import Any

LIBRARIES = "lamina", "jax", "jaxlib", "numpy", "builtins"
"""Whose code reads only its arguments."""
WRAPPERS = "contextlib", "dataclasses", "reprlib", "typing"
"""Modules of Python whose functions stand among the methods of our classes."""

_unchanged: dict[type, tuple[Any, ...]] = {}
"""By class: what it held when its methods were last looked at, and were its own."""


def of_library(thing: Any, *libraries: str) -> bool:
    """Whether a class, a function or another callable is a library's own: of one of these, or of `LIBRARIES`.

    A class, or a callable that is no function, is one that the module which it names holds under its name. A function
    is one of the file of such a module, and if it is a closure, either held there or of the library's functions alone.

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
    """Whether the module that a thing names holds it under its name."""
    name = getattr(thing, "__module__", None)
    path = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    if not (isinstance(name, str) and isinstance(path, str) and name.partition(".")[0] in libraries):
        return False
    found: Any = sys.modules.get(name)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found is thing or (name == "builtins" and getattr(types, path, None) is thing)  # NoneType stands there


def _module_of(function: FunctionType, libraries: tuple[str, ...]) -> Any:
    """The module whose names the function reads; None if it is in none of these libraries."""
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) and name.partition(".")[0] in libraries else None
    return module if module is not None and vars(module) is function.__globals__ else None


def _as_written(kind: type) -> bool:
    """Whether no method of a class of ours was replaced by a function of the user's."""
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
