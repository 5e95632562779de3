"""Lamina: the Keras Sequential model, done right, on JAX. `import lamina as keras` is the whole migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    mixed_precision,
    models,
    optimizers,
    random,
    regularizers,
    saving,
    utils,
)
from lamina._base.frames import show_frames_of_jax
from lamina._base.public import public
from lamina._layer.layer import Layer
from lamina._training.cache import use_persistent_cache
from lamina.initializers import Initializer
from lamina.layers import Input
from lamina.losses import Loss
from lamina.metrics import Metric
from lamina.models.sequential import Sequential
from lamina.optimizers import Optimizer
from lamina.regularizers import Regularizer

if TYPE_CHECKING:
    from lamina import datasets, wrappers

__version__ = "0.1.0"
__all__ = [
    "Initializer", "Input", "Layer", "Loss", "Metric", "Optimizer", "Regularizer", "Sequential", "activations",
    "callbacks", "config", "constraints", "datasets", "dtypes", "errors", "initializers", "layers", "losses", "metrics",
    "mixed_precision", "models", "optimizers", "random", "regularizers", "saving", "utils", "wrappers",
]  # fmt: skip

use_persistent_cache()
show_frames_of_jax()


_LATER = ("datasets", "wrappers")
public(__name__, __all__, {name: f"lamina.{name}" for name in _LATER})
