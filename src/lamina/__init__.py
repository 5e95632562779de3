"""Lamina: the Keras Sequential model, done right, on JAX. `import lamina as keras` is the whole migration."""

from __future__ import annotations

from lamina._imports.garbage import paused

with paused():
    from lamina._imports.lazy import FOR_TYPES, homes
    from lamina._imports.public import public
    from lamina._messages.tracebacks import show_frames_of_jax
    from lamina._process.version import __version__ as __version__
    from lamina._programs.cache import use_persistent_cache

if FOR_TYPES:
    from lamina import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        datasets,
        distribution,
        dtype_policies,
        dtypes,
        errors,
        initializers,
        layers,
        losses,
        metrics,
        mixed_precision,
        models,
        ops,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        serving,
        tree,
        utils,
        wrappers,
    )
    from lamina._ensembles.cross_validation import cross_validate
    from lamina._ensembles.ensemble import Ensemble
    from lamina._ensembles.sweep import sweep
    from lamina._layer.layer import Layer
    from lamina._layer.specs import InputSpec
    from lamina._programs.scopes import device, name_scope, remat
    from lamina._weights.weight import Weight as Variable
    from lamina.dtypes import DTypePolicy
    from lamina.dtypes import DTypePolicy as FloatDTypePolicy
    from lamina.initializers import Initializer
    from lamina.layers import Input
    from lamina.losses import Loss
    from lamina.metrics import Metric
    from lamina.models.features import Model
    from lamina.models.sequential import Sequential
    from lamina.optimizers import Optimizer
    from lamina.regularizers import Regularizer

__all__ = [
    "DTypePolicy", "Ensemble", "FloatDTypePolicy", "Initializer", "Input", "InputSpec", "Layer", "Loss", "Metric",
    "Model", "Optimizer", "Regularizer", "Sequential", "Variable", "activations", "backend", "callbacks", "config",
    "constraints", "cross_validate", "datasets", "device", "distribution", "dtype_policies", "dtypes", "errors",
    "initializers", "layers", "losses", "metrics", "mixed_precision", "models", "name_scope", "ops", "optimizers",
    "preprocessing", "random", "regularizers", "remat", "saving", "serving", "sweep", "tree", "utils", "wrappers",
]  # fmt: skip

homes.update(
    activation=("lamina.layers",),
    file=("lamina._saving.models",),
    initializer=("lamina.initializers",),
    layer=("lamina.layers", "lamina.models", "lamina.models.functional", "lamina.layers.feature_space.feature_space"),
    loss=("lamina.losses",),
    metric=("lamina.metrics",),
    optimizer=("lamina.optimizers",),
)
use_persistent_cache()
show_frames_of_jax()

public(__name__, __all__)
