"""Checks whether a stack processes the rows of a batch independently of each other."""

from __future__ import annotations

from lamina._layer.structure import Module, held, parts
from lamina._settings.origin import of_library
from lamina._settings.settings import Configured
from lamina._weights.weight import Weight

OF_WEIGHTS = "initializer", "regularizer", "constraint"


def stay_apart(model: object) -> bool:
    """Whether each row's output depends only on that row. For custom layers and functions this is unknown.

    If it does, batches may be padded with rows or split differently, which is faster.
    """
    return all(_takes_row_by_row(part.layer) for part in parts(model))


def _takes_row_by_row(layer: Module) -> bool:
    axis = getattr(layer, "axis", None)
    return 0 not in (axis if isinstance(axis, (list, tuple)) else (axis,)) and not holds_own_code(layer)


def holds_own_code(layer: Module) -> bool:
    """Whether a layer itself, or a function that it applies, is custom."""
    used = [getattr(type(layer), name) for name in ("call", "predict_step") if hasattr(type(layer), name)]
    for place, leaf in held(layer):
        if callable(leaf) and not isinstance(leaf, (Weight, Module)) and not place.endswith(OF_WEIGHTS):
            used.append(leaf)
    return not all(of_library(type(each) if isinstance(each, Configured) else each, "lamina", "jax") for each in used)
