"""Makes the pages of the reference: one for each public module, and one for each family of layers.

MkDocs calls the functions `on_...`. A new class or function is on its page by itself, and a new module has one.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
from docstrings import as_markdown
from public_names import entries, family_bases, home, is_written, members, public_base, public_modules

import lamina

FAMILIES = {
    "layer": "Layer",
    "core": "Core layers",
    "activations": "Activation layers",
    "convolution": "Convolution",
    "pooling": "Pooling",
    "normalizations": "Normalization",
    "recurrent": "Recurrent layers",
    "attention": "Attention",
    "wrappers": "Wrappers",
    "reshaping": "Reshaping",
    "regularization": "Regularization",
    "image": "Images",
    "features": "Features",
    "merging": "Merging layers",
}
"""Titles of the pages of layers, in their order; any other family is called by its module and comes after these."""

PART_OF = {"einsum": "core", "embeddings": "core", "masks": "core"}
"""Files of `lamina.layers` that have no page of their own."""

MODULES = {
    "models": "Sequential",
    "optimizers.schedules": "Learning rate schedules",
    "utils.bounding_boxes": "Bounding boxes",
}
"""Titles of pages that are not called by their module."""

ORDER = (
    "models layers activations losses metrics optimizers optimizers.schedules callbacks initializers regularizers "
    "constraints"
).split()
"""The modules that come first in the navigation; the others follow in the order of `lamina.__all__`."""

Entry = tuple[Any, list[str]]


def on_config(config: Any) -> Any:
    """Put the pages into the navigation, where mkdocs.yml has an empty "Reference"."""
    for section in config.nav:
        if "Reference" in section:
            section["Reference"] = navigation(pages())
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages to those that are written by hand."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> dict[str, str]:
    """The text of each page by its path."""
    made = {}
    for module in sorted(public_modules(), key=lambda m: (*ORDER, short(m)).index(short(m))):
        if module is lamina.layers:
            made["reference/layers/index.md"] = overview()
            for family, found in families().items():
                made[f"reference/layers/{family}.md"] = family_page(family, found)
        else:
            made[f"reference/{short(module).replace('.', '/')}.md"] = module_page(module)
    return made


def navigation(made: dict[str, str]) -> list[Any]:
    """An entry for each page, those of the layers in a section."""
    entries = {path: {title_of(text): path} for path, text in made.items()}
    layers = [path for path in made if path.startswith("reference/layers/")]
    section = {"Layers": [layers[0], *(entries[path] for path in layers[1:])]}
    return [section if path == layers[0] else entries[path] for path in made if path not in layers[1:]]


def title_of(text: str) -> str:
    return text.split("\n", 1)[0].removeprefix("# ")


def short(module: ModuleType) -> str:
    return module.__name__.removeprefix("lamina.")


def module_page(module: ModuleType) -> str:
    here = [entry for entry in entries(module) if home(entry[0]) in (module, None)]
    elsewhere = [entry for entry in entries(module) if entry not in here]
    name = short(module)
    parts = [f"# {MODULES.get(name, name.capitalize())}", as_markdown(inspect.getdoc(module) or "")]
    parts.append(f"In a program: `keras.{name}`, after `import lamina as keras`.")
    parts += sections(module, here)
    if elsewhere:
        parts += ["## From other modules", table((home(value), entry) for entry in elsewhere for value in entry[:1])]
    return "\n\n".join(parts) + "\n"


def families() -> dict[str, list[Entry]]:
    """The layers by the file or folder of `lamina.layers` that defines them; "layer" has what all of them share."""
    found: dict[str, list[Entry]] = {name: [] for name in FAMILIES}
    for value, names in entries(lamina.layers):
        family = value.__module__.removeprefix("lamina.layers.").split(".")[0]
        family = family if value.__module__.startswith("lamina.layers.") else "layer"
        found.setdefault(PART_OF.get(family, family), []).append((value, names))
    return {family: values for family, values in found.items() if values}


def family_page(family: str, values: list[Entry]) -> str:
    module = sys.modules.get(f"lamina.layers.{family}", lamina._layer.layer)
    parts = [f"# {FAMILIES.get(family, family.capitalize())}"]
    if family == "layer":
        parts.append("The base of all layers, and of your own.")
    else:
        parts.append(as_markdown(inspect.getdoc(module) or ""))
        parts.append(
            "Each also takes the arguments of [`Layer`][lamina.layers.Layer] by name: `name`, `dtype`, `trainable` "
            "and the others."
        )
    return "\n\n".join([*parts, *sections(lamina.layers, values)]) + "\n"


def overview() -> str:
    """All layers with one sentence each."""
    parts = ["# Layers", as_markdown(inspect.getdoc(lamina.layers) or "")]
    for family, values in families().items():
        parts += [
            f"## [{FAMILIES.get(family, family.capitalize())}]({family}.md)",
            table((lamina.layers, entry) for entry in values),
        ]
    return "\n\n".join(parts) + "\n"


def table(rows: Any) -> str:
    lines = ["| Name | In short |", "| --- | --- |"]
    for module, (value, names) in rows:
        path = f"{module.__name__}.{names[0]}"
        shown = f"[`{names[0]}`][{path}]" if is_written(value) else f"`{names[0]}`"
        lines.append(f"| {shown} | {first_sentence(value)} |")
    return "\n".join(lines)


def first_sentence(value: Any) -> str:
    """The first paragraph of the docstring, up to its first full stop."""
    paragraph = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    sentence = paragraph.split(". ")[0].rstrip(".")
    return sentence.replace("|", "\\|") + "."


def sections(module: ModuleType, values: list[Entry]) -> list[str]:
    """A section for each class and function, the base of the family first and functions last."""
    bases = family_bases(module)
    values = sorted(values, key=lambda entry: (not inspect.isclass(entry[0]), entry[0] not in bases))
    made = [section(module, value, names[0]) for value, names in values if is_written(value)]
    rest = [(module, entry) for entry in values if not is_written(entry[0])]
    return [*made, table(rest)] if rest else made


def section(module: ModuleType, value: Any, name: str) -> str:
    """What mkdocstrings replaces by the signature, the docstring and the members."""
    shown = members(value, module) if inspect.isclass(value) else []
    options = {
        "members": shown or False,
        "inherited_members": bool(shown),
        "show_bases": inspect.isclass(value) and issubclass(value, BaseException),
    }
    made = f"::: {module.__name__}.{name}\n    options: {json.dumps(options)}"
    base = public_base(value) if inspect.isclass(value) else None
    if base is None or base in dict(entries(module)):
        return made
    where = next(each for each in public_modules() if base in dict(entries(each)))
    return f"`{name}` also has the members of [`{base.__name__}`][{where.__name__}.{base.__name__}].\n\n{made}"
