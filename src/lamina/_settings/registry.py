"""Finds the objects for names such as `"relu"`, `"glorot_uniform"` or `"adam"`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Self, TypeVar

from lamina._imports.lazy import homes, load_all
from lamina._messages.missing_names import hint
from lamina._messages.spelling import to_snake_case
from lamina._messages.tracebacks import user_facing
from lamina._settings.converters import short
from lamina._settings.custom_objects import LeftOutError, get_registered_object, known, opening
from lamina._settings.settings import Configured, serialize
from lamina.errors import ArgumentError, UnknownNameError

T = TypeVar("T")


class Holder:
    """A mixin for layers that contain layers: `from_config` takes `custom_objects`, the user's classes."""

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        """Make a layer with the settings that `get_config` returned, and new weights; `custom_objects` is by name."""
        with known(custom_objects):
            made: Self = super().from_config(config)  # type: ignore[misc]
        return made


class Registry:
    """One family of named functions or classes: the activations, the initializers, the losses, ..."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._complete = False
        """Whether all modules of this kind are loaded; otherwise each is loaded when its name is first used."""
        self._loaded: dict[str, Any] = {}
        self.may_be_none = kind in ("activation", "initializer", "regularizer", "constraint")
        """Whether an object can do without one of this kind, if its name is missing and may be skipped."""
        self.also: list[Registry] = []
        """Families with configs that are accepted here too: a layer can be an activation."""

    def add(self, *aliases: str) -> Callable[[T], T]:
        """Decorate a function or class to register its name, its snake_case name and `aliases`."""

        def register(thing: T) -> T:
            name = thing.__name__  # type: ignore[attr-defined]
            for each in (name, to_snake_case(name), *aliases):
                self._loaded[each] = thing
            return thing

        return register

    @property
    def named(self) -> dict[str, Any]:
        """Every name, including aliases, and its function or class."""
        self.load()
        return self._loaded

    def load(self) -> None:
        """Load the functions and classes of all names."""
        if not self._complete:
            for home in homes.get(self.kind, ()):
                load_all(home)
        self._complete = True

    def built_in(self, name: str) -> Any:
        """Return the function or class with exactly that name; None if there is none."""
        if name not in self._loaded and not self._complete:
            for home in homes.get(self.kind, ()):
                load_all(home, name)
        return self._loaded.get(name) or self.named.get(name)

    def find(self, name: str) -> Any:
        """Return the function or class called `name`. Case matters only if two names differ only by case."""
        if name in (given := opening().given):
            return given[name]
        if (found := self.built_in(name)) is not None:
            return found
        if (own := get_registered_object(name)) is not None:
            return own
        for candidate, thing in self.named.items():
            if candidate.lower() == name.lower():
                return thing
        family = f"{self.kind}es" if self.kind.endswith("s") else f"{self.kind}s"
        advice = hint(family, name, self.named)
        if name.partition("(")[0] in self.named:
            advice = f"Write a call without quotes: keras.{family}.{name}."
        raise UnknownNameError(f"no {self.kind} is called {short(name)}. {advice}".rstrip())

    @property
    def serialize(self) -> Callable[..., Any]:
        """Make the function `serialize` of the family; its argument has Keras's name."""
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
    def deserialize(self, config: object, custom_objects: dict[str, Any] | None = None) -> Any:
        """Make the object of a config from `settings.serialize`; `custom_objects` has the user's classes by name."""
        with known(custom_objects):
            return self.get(config)

    @user_facing
    def get(self, identifier: object) -> Any:
        """Return the object for a name, a class or a config; objects, functions and None are returned unchanged."""
        if identifier is None:
            return None
        if isinstance(identifier, str):
            return _made(self._or_left_out(identifier, (identifier,), lambda: self.find(identifier)))
        if isinstance(identifier, dict) and "class_name" in identifier:
            return self._described(identifier)
        if isinstance(identifier, type):
            return identifier()
        if callable(identifier) or isinstance(identifier, Configured):
            return identifier
        article = "an" if self.kind[0] in "aeiou" else "a"
        sort = "module" if isinstance(identifier, ModuleType) else type(identifier).__name__
        raise ArgumentError(
            f"expected the name of {article} {self.kind}, an object or a function, got {short(identifier)} ({sort})."
        )

    def _described(self, described: dict[str, Any]) -> Any:
        """Return the function that a config names, or make an object of its class with its settings."""
        kind, config, full = (described.get(part) for part in ("class_name", "config", "registered_name"))
        name = config if kind == "function" else kind
        config = {} if config is None else config
        if not isinstance(name, str) or not isinstance(full, str | None) or not isinstance(config, dict | str):
            raise ArgumentError(
                f"expected the config of {self.kind}, as `serialize` returns it; got {short(described)}."
            )
        label = config.get("name") if isinstance(config, dict) else None
        names = [each for each in (full, name, label) if isinstance(each, str)]
        if kind == "function":
            return _made(self._or_left_out(name, names, lambda: self._found(name, full, described.get("module"))))

        def make() -> Any:
            found = self._found(name, full, described.get("module"))
            if not isinstance(found, type):  # a function in place of the class
                return found
            if not isinstance(config, dict) or not hasattr(found, "from_config"):
                raise ArgumentError(
                    f"{name}: expected its settings, and a class with from_config; got {short(config)}."
                )
            made, built_for = _shared(described, found, config), described.get("build_config")
            if isinstance(built_for, dict) and getattr(made, "built", None) is False:
                made.build_from_config(built_for)
            return made

        return self._or_left_out(name, names, make)

    def _found(self, name: str, full: str | None, module: object) -> Any:
        """Find the class or function of a config by its name and its registered name.

        A registered name never replaces a built-in one in a config that names a module of Keras.
        """
        given, own = opening().given, full not in (None, "function") and not _is_built_in(module)
        for each in (full, name):
            if each in given:
                return given[each]
        found = self.built_in(name)  # loads the modules, which may add entries to `also`
        if found is None:
            found = next((one for each in self.also if (one := each.built_in(name)) is not None), None)
        if not own and found is not None:
            return found
        for each in (full, name):
            if each is not None and (found := get_registered_object(each)) is not None:
                return found
        if not own and not full:
            return self.find(name)
        key = full if full not in (None, "function") else name
        if name == "<lambda>":
            raise UnknownNameError(
                "no file holds the code of a lambda. Pass the function under the name of its layer: "
                "custom_objects={'name of the layer': function}."
            )
        raise UnknownNameError(
            f"no {self.kind} is called {short(name)}. Pass the object of that name: "
            f"custom_objects={{{short(key)}: {name[:60]}}}."
        )

    def _or_left_out(self, name: str, names: Sequence[str], make: Callable[[], T]) -> T | None:
        """Return the result of `make`. If a missing name is to be skipped, return None or raise a LeftOutError."""
        now = opening()
        try:
            return make()
        except LeftOutError:
            raise
        except UnknownNameError as error:
            if not set(names) & set(now.skip):
                raise
            if not self.may_be_none:
                raise LeftOutError(str(error)) from None
            now.left_out.append(f"{self.kind} {name}: {error}")
            return None


def _made(found: object) -> Any:
    return found() if isinstance(found, type) else found


def _is_built_in(module: object) -> bool:
    """Whether the module in a config is one of Keras."""
    return isinstance(module, str) and (module == "builtins" or module.partition(".")[0] == "keras")


def _shared(described: dict[str, Any], kind: Any, config: dict[str, Any]) -> Any:
    """Make the object with these settings, or return the object that was made before for the same id."""
    number, made = described.get("shared_object_id"), opening().shared
    if not isinstance(number, int):
        return kind.from_config(dict(config))
    if (number, kind) not in made:
        made[number, kind] = kind.from_config(dict(config))
    return made[number, kind]
