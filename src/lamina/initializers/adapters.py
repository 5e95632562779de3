"""Turns any name, config, object or custom function for an initializer into the object, and into what layers call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import Array, own_array
from lamina._messages.tracebacks import user_facing
from lamina._weights.weight import Weight
from lamina._weights.weight import initializers as registry
from lamina.errors import ShapeError
from lamina.initializers.base import DType, Initializer, Key, Shape
from lamina.initializers.constants import Constant
from lamina.random import key_of, next_seed


class Adapted(Initializer):
    """A user's `function(shape, dtype)`, or JAX's `function(key, shape, dtype)`, in the form that layers call."""

    function: Callable[..., Any]
    takes_key: bool

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.function

    def _lamina_values(self, shape: Shape, dtype: DType, key: Key | None) -> Array:
        first = (key_of(next_seed()) if key is None else jnp.asarray(key),) if self.takes_key else ()
        values = own_array(self.function(*first, shape, dtype=dtype), dtype)
        if values.shape != shape:
            raise ShapeError(f"the initializer {self.function!r} made shape {values.shape}, the weight has {shape}.")
        return values


def keyed(identifier: object) -> Callable[..., Any]:
    """The initializer for whatever `get` takes, as a function (shape, dtype, key)."""
    function = get(identifier)
    return function if "key" in _arguments(function) else Adapted(function, takes_key=False)


def _without_key(found: Any) -> Any:
    return found if found is None or _arguments(found)[:1] != ["key"] else Adapted(found, takes_key=True)


def _arguments(function: Callable[..., Any]) -> list[str]:
    try:
        if isinstance(function, Initializer):
            return _of_method(type(function).__call__)
        return [*inspect.signature(function).parameters]
    except ValueError:  # written in C, such as numpy.zeros
        return []


@functools.cache
def _of_method(method: Callable[..., Any]) -> list[str]:
    return [*inspect.signature(method).parameters][1:]


@user_facing
def get(identifier: object) -> Any:
    """The initializer for a name, object, class, config, array or function `(shape, dtype)`; None gives None.

    An initializer of your own is returned as it is; JAX's functions `(key, shape, dtype)` get Keras's arguments.

    >>> get("glorot_uniform")
    GlorotUniform()
    """
    if isinstance(identifier, (np.ndarray, np.generic, jax.Array, Weight)):
        return Constant(identifier)
    return _without_key(registry.get(identifier))


@user_facing
def deserialize(config: object, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the initializer that `serialize` described; `custom_objects` maps the names of custom objects to them."""
    return _without_key(registry.deserialize(config, custom_objects))


serialize = registry.serialize
