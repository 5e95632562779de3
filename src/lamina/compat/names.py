"""Names of Keras 1 and 2 that Keras 3 does not have, with their replacements."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any, NoReturn

import jax.numpy as jnp

import lamina
from lamina import layers
from lamina._arrays.arrays import Array
from lamina._messages.missing_names import hint
from lamina._messages.tracebacks import user_facing
from lamina._saving.paths import FilePath
from lamina.compat import callbacks, functional
from lamina.compat.told import say
from lamina.compat.verbs import written_name
from lamina.errors import UnknownAttributeError

RENAMED = {
    "constraints.maxnorm": "constraints.MaxNorm",
    "constraints.nonneg": "constraints.NonNeg",
    "constraints.unitnorm": "constraints.UnitNorm",
    "initializers.normal": "initializers.RandomNormal",
    "initializers.one": "initializers.Ones",
    "initializers.uniform": "initializers.RandomUniform",
    "initializers.zero": "initializers.Zeros",
    "layers.CuDNNGRU": "layers.GRU",
    "layers.CuDNNLSTM": "layers.LSTM",
    "layers.Deconvolution2D": "layers.Conv2DTranspose",
    "layers.TimeDistributedDense": "layers.Dense",
    "losses.cosine": "losses.cosine_similarity",
    "losses.cosine_proximity": "losses.cosine_similarity",
    "losses.kld": "losses.kl_divergence",
    "losses.kullback_leibler_divergence": "losses.kl_divergence",
    "losses.logcosh": "losses.log_cosh",
    "metrics.kullback_leibler_divergence": "metrics.kl_divergence",
    "regularizers.WeightRegularizer": "regularizers.L1L2",
    "regularizers.activity_l1": "regularizers.L1",
    "regularizers.activity_l2": "regularizers.L2",
    "regularizers.l1l2": "regularizers.L1L2",
    "utils.plot": "utils.plot_model",
}
"""Old names, with their present names."""
RENAMED |= {
    f"{family}.{short}": f"{family}.{name}"
    for family in ("losses", "metrics")
    for short, name in {
        "mae": "mean_absolute_error", "MAE": "mean_absolute_error", "mse": "mean_squared_error",
        "MSE": "mean_squared_error", "mape": "mean_absolute_percentage_error",
        "MAPE": "mean_absolute_percentage_error", "msle": "mean_squared_logarithmic_error",
        "MSLE": "mean_squared_logarithmic_error",
    }.items()
}  # fmt: skip

RENAMED |= {f"optimizers.{name.lower()}": f"optimizers.{name}" for name in (
    "Adadelta", "Adagrad", "Adam", "Adamax", "Nadam", "RMSprop", "SGD",
)}  # fmt: skip

Reduction = SimpleNamespace(
    AUTO="sum_over_batch_size", NONE="none", SUM="sum", SUM_OVER_BATCH_SIZE="sum_over_batch_size"
)


class ThresholdedReLU(layers.Layer):
    """Maps each element to x if x > theta, else to 0; the shape stays the same."""

    theta: float = 1.0

    def call(self, x: Array) -> Array:
        return jnp.where(x > self.theta, x, 0)


def _convolution(name: str, axes: int) -> Callable[..., Any]:
    """Make a function that accepts Keras 1's `Convolution2D(filters, rows, columns)` and Keras 2's arguments."""
    layer = getattr(layers, name)

    @functools.wraps(layer)
    def make(*args: Any, **kwargs: Any) -> Any:
        sizes = args[1 : axes + 1]
        if axes > 1 and len(sizes) == axes and all(isinstance(size, int) for size in sizes):
            old, given = name.replace("Conv", "Convolution"), ", ".join(map(str, sizes))
            say(f"{old}(filters, {given}) is now {name}(filters, {sizes}).")
            args = (args[0], sizes, *args[axes + 1 :])
        return layer(*args, **kwargs)

    return make


def load_model(filepath: FilePath, *args: Any, **kwargs: Any) -> lamina.Sequential:
    """`keras.models.load_model`, which also finds a file that `save` wrote under a name without an ending."""
    return lamina.models.load_model(written_name(filepath, ".keras"), *args, **kwargs)


def deserialize_keras_object(config: Any, *objects: Any, printable_module_name: str = "", **named: Any) -> Any:
    """`keras.saving.deserialize_keras_object`, whose `module_objects` Keras 2 had before `custom_objects`."""
    given = [*objects, named.pop("module_objects", None), named.pop("custom_objects", None)]
    known = {name: thing for each in given if isinstance(each, dict) for name, thing in each.items()}
    return lamina.saving.deserialize_keras_object(config, known or None, **named)


KERAS = "3.15.1"
"""The release whose names these are."""


def version() -> str:
    """What `keras.__version__` says: libraries ask it whether there are several backends."""
    return KERAS


class Mentioned:
    """A module of Keras that has no place here. Libraries name what it holds when imported; a call is refused."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __getattr__(self, name: str) -> Mentioned:
        if name.startswith("__"):
            raise AttributeError(name)
        return Mentioned(f"{self.path}.{name}")

    @user_facing
    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise UnknownAttributeError(f"keras.{self.path} is not here. {hint('', self.path.partition('.')[0], ())}")


SERVED: dict[str, Any] = {
    "Model": functional.Model,
    "models.Model": functional.Model,
    "models.load_model": load_model,
    "saving.load_model": load_model,
    "saving.deserialize_keras_object": deserialize_keras_object,
    "utils.deserialize_keras_object": deserialize_keras_object,
    "callbacks.BaseLogger": callbacks.BaseLogger,
    "callbacks.LambdaCallback": callbacks.LambdaCallback,
    "callbacks.ProgbarLogger": callbacks.ProgbarLogger,
    "layers.ThresholdedReLU": ThresholdedReLU,
    "layers.Convolution2D": _convolution("Conv2D", 2),
    "layers.Convolution3D": _convolution("Conv3D", 3),
    "losses.Reduction": Reduction,
    "layers.Merge": functional.Merge,
    "version": version,
    "applications": Mentioned("applications"),
}
"""Objects that replace Lamina's own under a name."""

TENSORFLOW = {
    "client": "", "client.device_lib": "config", "framework": "", "framework.ops": "",
    "framework.random_seed": "random",
    "ops": "", "ops.math_ops": "math", "ops.nn": "nn", "platform": "", "platform.tf_logging": "logging",
}  # fmt: skip
"""Inner modules of TensorFlow below tensorflow.python that programs import, with the modules here."""

MODULES = {
    "backend": "lamina.compat.backend",
    "preprocessing": "lamina.compat.preprocessing",
    "preprocessing.image": "lamina.compat.preprocessing.image",
    "preprocessing.sequence": "lamina.compat.preprocessing.sequence",
    "preprocessing.text": "lamina.compat.preprocessing.text",
    "wrappers.scikit_learn": "lamina.compat.estimators",
}
"""Modules of Keras 2 that this package contains."""


def below(path: str) -> list[str]:
    """The names of `from keras.<path> import *` that Lamina does not have."""
    return [name.rpartition(".")[2] for name in (*SERVED, *MODULES) if name.rpartition(".")[0] == path]


def served(path: str) -> Any:
    """The object for a `path` below keras; raises a KeyError if there is none besides Lamina's own names."""
    if path in MODULES:
        return import_module(MODULES[path])
    if path in SERVED:
        return SERVED[path]
    found = _now(RENAMED[path])
    say(f"keras.{path} is now keras.{RENAMED[path]}.")
    return found


def renamed(family: str) -> dict[str, Any]:
    """The objects for the names of a module that were renamed."""
    places = [(*old.rpartition(".")[::2], new) for old, new in RENAMED.items()]
    return {name: _now(new) for place, name, new in places if place == family}


def _now(path: str) -> Any:
    family, _, name = path.rpartition(".")
    return getattr(getattr(lamina, family), name)
