"""Helpers around a model: labels and sequences as arrays, seeds, learning curves."""

from __future__ import annotations

from lamina._base.public import public
from lamina._display.plots import learning_curve
from lamina.random import set_random_seed
from lamina.saving import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from lamina.utils.arrays import normalize, pad_sequences, to_categorical
from lamina.utils.session import clear_session

__all__ = [
    "CustomObjectScope", "clear_session", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "learning_curve", "normalize", "pad_sequences",
    "register_keras_serializable", "serialize_keras_object", "set_random_seed", "to_categorical",
]  # fmt: skip


public(__name__, __all__)
