"""The user's own classes and functions by name: those given in a call, those in a scope, and those registered.

Nothing else is ever looked up for a name in a config: no module is imported, and no attribute is read by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from lamina._process.memory import of_a_config
from lamina._settings.converters import short
from lamina.errors import ArgumentError, UnknownNameError

T = TypeVar("T")

registered: dict[str, Any] = {}
"""The dict that `get_custom_objects` returns, with the names of `register_keras_serializable` and the user's own."""
_names: dict[object, str] = {}
_scope: ContextVar[dict[str, Any]] = ContextVar("custom_object_scope", default={})  # noqa: B039  # never changed


@dataclass
class Opening:
    """The arguments of a call that makes objects from a config, and the objects that it has made so far."""

    given: dict[str, Any] = field(default_factory=dict)
    """The user's own classes and functions by name. Only these may replace a built-in name."""
    skip: Collection[str] = ()
    """The names that may be missing."""
    left_out: list[str] = field(default_factory=list)
    """The missing names, with the reasons."""
    shared: dict[tuple[int, type], Any] = field(default_factory=dict)
    """The objects that the config names several times, by their ids."""


class LeftOutError(UnknownNameError):
    """Raised for a part of a config that `skip` leaves out. The object that contains it is made without it."""


_opening: ContextVar[Opening | None] = ContextVar("opening", default=None)


def opening() -> Opening:
    """The call that runs now; an empty one if there is none."""
    return _opening.get() or Opening()


@contextmanager
def known(
    custom_objects: dict[str, Any] | None, skip: Collection[str] = (), left_out: list[str] | None = None
) -> Iterator[Opening]:
    """A context in which every registry also finds the names of `custom_objects`."""
    if custom_objects is not None and not isinstance(custom_objects, dict):
        raise ArgumentError(f"custom_objects is a dict, {{'Name': Name}}; got {short(custom_objects)}.")
    outer = _opening.get()
    now = Opening(dict(custom_objects or {}), skip, [] if left_out is None else left_out)
    if outer is not None:
        now = Opening(outer.given | now.given, outer.skip, outer.left_out, outer.shared)
    before = _opening.set(now)
    try:
        with of_a_config():
            yield now
    finally:
        _opening.reset(before)


class CustomObjectScope:
    """A context in which all calls find your own classes and functions by name.

    >>> from lamina import activations
    >>> with CustomObjectScope({"double": lambda x: 2 * x}):
    ...     activations.get("double")(3)
    6

    A name of a built-in class keeps its meaning.

    Args:
        custom_objects: the classes and functions by name.
    """

    def __init__(self, custom_objects: dict[str, Any]) -> None:
        self.custom_objects = custom_objects or {}
        self._before: list[Token[dict[str, Any]]] = []

    def __enter__(self) -> Self:
        self._before.append(_scope.set({**_scope.get(), **self.custom_objects}))
        return self

    def __exit__(self, *error: object) -> None:
        _scope.reset(self._before.pop())


def get_custom_objects() -> dict[str, Any]:
    """The registered classes and functions by name: a dict that you may change.

    >>> get_custom_objects()["double"] = lambda x: 2 * x
    >>> from lamina import activations
    >>> activations.get("double")(3)
    6
    >>> del get_custom_objects()["double"]
    """
    return registered


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """A decorator that registers your own class or function, so that files can refer to it by name.

    >>> @register_keras_serializable("mine")
    ... def double(x):
    ...     return 2 * x
    >>> get_registered_name(double)
    'mine>double'

    Args:
        package: the first part of the name in files: `package>name`.
        name: the name in files; by default the name of the class or function.
    """

    def register(thing: T) -> T:
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ArgumentError(f"{thing.__name__} needs a method get_config, which says how to make an equal object.")
        full = f"{package}>{name or thing.__name__}"  # type: ignore[attr-defined]
        registered[full], _names[thing] = thing, full
        return thing

    return register


def get_registered_name(obj: Callable[..., Any]) -> str:
    """The name of a class or function in files: the registered one, else its own."""
    return _names.get(obj) or str(obj.__name__)


def get_registered_object(
    name: str, custom_objects: dict[str, Any] | None = None, module_objects: dict[str, Any] | None = None
) -> Any:
    """The class or function of that name: in a scope, registered, or in one of the two dicts; else None."""
    for names in (_scope.get(), registered, custom_objects or {}, module_objects or {}):
        if name in names:
            return names[name]
    return None
