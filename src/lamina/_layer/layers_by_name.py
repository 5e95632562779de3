"""The layers by name, for layers that hold others."""

from __future__ import annotations

from lamina._layer.layer import Layer
from lamina._settings.registry import Registry
from lamina.errors import ArgumentError

registry = Registry("layer")


def held(value: object) -> Layer:
    """An inner layer: the layer itself, or made from its config."""
    layer = registry.get(value) if isinstance(value, dict) else value
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise ArgumentError(f"{layer.__name__} is a class: write a layer, {layer.__name__}(...).")
    if not isinstance(layer, Layer):
        raise ArgumentError(f"expected a layer, as in Dense(4), got {value!r}.")
    return layer
