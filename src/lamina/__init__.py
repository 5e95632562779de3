"""Lamina: the Keras Sequential model, done right, on JAX. `import lamina as keras` is the whole migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina._base.collecting import paused

with paused():
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
    from lamina._base.scopes import device, name_scope, remat
    from lamina._base.shapes import InputSpec
    from lamina._base.weight import Weight as Variable
    from lamina._layer.layer import Layer
    from lamina._training.cache import use_persistent_cache
    from lamina.dtypes import DTypePolicy
    from lamina.initializers import Initializer
    from lamina.layers import Input
    from lamina.losses import Loss
    from lamina.metrics import Metric
    from lamina.models.sequential import Sequential
    from lamina.optimizers import Optimizer
    from lamina.regularizers import Regularizer

if TYPE_CHECKING:
    from lamina import backend, datasets, dtype_policies, ops, preprocessing, tree, wrappers
    from lamina._ensembles.cross_validation import cross_validate
    from lamina._ensembles.ensemble import Ensemble

__version__ = "0.1.0"
FloatDTypePolicy = DTypePolicy
__all__ = [
    "DTypePolicy", "Ensemble", "FloatDTypePolicy", "Initializer", "Input", "InputSpec", "Layer", "Loss", "Metric",
    "Optimizer", "Regularizer", "Sequential", "Variable", "activations", "backend", "callbacks", "config",
    "constraints", "cross_validate", "datasets", "device", "dtype_policies", "dtypes", "errors", "initializers",
    "layers", "losses", "metrics", "mixed_precision", "models", "name_scope", "ops", "optimizers", "preprocessing",
    "random", "regularizers", "remat", "saving", "tree", "utils", "wrappers",
]  # fmt: skip

use_persistent_cache()
show_frames_of_jax()


_LATER = {name: f"lamina.{name}" for name in "backend datasets dtype_policies ops preprocessing tree wrappers".split()}
_LATER |= {"Ensemble": "lamina._ensembles.ensemble", "cross_validate": "lamina._ensembles.cross_validation"}
public(__name__, __all__, _LATER)
