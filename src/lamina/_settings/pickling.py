"""Pickles objects with functions. A pickle stores the name of a function; a function without one is an error."""

from __future__ import annotations

import copy
import functools
import os
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, Self, SupportsIndex

from lamina._arrays.nested import leaves, tree_map
from lamina.errors import PicklingError


class ByName:
    """A mixin for classes with user functions in their settings, for pickle and copies."""

    _lamina_label: str = ""
    """The name of the object in messages, if it is not its name and class."""

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        made = super().__reduce_ex__(protocol)
        if isinstance(made, str) or len(made) < 3 or not isinstance(made[2], dict):  # the class has its own way
            return made
        return (*made[:2], {place: _named(self, value, place) for place, value in made[2].items()}, *made[3:])

    def __copy__(self) -> Self:
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin


def _named(owner: ByName, value: object, place: str) -> object:
    """Return `value` with a stand-in for each function that pickle cannot find."""
    if not any(_needs_a_name(leaf) for _, leaf in leaves(value)):
        return value  # the same lists and dicts, which others may hold too

    def stand_in(leaf: Any, at: str) -> Any:
        if not _needs_a_name(leaf):
            return leaf
        if isinstance(leaf, functools.partial):
            return functools.partial(stand_in(leaf.func, at), *leaf.args, **leaf.keywords)
        return _Reference(leaf, owner, at)

    return tree_map(stand_in, value, place)


def _needs_a_name(value: object) -> bool:
    """Whether pickle cannot store the function: it has no name in its module, or JAX has wrapped it."""
    if isinstance(value, functools.partial):
        return _needs_a_name(value.func)
    if isinstance(value, FunctionType):
        return not _is_found(value)
    return callable(value) and not isinstance(value, type) and {"__wrapped__", "__qualname__"} <= set(dir(value))


def _is_found(function: Callable[..., Any]) -> bool:
    try:
        return _find(function.__module__, function.__qualname__) is function
    except (AttributeError, KeyError):
        return False


def _find(module: str, name: str) -> Any:
    found: Any = sys.modules[module] if module in sys.modules else __import__(module, fromlist=["_"])
    for part in name.split("."):
        found = getattr(found, part)
    return found


class _Reference:
    """Replaces a function in a pickle; a copy gets the function itself. It is callable for `functools.partial`."""

    def __init__(self, function: Callable[..., Any], owner: ByName, place: str) -> None:
        self.function, self.owner, self.place = function, owner, place

    def __call__(self, *args: object, **kwargs: object) -> Any:
        return self.function(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, object]) -> Callable[..., Any]:
        return self.function

    def __reduce__(self) -> tuple[Any, ...]:
        if _is_found(self.function):
            return _find, (self.function.__module__, self.function.__qualname__)
        if _takes_functions():
            return copy.copy, (self.function,)
        raise PicklingError(_message(self))


def _takes_functions() -> bool:
    """Whether the present pickler stores the code of functions, as joblib's workers do."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if any(package in frame.f_globals.get("__name__", "").split(".") for package in ("cloudpickle", "dill")):
            return True
    return False


def _message(reference: _Reference) -> str:
    owner, function = reference.owner, reference.function
    kind, name = type(owner).__name__.removesuffix("State"), getattr(owner, "name", None)
    label = owner._lamina_label or (f"{name} ({kind})" if isinstance(name, str) else kind)
    setting = next(part for part in reversed(reference.place.split(".")) if not part.isdigit())
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    place = f" of {os.path.basename(code.co_filename)}:{code.co_firstlineno}" if code else ""
    what = "lambda" if function.__name__ == "<lambda>" else f"function {function.__name__!r}"
    return (
        f"pickle cannot keep the {setting} of {label}, which is the {what}{place}: it keeps the name of a function, "
        "and looks the function up in its module. Write it with def, outside of any other function."
    )
