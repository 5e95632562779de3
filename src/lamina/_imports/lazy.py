"""The names of public modules that are loaded when they are first used, and where each of them is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from importlib import import_module
from typing import Any, NamedTuple, TypeAlias

from lamina._imports.garbage import paused

FOR_TYPES: bool = False
"""Stands before the imports that only type checkers read. Under TYPE_CHECKING mypy would not know the types of second
names, such as `MaxPool2D = MaxPooling2D`."""


ITSELF = "."
Later: TypeAlias = Mapping[str, str] | None
Loaded: TypeAlias = Callable[[str, Any], None] | None


class Place(NamedTuple):
    """Where a name is."""

    file: str
    name: str
    """What the file calls it, or `ITSELF`."""
    loaded: Loaded = None
    """Is called with the name and what it stands for, once that is there."""


files: dict[str, dict[str, Place]] = {}
"""By module, the names that are loaded later."""
homes: dict[str, tuple[str, ...]] = {}
"""By kind, such as "layer", the modules that have the names of that kind. The root of the package fills it, since a
registry stands below the modules whose names it finds."""


def register(module: str, later: Later, loaded: Loaded) -> dict[str, Place]:
    """Note the names that a module loads later, as `public` says, and return them."""
    names = {each: file for file, its_names in (later or {}).items() for each in its_names.split()}
    split = ((*each.partition("="), file) for each, file in names.items())
    files[module] = {name: Place(file, other or name, loaded) for name, _, other, file in split}
    return files[module]


def load(module: str, name: str) -> Any:
    """What a module calls `name`, which is loaded now, unless it has been."""
    shown = vars(sys.modules[module])
    if name not in shown:
        place = files[module][name]
        # To pause takes time where many objects are frozen, and most names stand in files that are loaded.
        with nullcontext() if place.file in sys.modules else paused():
            found = import_module(place.file)
        shown[name] = found if place.name == ITSELF else getattr(found, place.name)
        if place.loaded is not None:
            place.loaded(name, shown[name])
    return shown[name]


def load_all(module: str, like: str = "") -> None:
    """Load a module and those of its names that are `like` but for capitals and underscores, or all of them."""
    with paused():  # once for all: where many objects are frozen, their count takes a tenth of a second
        import_module(module)
        for name in files.get(module, ()):
            if not like or _letters(name) == _letters(like):
                load(module, name)


def _letters(name: str) -> str:
    return name.replace("_", "").lower()
