"""The public names of the package, as the imported package tells them: the docs hold no list of their own."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from types import ModuleType
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras

import lamina
from lamina._settings.settings import Configured

BEYOND_KERAS = {
    "Callback": ("every_batch", "handles_nan"),
    "Layer": ("random_key", "input_shape", "output_shape"),
    "Optimizer": ("lr",),
    "Sequential": ("load_torch_state_dict", "torch_state_dict"),
}
"""Members that are public and that Keras does not have; pages/beyond-keras.md explains them."""


@functools.cache
def public_modules() -> list[ModuleType]:
    """The modules that `lamina` shows, and those that these show, such as `optimizers.schedules`."""
    shown = [getattr(lamina, name) for name in lamina.__all__]
    modules = [value for value in shown if inspect.ismodule(value)]
    within = (getattr(module, name) for module in modules for name in public_names(module))
    return modules + [value for value in within if inspect.ismodule(value)]


def public_names(module: ModuleType) -> list[str]:
    """The names of `__all__`; of a module without it, what it defines itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [n for n, v in vars(module).items() if n[0] != "_" and getattr(v, "__module__", "") == module.__name__]


@functools.cache
def entries(module: ModuleType) -> list[tuple[Any, list[str]]]:
    """Each public class and function of a module with its names, the one that it is defined by first."""
    names: dict[int, list[str]] = {}
    values = {}
    for name in public_names(module):
        value = getattr(module, name)
        if not inspect.ismodule(value):
            values[id(value)] = value
            names.setdefault(id(value), []).append(name)
    return [(value, sorted(names[key], key=lambda n: n != value.__name__)) for key, value in values.items()]


def is_written(value: Any) -> bool:
    """Whether the source has the class or function under its name; a few are made while the package is imported."""
    if inspect.isclass(value):
        return f"class {value.__name__}" in inspect.getsource(sys.modules[value.__module__])
    return bool(inspect.unwrap(value).__code__.co_name == value.__name__)


def home(value: Any) -> ModuleType | None:
    """The public module in whose files something is defined, if it shows it; else None."""
    inside = [m for m in public_modules() if f"{value.__module__}.".startswith(f"{m.__name__}.") and shows(m, value)]
    return max(inside, key=lambda module: len(module.__name__), default=None)


def shows(module: ModuleType, value: Any) -> bool:
    return any(found is value for found, _ in entries(module))


@functools.cache
def public_base(cls: type) -> type | None:
    """The class that a family of public classes has in common, such as Layer for all layers."""
    public = {value for module in public_modules() for value, _ in entries(module) if inspect.isclass(value)}
    return next((base for base in reversed(cls.__mro__[1:]) if base in public), None)


def members(cls: type, module: ModuleType) -> list[str]:
    """The members that a page shows: those that Keras's class has too and those of BEYOND_KERAS, each once.

    What the base of the family shows is not shown again, nor is what has no docstring of its own.
    """
    base, of_keras = public_base(cls), names_in_keras(cls.__name__, module)
    inherited = set() if cls in family_bases(module) else set(dir(base or Configured))
    beyond = BEYOND_KERAS.get(cls.__name__, ())
    public = [name for name in dir(cls) if name[0] != "_" or name == "__call__"]
    return [n for n in public if n in beyond or (n in of_keras and n not in inherited and is_documented(cls, n))]


@functools.cache
def family_bases(module: ModuleType) -> set[Any]:
    """The classes from which others of a module derive, such as Layer."""
    return {public_base(value) for value, _ in entries(module) if inspect.isclass(value)}


def names_in_keras(name: str, module: ModuleType) -> set[str]:
    """The members of Keras's class of this name, if there is one; and of an object, where it needs no arguments."""
    found: Any = keras
    for part in (*module.__name__.split(".")[1:], name):
        found = getattr(found, part, None)
    try:
        made = found()
        if hasattr(made, "compile"):
            made.compile()  # only then a model has its optimizer
        return {*dir(found), *dir(made)}
    except Exception:  # it needs arguments, or a package that is not there
        return set(dir(found))


def is_documented(cls: type, name: str) -> bool:
    """Whether the definition of a method or property that counts has a docstring."""
    owner = next(kind for kind in cls.__mro__ if name in vars(kind))
    value = vars(owner)[name]
    is_method = isinstance(value, property | classmethod | staticmethod) or inspect.isfunction(value)
    return is_method and owner.__module__.startswith("lamina.") and bool(value.__doc__) and defined_as(value, name)


def defined_as(value: Any, name: str) -> bool:
    """Whether this is the name in the definition, not a second one such as `add_variable`."""
    function = getattr(value, "fget", value)
    return getattr(function, "__name__", name) == name
