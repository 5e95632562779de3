"""Whatever names or is an initializer, a user's own function included, as a function that layers can call."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lamina._base.frames import user_facing
from lamina._base.weight import Array, Weight
from lamina.errors import ShapeError
from lamina.initializers.base import Initializer, Key, registry
from lamina.initializers.constants import Constant
from lamina.random import key_of, next_seed


def keyed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(shape, dtype)` of the user, or `function(key, shape, dtype)` of JAX, in the form that layers call."""
    try:
        call = function.__call__ if isinstance(function, Initializer) else function
        names = list(inspect.signature(call).parameters)
    except ValueError:  # written in C, as numpy.zeros
        names = []
    if names[:1] != ["key"] and "key" in names:
        return function

    @user_facing
    def adapted(shape: Sequence[int], dtype: Any = None, key: Key | None = None) -> Array:
        first = (key_of(next_seed()) if key is None else jnp.asarray(key),) if names[:1] == ["key"] else ()
        values = jnp.asarray(function(*first, shape, dtype=dtype), dtype)
        if values.shape != tuple(shape):
            raise ShapeError(f"the initializer {function!r} made shape {values.shape}, the weight has {tuple(shape)}.")
        return values

    signature = inspect.signature(adapted)
    functools.update_wrapper(adapted, function)
    adapted.__signature__ = signature  # type: ignore[attr-defined]  # else inspect would show that of the function
    return adapted


@user_facing
def get(identifier: Any) -> Any:
    """The initializer for a name, an object, a class, a config, a function `(shape, dtype)` or an array; None is None.

    >>> get("glorot_uniform")
    GlorotUniform()
    """
    if isinstance(identifier, (np.ndarray, np.generic, jax.Array, Weight)):
        return Constant(identifier)
    found = registry.get(identifier)
    return found if found is None else keyed(found)


@user_facing
def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """The initializer that `serialize` described; `custom_objects` says what the user's own names stand for."""
    return keyed(registry.deserialize(config, custom_objects))


serialize = registry.serialize
