"""The pages "All names", which compares this package with Keras, and "Speed", which has the tables of benchmarks/.

MkDocs calls `on_files`.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

from public_names import is_written, keras, public_modules

import lamina

BENCHMARKS = Path(__file__).parent.parent / "benchmarks" / "README.md"
LEFT_OUT = {"args", "kwargs", "self"}


def compared(module: str) -> list[tuple[str, str]]:
    """Each public name of Keras's module, and what differs here."""
    theirs, ours = (at(root, module) for root in (keras, lamina))
    names = [name for name in dir(theirs) if name[0] != "_" and not inspect.ismodule(getattr(theirs, name))]
    return [(name, difference(getattr(theirs, name), ours, name)) for name in names]


def at(root: ModuleType, module: str) -> Any:
    for part in module.split(".") if module else ():
        root = getattr(root, part)
    return root


def difference(theirs: Any, ours: Any, name: str) -> str:
    """What differs between both, in words; nothing where all arguments and their defaults are the same."""
    try:
        found = getattr(ours, name)
    except AttributeError as error:
        said = str(error).splitlines()[0].partition("'. ")[2]
        return f"not there. {said}".strip().replace("__", r"\_\_")
    if not callable(theirs) or not callable(found):
        return ""
    want, have = parameters(theirs), parameters(found)
    open_ended = any(each.kind is each.VAR_KEYWORD for each in have.values())
    missing = [each for each in want if each not in have and not open_ended and each not in LEFT_OUT]
    parts = [f"no argument `{each}`" for each in missing]
    for each in want.keys() & have.keys():
        one, other = want[each].default, have[each].default
        if inspect.Parameter.empty not in (one, other) and not same(one, other):
            parts.append(f"`{each}={other!r}`, in Keras `{one!r}`")
    return "; ".join(sorted(parts))


def parameters(value: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return {}


def same(one: Any, other: Any) -> bool:
    """Whether two defaults mean the same: names count without their case, and (2, 2) is 2."""
    if callable(one) or callable(other) or "object at" in repr(one):
        return True
    if isinstance(one, str) and isinstance(other, str):
        return one.replace("_", "").lower() == other.replace("_", "").lower()
    if isinstance(one, list | tuple) and not isinstance(other, list | tuple):
        return all(same(each, other) for each in one)
    return bool(one == other)


def names_page() -> str:
    """All names by module, with a link where the reference has them."""
    of_keras = [m.__name__.removeprefix("lamina.") for m in public_modules()]
    modules = ["", *(name for name in of_keras if is_module_of_keras(name))]
    tables, total, equal = [], 0, 0
    for module in modules:
        rows = compared(module)
        total, equal = total + len(rows), equal + sum(not told for _, told in rows)
        lines = [f"| {link(module, name)} | {told.replace('|', chr(92) + '|')} |" for name, told in rows]
        title = f"keras.{module}" if module else "keras"
        tables.append(f"## {title}\n\n| Name | What differs |\n| --- | --- |\n" + "\n".join(lines))
    text = (
        f"Keras {keras.__version__} has {total} public names in the modules that Lamina has. {equal} of them have the "
        "same arguments and defaults here. This page compares both packages when it is built. An empty cell says that "
        "nothing differs."
    )
    return "\n\n".join(["# All names", text, *tables]) + "\n"


def is_module_of_keras(name: str) -> bool:
    try:
        return inspect.ismodule(at(keras, name))
    except AttributeError:
        return False


def link(module: str, name: str) -> str:
    """The name, with a link where the reference explains it."""
    value = getattr(at(lamina, module), name, None)
    shown = lamina if not module else at(lamina, module)
    written = (inspect.isclass(value) or inspect.isroutine(value)) and module and name in shown.__all__
    if not written or value.__name__ != name or not value.__module__.startswith("lamina.") or not is_written(value):
        return f"`{name}`"
    return f"[`{name}`][lamina.{module}.{name}]"


def speed_page() -> str:
    """The tables of benchmarks/README.md, which `make bench` writes, with the headings above them."""
    parts, heading, lines = [], "", []
    for line in [*BENCHMARKS.read_text().splitlines(), ""]:
        if line.startswith("#"):
            heading = re.sub(r"^#+", "##", line)
        if line.startswith("|"):
            lines.append(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line))
        elif lines:
            parts += [heading, "\n".join(lines)] if heading else ["\n".join(lines)]
            heading, lines = "", []
    text = "Measured by `make bench` beside Keras and PyTorch. `benchmarks/README.md` says on which machines, and how."
    return "\n\n".join(["# Speed", text, *parts]) + "\n"


def on_config(config: Any) -> Any:
    """Put both pages into the navigation, behind those that are written by hand."""
    config.nav[0]["Lamina"] += ["names.md", "speed.md"]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add both pages."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "names.md", content=names_page()))
    files.append(File.generated(config, "speed.md", content=speed_page()))
    return files
