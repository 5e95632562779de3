"""Makes a public module show the names of its `__all__`, and raise an error with advice for any other name."""

from __future__ import annotations

import dis
import sys
from types import ModuleType

from lamina._imports.lazy import ITSELF, Loaded, load, places, when_loaded
from lamina._messages.missing_names import hint
from lamina._messages.tracebacks import user_facing, user_frame
from lamina.errors import UnknownAttributeError, UnknownImportError


def public(module: str, names: list[str], loaded: Loaded | None = None) -> None:
    """Make a module list only `names` in `dir()`, and raise an error for any other name.

    Names that it imports under `if FOR_TYPES` are loaded at their first use. A script uses a tenth of all names, and
    the import should take no more time than that.

    Args:
        loaded: a function that is called with each such name and its object after it was loaded.
    """
    if loaded is not None:
        when_loaded[module] = loaded

    @user_facing
    def refuse(name: str) -> object:
        if name.startswith("__"):  # Python asks for `__path__` at each import
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if name in names and name in places(module):
            return load(module, name)
        raise missing_attribute(module, name, within(module, name) or hint(module.partition(".")[2], name, names))

    def is_hidden(name: str, value: object) -> bool:
        if not isinstance(value, ModuleType) or name.startswith("_") or "." not in module:
            return False
        return name not in names or (name in places(module) and places(module)[name].name != ITSELF)

    class Public(ModuleType):
        def __setattr__(self, name: str, value: object) -> None:
            """Ignore submodules that Python sets here: `callbacks.history` is a misspelling of `callbacks.History`."""
            if not is_hidden(name, value):
                super().__setattr__(name, value)

    this = sys.modules[module]
    for name, value in list(vars(this).items()):
        if getattr(value, "__name__", "") == f"{module}.{name}" and is_hidden(name, value):
            delattr(this, name)
    vars(this).update(__getattr__=refuse, __dir__=lambda: names)
    this.__class__ = Public


def within(module: str, name: str) -> str:
    """The advice for a name that is in a submodule: `keras.Dense` is `keras.layers.Dense`."""
    modules = [each for each, place in places(module).items() if place.name == ITSELF] if name[0] != "_" else []
    having = [f"{module}.{each}.{name}" for each in modules if name in getattr(load(module, each), "__all__", ())]
    return f"Use instead: {' or '.join(each.partition('.')[2] for each in having)}." if having else ""


def missing_attribute(module: str, name: str, advice: str) -> Exception:
    """The error for `module.name`, or for `from module import name`, if the name does not exist.

    In a from-import, Python replaces the message of an AttributeError, and the advice would be lost. So there it is an
    ImportError.
    """
    frame = user_frame()
    if frame is not None and frame.f_code.co_code[frame.f_lasti] == dis.opmap["IMPORT_FROM"]:
        return UnknownImportError(f"cannot import name {name!r} from {module!r}. {advice}".rstrip(), name=name)
    # With a name and no object, Python adds no advice of its own, which may be of something unrelated.
    return UnknownAttributeError(f"module {module!r} has no attribute {name!r}. {advice}".rstrip(), name=name)
