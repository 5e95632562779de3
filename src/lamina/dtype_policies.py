"""Dtype policies by Keras's names."""

from __future__ import annotations

from typing import Any

from lamina import dtypes
from lamina._base.public import public
from lamina.dtypes import DTypePolicy
from lamina.saving import serialize_keras_object

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

FloatDTypePolicy = DTypePolicy


def get(identifier: Any) -> DTypePolicy:
    """The policy for a name, a dtype, a config or a policy; None is the one that `set_dtype_policy` set.

    >>> get("mixed_bfloat16").compute_dtype
    'bfloat16'
    """
    return dtypes.get(identifier)


def serialize(dtype_policy: DTypePolicy) -> dict[str, Any]:
    """The config of a policy, from which `deserialize` makes it again."""
    config: dict[str, Any] = serialize_keras_object(dtype_policy)
    return config


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """The policy of a config.

    >>> deserialize(serialize(DTypePolicy("float16")))
    <DTypePolicy "float16">

    Args:
        custom_objects: accepted as in Keras, without an effect: there is one class of policies.
    """
    return dtypes.get(config)


public(__name__, __all__)
