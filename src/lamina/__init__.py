"""Lamina: the Keras Sequential model, done right, on JAX. `import lamina as keras` is the whole migration."""

from __future__ import annotations

from typing import Any

from lamina import (
    activations,
    callbacks,
    config,
    constraints,
    dtypes,
    errors,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    random,
    regularizers,
    utils,
)
from lamina.errors import missing_attribute, show_all_frames_if_asked, user_facing
from lamina.initializers import Initializer
from lamina.layer import Layer
from lamina.layers import Input
from lamina.losses import Loss
from lamina.metrics import Metric
from lamina.optimizers import Optimizer
from lamina.programs import use_persistent_cache
from lamina.regularizers import Regularizer
from lamina.verbs import Sequential

__version__ = "0.1.0"
__all__ = [
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "activations",
    "callbacks",
    "config",
    "constraints",
    "dtypes",
    "errors",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "random",
    "regularizers",
    "utils",
]

use_persistent_cache()
show_all_frames_if_asked()


@user_facing
def __getattr__(name: str) -> Any:
    raise missing_attribute(__name__, name, __all__)
