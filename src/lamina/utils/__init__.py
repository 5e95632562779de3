"""Helpers around a model: data as arrays and datasets, files from the network, seeds, learning curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from lamina.utils.downloads import get_file

__all__ = [
    "CustomObjectScope", "clear_session", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_file", "get_registered_name", "get_registered_object", "learning_curve", "normalize", "pad_sequences",
    "register_keras_serializable", "serialize_keras_object", "set_random_seed", "to_categorical",
]  # fmt: skip

LATER = {"get_file": "lamina.utils.downloads"}
"""What is loaded when it is first used, because it would make `import lamina` slower."""

public(__name__, __all__, LATER)
