"""The table of the page "ONNX": which layers can be exported, from the registry of `lamina._onnx`.

MkDocs calls `on_page_markdown`. A layer that cannot be exported, and has no reason here, ends the build.
"""

from __future__ import annotations

import inspect
from typing import Any

from public_names import is_written
from reference import FAMILIES, families

from lamina import layers
from lamina._onnx import writers
from lamina._onnx.export import FAMILIES as _loaded  # noqa: F401  (its import fills the registry)

PLACE = "{{ layers in ONNX }}"
CHAINS = ("Pipeline", "StackedRNNCells")
"""Layers whose parts are exported one after the other."""
HASHES = "ONNX has no operator for its hash"
SEVERAL = "part of custom layers, whose functions for `register_onnx` say what they compute"
REASONS = {
    "Lambda": "only Python knows its function; make it a custom layer",
    "Hashing": HASHES,
    "HashedCrossing": HASHES,
    "ContrastLimitedAdaptiveHistogramEqualization": "not yet",
    "MaxNumBoundingBoxes": "not part of a stack",
}


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Put the table at its place."""
    return markdown.replace(PLACE, table()) if PLACE in markdown else markdown


def table() -> str:
    """A row for each family, and a list of the layers that cannot be exported, with the reasons."""
    rows, missing = ["| Family | Layers that can be exported |", "| --- | --- |"], []
    for family, values in families().items():
        names = [names[0] for value, names in values if is_layer(value)]
        known = [name for name in names if getattr(layers, name) in writers.of_layers or name in CHAINS]
        missing += [name for name in names if name not in known]
        if known:
            rows.append(f"| {FAMILIES.get(family, family.capitalize())} | {', '.join(map(link, known))} |")
    reasons: dict[str, list[str]] = {}
    for name in sorted(missing):
        reasons.setdefault(reason(name), []).append(link(name))
    lines = [f"- {', '.join(links)}: {why}." for why, links in reasons.items()]
    return "\n".join([*rows, "", f"These {len(missing)} cannot:", "", *lines])


def is_layer(value: Any) -> bool:
    """Whether it is a class of layers that a program makes layers of."""
    return inspect.isclass(value) and issubclass(value, layers.Layer) and value not in (layers.Layer, layers.Wrapper)


def link(name: str) -> str:
    """The name, with a link to its part of the reference."""
    return f"[`{name}`][lamina.layers.{name}]" if is_written(getattr(layers, name)) else f"`{name}`"


def reason(name: str) -> str:
    """Why a layer cannot be exported."""
    return SEVERAL if getattr(getattr(layers, name), "_lamina_joins", None) else REASONS[name]
