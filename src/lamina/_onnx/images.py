"""Writes the image layers. Those that change images at random leave them as they are in inference."""

from __future__ import annotations

from typing import Any

from lamina._onnx.graph import Graph, Value
from lamina._onnx.writers import of_layers
from lamina.layers.image import chains, color, mixing, sharpness, warping
from lamina.layers.image.base import RandomImageLayer


def unchanged(graph: Graph, x: Value, layer: Any) -> Value:
    return x


for _module in (chains, color, mixing, sharpness, warping):
    for _layer in vars(_module).values():
        if isinstance(_layer, type) and issubclass(_layer, RandomImageLayer) and _layer is not color.Solarization:
            of_layers[_layer] = unchanged
