"""Files, and the names of your own classes and functions in them."""

from __future__ import annotations

from typing import Any

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._onnx.writers import register_onnx
from lamina._saving.config import deserialized, serialized, warn_of_safe_mode
from lamina._settings.custom_objects import (
    CustomObjectScope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

if FOR_TYPES:
    from lamina._saving.models import save_model
    from lamina._saving.weight_files import load_weights, save_weights
    from lamina.models.loading import load_model

__all__ = [
    "CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
    "get_registered_name", "get_registered_object", "load_model", "load_weights", "register_keras_serializable",
    "register_onnx", "save_model", "save_weights", "serialize_keras_object",
]  # fmt: skip

custom_object_scope = CustomObjectScope


@user_facing
def serialize_keras_object(obj: object) -> Any:
    """An object as plain data that JSON can hold: its class, its settings, and the shapes that it was built for.

    >>> from lamina import regularizers
    >>> serialize_keras_object(regularizers.L2(0.5))["config"]
    {'l2': 0.5}

    Args:
        obj: a layer, a model, a loss, a metric, an optimizer, a function, an array, or lists and dicts of these.
    """
    return serialized(obj)


@user_facing
def deserialize_keras_object(config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """The object for a config that `serialize_keras_object` returned, here or in Keras.

    >>> from lamina import regularizers
    >>> deserialize_keras_object(serialize_keras_object(regularizers.L2(0.5)))
    L2(l2=0.5)

    Args:
        config: what `serialize_keras_object` returned.
        custom_objects: your own classes and functions by name.
        safe_mode: has no effect: no code of a config is ever run.

    Raises:
        UnknownNameError: for a class or function that is neither built in, given nor registered.
        ArgumentError: for settings that the class does not take.
    """
    warn_of_safe_mode(safe_mode)
    return deserialized(config, custom_objects)


public(__name__, __all__)
