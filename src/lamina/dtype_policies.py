"""Dtype policies by Keras's names."""

from __future__ import annotations

from lamina import dtypes
from lamina._imports.public import public
from lamina._settings.arguments import Config
from lamina.dtypes import Dtype, DTypePolicy
from lamina.saving import serialize_keras_object

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

FloatDTypePolicy = DTypePolicy


def get(identifier: Dtype) -> DTypePolicy:
    """The policy for a name, a dtype, a config or a policy; None is the one that `set_dtype_policy` set.

    >>> get("mixed_bfloat16").compute_dtype
    'bfloat16'
    """
    return dtypes.get(identifier)


def serialize(dtype_policy: DTypePolicy) -> Config:
    """The config of a policy, from which `deserialize` makes it again."""
    config: Config = serialize_keras_object(dtype_policy)
    return config


def deserialize(config: Config, custom_objects: Config | None = None) -> DTypePolicy:
    """The policy of a config.

    >>> deserialize(serialize(DTypePolicy("float16")))
    <DTypePolicy "float16">

    Args:
        custom_objects: accepted as in Keras, without an effect: there is one class of policies.
    """
    return dtypes.get(config)


public(__name__, __all__)
