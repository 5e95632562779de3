"""Turns any name, config, object or custom function for an initializer into a function that layers can call."""

from __future__ import annotations

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


def keyed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function unchanged if it takes a key after the shape and the dtype, else adapts it."""
    try:
        call = function.__call__ if isinstance(function, Initializer) else function
        names = list(inspect.signature(call).parameters)
    except ValueError:  # written in C, such as numpy.zeros
        names = []
    return function if "key" in names[1:] else Adapted(function, names[:1] == ["key"])


@user_facing
def get(identifier: object) -> Any:
    """The initializer for a name, object, class, config, array or function `(shape, dtype)`; None gives None.

    >>> get("glorot_uniform")
    GlorotUniform()
    """
    if isinstance(identifier, (np.ndarray, np.generic, jax.Array, Weight)):
        return Constant(identifier)
    found = registry.get(identifier)
    return found if found is None else keyed(found)


@user_facing
def deserialize(config: object, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the initializer that `serialize` described; `custom_objects` maps the names of custom objects to them."""
    return keyed(registry.deserialize(config, custom_objects))


serialize = registry.serialize
