"""Several devices: which there are, and how the rows of a batch and the weights are divided among them."""

from __future__ import annotations

from lamina._imports.public import public
from lamina.distribution.jobs import initialize
from lamina.distribution.layouts import (
    DeviceMesh,
    LayoutMap,
    TensorLayout,
    distribute_tensor,
    get_device_count,
    list_devices,
)
from lamina.distribution.strategies import DataParallel, Distribution, ModelParallel, distribution, set_distribution

__all__ = [
    "DataParallel", "DeviceMesh", "Distribution", "LayoutMap", "ModelParallel", "TensorLayout", "distribute_tensor",
    "distribution", "get_device_count", "initialize", "list_devices", "set_distribution",
]  # fmt: skip

public(__name__, __all__)
