"""Loads the names of public modules at their first use."""

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
"""The condition for imports of names that are loaded later. They never run, but type checkers and `places` read them.
Under TYPE_CHECKING, mypy would not know the types of aliases such as `MaxPool2D = MaxPooling2D`."""


ITSELF = "."
Loaded: TypeAlias = Callable[[str, Any], None]
when_loaded: dict[str, Loaded] = {}
"""For each module, the function that is called with each name and its object after they were loaded."""


class Place(NamedTuple):
    """The place of a name."""

    file: str
    name: str
    """The name in the file, or `ITSELF`."""


homes: dict[str, tuple[str, ...]] = {}
"""For each kind, such as "layer", the modules with its names. The root of the package fills this dict, because a
registry must not import the modules whose names it finds."""


@functools.cache
def places(module: str) -> dict[str, Place]:
    """The places of the names of a module, from the imports in its code, including those that never run.

    The compiled code is read, because a program may be shipped without its source.
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
    """Load the object of a name in a module, unless it is loaded already."""
    shown = vars(sys.modules[module])
    if name not in shown:
        place = places(module)[name]
        # Pausing takes time if many objects are frozen, and the files of most names are loaded already.
        with nullcontext() if place.file in sys.modules else paused():
            found = import_module(place.file)
        shown[name] = found if place.name == ITSELF else getattr(found, place.name)
        if module in when_loaded:
            when_loaded[module](name, shown[name])
    return shown[name]


def load_all(module: str, like: str = "") -> None:
    """Load a module and its names that equal `like` except for case and underscores; without `like`, all names."""
    with paused():  # once for all: where many objects are frozen, their count takes a tenth of a second
        shown = import_module(module)
        for name in getattr(shown, "__all__", ()):
            if not (like and _letters(name) != _letters(like)):
                load(module, name)


def _letters(name: str) -> str:
    return name.replace("_", "").lower()
