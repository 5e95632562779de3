"""The names of public modules that are loaded when they are first used, and where each of them is."""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from importlib.abc import InspectLoader
from typing import Any, NamedTuple, TypeAlias

from lamina._imports.garbage import paused

FOR_TYPES: bool = False
"""Stands before the imports of the names that are loaded later. They are never run: type checkers read them, and
`places`. Under TYPE_CHECKING mypy would not know the types of second names, such as `MaxPool2D = MaxPooling2D`."""


ITSELF = "."
Loaded: TypeAlias = Callable[[str, Any], None]
when_loaded: dict[str, Loaded] = {}
"""By module, what is called with each name that is loaded later, and what it stands for, once that is there."""


class Place(NamedTuple):
    """Where a name is."""

    file: str
    name: str
    """What the file calls it, or `ITSELF`."""


homes: dict[str, tuple[str, ...]] = {}
"""By kind, such as "layer", the modules that have the names of that kind. The root of the package fills it, since a
registry stands below the modules whose names it finds."""


@functools.cache
def places(module: str) -> dict[str, Place]:
    """Where the names of a module are: what the imports in its code say, also those that are never run.

    The compiled code is read, since a program may be shipped without its source.
    """
    spec = sys.modules[module].__spec__
    assert spec is not None and isinstance(spec.loader, InspectLoader)
    code = spec.loader.get_code(module)
    assert code is not None
    found, file, name = {}, "", ""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            file = step.argval
        elif step.opname == "IMPORT_FROM":
            name = step.argval
        elif step.opname == "STORE_NAME" and name:
            found[step.argval] = Place(f"{file}.{name}", ITSELF) if file == module else Place(file, name)
            name = ""
    return found


def load(module: str, name: str) -> Any:
    """What a module calls `name`, which is loaded now, unless it has been."""
    shown = vars(sys.modules[module])
    if name not in shown:
        place = places(module)[name]
        # To pause takes time where many objects are frozen, and most names stand in files that are loaded.
        with nullcontext() if place.file in sys.modules else paused():
            found = import_module(place.file)
        shown[name] = found if place.name == ITSELF else getattr(found, place.name)
        if module in when_loaded:
            when_loaded[module](name, shown[name])
    return shown[name]


def load_all(module: str, like: str = "") -> None:
    """Load a module and those of its names that are `like` but for capitals and underscores, or all of them."""
    with paused():  # once for all: where many objects are frozen, their count takes a tenth of a second
        shown = import_module(module)
        for name in getattr(shown, "__all__", ()):
            if not (like and _letters(name) != _letters(like)):
                load(module, name)


def _letters(name: str) -> str:
    return name.replace("_", "").lower()
