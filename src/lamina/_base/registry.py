"""Names and objects: how `"relu"`, `"glorot_uniform"` or `"adam"` become what they name."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self, TypeVar

from lamina._base.absent import hint
from lamina._base.converters import short
from lamina._base.frames import user_facing
from lamina._base.settings import Configured, serialize
from lamina._base.spelling import to_snake_case
from lamina.errors import ArgumentError, UnknownNameError

T = TypeVar("T")


_own: ContextVar[dict[str, Any]] = ContextVar("custom_objects")


@contextmanager
def known(custom_objects: dict[str, Any] | None) -> Iterator[None]:
    """Inside this context every family also finds the names of `custom_objects`, to any depth."""
    before = _own.set({**_own.get({}), **(custom_objects or {})})
    try:
        yield
    finally:
        _own.reset(before)


class Holder:
    """Mixed into a layer that holds others: its `from_config` takes `custom_objects`, the user's own classes."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """A layer with the settings that `get_config` returned, and fresh weights; `custom_objects` by name."""
        with known(custom_objects):
            made: Self = super().from_config(config)  # type: ignore[misc]
        return made


class Registry:
    """One family of named functions or classes: the activations, the initializers, the losses, ..."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.named: dict[str, Any] = {}
        """Every name, aliases included, and the function or class that it stands for."""
        self.also: list[Registry] = []
        """Families whose configs are good here too: a layer can serve as an activation."""

    def including(self, names: dict[str, Any] | None) -> Registry:
        """The same family for one look-up, in which `names` say what the user's own names stand for."""
        wider = copy.copy(self)
        wider.named = {**self.named, **(names or {})}
        return wider

    def add(self, *aliases: str) -> Callable[[T], T]:
        """Decorate a function or class so that it is known by its name, its snake_case name and `aliases`."""

        def register(thing: T) -> T:
            name = thing.__name__  # type: ignore[attr-defined]
            for each in (name, to_snake_case(name), *aliases):
                self.named[each] = thing
            return thing

        return register

    def find(self, name: str) -> Any:
        """The function or class called `name`; case matters only where two names differ in nothing else."""
        if name in _own.get({}):
            return _own.get({})[name]
        if name in self.named:
            return self.named[name]
        for candidate, thing in self.named.items():
            if candidate.lower() == name.lower():
                return thing
        family = f"{self.kind}es" if self.kind.endswith("s") else f"{self.kind}s"
        advice = hint(family, name, self.named)
        if name.partition("(")[0] in self.named:
            advice = f"A call stands without quotes: keras.{family}.{name}."
        raise UnknownNameError(f"no {self.kind} is called {name!r}. {advice}".rstrip())

    @property
    def serialize(self) -> Callable[..., Any]:
        """The function `serialize` of the family, whose argument has the name that Keras gives it."""
        name = self.kind.replace(" ", "_")
        signature = inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)])

        @user_facing
        def serialize_one(*args: Any, **kwargs: Any) -> Any:
            return serialize(*signature.bind(*args, **kwargs).args)

        serialize_one.__name__, serialize_one.__signature__ = "serialize", signature  # type: ignore[attr-defined]
        article = "an" if name[0] in "aeiou" else "a"
        serialize_one.__doc__ = f"The config of {article} {self.kind}, from which `deserialize` makes an equal one."
        return serialize_one

    @user_facing
    def deserialize(self, config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
        """The object that `settings.serialize` described; `custom_objects` says what the user's own names stand for."""
        with known(custom_objects):
            return self.get(config)

    @user_facing
    def get(self, identifier: Any) -> Any:
        """The object for a name, a class, a config, or an object or function as it is; None stays None."""
        if identifier is None:
            return None
        if isinstance(identifier, str):
            found = self.find(identifier)
            return found() if isinstance(found, type) else found
        if isinstance(identifier, dict) and "class_name" in identifier:
            return self._described(identifier)
        if isinstance(identifier, type):
            return identifier()
        if callable(identifier) or isinstance(identifier, Configured):
            return identifier
        article = "an" if self.kind[0] in "aeiou" else "a"
        raise ArgumentError(
            f"expected the name of {article} {self.kind}, an object or a function, got {short(identifier)} "
            f"({type(identifier).__name__})."
        )

    def _described(self, described: dict[str, Any]) -> Any:
        """The function that a config names, or an object of the class that it names, with its settings."""
        function, registered = described["class_name"] == "function", described.get("registered_name")
        name = described["config"] if function else described["class_name"]
        name = registered if registered in _own.get({}) else name
        owner = next((each for each in (self, *self.also) if name in each.named), self)
        try:
            found = owner.find(name)
        except UnknownNameError:
            if not registered:
                raise
            raise UnknownNameError(
                f"no {self.kind} is called {name!r}. Say what the name stands for: custom_objects={{{name!r}: {name}}}."
            ) from None
        return found if function else found.from_config(described.get("config") or {})
