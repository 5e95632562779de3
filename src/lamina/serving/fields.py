"""Describes the form at `/`: a field for each column, an image, a text, or numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from lamina.serving import inputs
from lamina.serving.served import ServedModel

MOST_CHOICES = 500
MOST_FIELDS = 64
"""The most numbers in a row with a field for each. For more numbers there is one field with JSON."""


def description(served: ServedModel, taken: inputs.Arrays | inputs.Table) -> dict[str, Any]:
    """Describe the form of a model by plain data, from which the page makes its elements."""
    told: dict[str, Any] = {"name": served.name, "shape": list(served.shape), "classes": list(served.classes or [])}
    if isinstance(taken, inputs.Table):
        return {**told, "kind": "columns", "fields": [_field(*item) for item in taken.features.items()]}
    if isinstance(taken, inputs.Raw):
        return {**told, "kind": "text"}
    if inputs.is_image(served):
        return {**told, "kind": "image"}
    size = served.shape[0] if len(served.shape) == 1 else None
    if size is not None and size <= MOST_FIELDS:
        names = taken.columns or [f"x[{place}]" for place in range(size)]
        return {**told, "kind": "numbers", "fields": [{"name": name, "kind": "number"} for name in names]}
    return {**told, "kind": "rows"}


def _field(name: str, feature: Any) -> dict[str, Any]:
    """Describe the field of one column: a choice of categories, a number, a date or a text."""
    layer = feature.preprocessor
    kind = {"float32": "number", "int32": "number", "int64": "number", "datetime": "date"}.get(feature.dtype, "text")
    choices: list[Any] = []
    if feature.output_mode == "one_hot" and hasattr(layer, "get_vocabulary"):
        choices = list(layer.get_vocabulary(include_special_tokens=False))
    if choices and len(choices) <= MOST_CHOICES:
        return {"name": name, "kind": "choice", "choices": np.asarray(choices).tolist()}
    return {"name": name, "kind": kind}
