"""What a public module shows: the names of its `__all__`, and for any other name an error with the nearest one."""

from __future__ import annotations

import dis
import sys
from importlib import import_module
from typing import Any

from lamina._base.absent import hint
from lamina._base.frames import user_facing, user_frame
from lamina.errors import UnknownAttributeError, UnknownImportError


def public(module: str, names: list[str], later: dict[str, str] | None = None) -> None:
    """Let a module show `names` alone in `dir()`, and answer any other name with an error.

    Args:
        later: those of the names that are loaded when they are first used, and the module that each is in, or is.
    """

    @user_facing
    def refuse(name: str) -> Any:
        if name.startswith("__"):  # Python asks for `__path__` at each import
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if later and name in later:
            found = import_module(later[name])
            hide_files()
            return shown.setdefault(name, found if later[name] == f"{module}.{name}" else getattr(found, name))
        raise missing_attribute(module, name, hint(module.partition(".")[2], name, names))

    def hide_files() -> None:
        for name, value in list(shown.items()):
            if getattr(value, "__name__", "") == f"{module}.{name}" and name not in names and not name.startswith("_"):
                del shown[name]  # a file of the module: `callbacks.history` is a misspelt `callbacks.History`

    shown = vars(sys.modules[module])
    hide_files()
    shown.update(__getattr__=refuse, __dir__=lambda: names)


def missing_attribute(module: str, name: str, advice: str) -> Exception:
    """The error for `module.name`, or for `from module import name`, where the name does not exist.

    Python throws the message of an AttributeError away where it stands in a from-import, and with it
    the hint; so there it has to be an ImportError.
    """
    frame = user_frame()
    if frame is not None and frame.f_code.co_code[frame.f_lasti] == dis.opmap["IMPORT_FROM"]:
        return UnknownImportError(f"cannot import name {name!r} from {module!r}. {advice}".rstrip(), name=name)
    return UnknownAttributeError(f"module {module!r} has no attribute {name!r}. {advice}".rstrip())
