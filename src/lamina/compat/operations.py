"""Makes JAX's functions callable with the names and arguments of Keras's backend and of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from lamina._messages.spelling import unknown_argument
from lamina._messages.tracebacks import user_facing
from lamina.errors import CallError

Operation: TypeAlias = Callable[..., Any]
Axes: TypeAlias = int | tuple[int, ...] | None
OLD = {"keep_dims": "keepdims", "reduction_indices": "axis", "dim": "axis", "dimension": "axis"}
"""Arguments of TensorFlow 1."""


def array(value: object) -> jax.Array:
    """The values as an array of JAX."""
    return value if isinstance(value, jax.Array) else jnp.asarray(value)


def operation(name: str, function: Operation, arrays: str, settings: str = "") -> Operation:
    """Make an operation that calls `function`, but has other names for its arguments.

    Args:
        name: the name of the operation.
        arrays: the names of its arrays, which `function` takes first.
        settings: the names of its other arguments in order, each as `theirs` or `theirs:ours`.
    """
    inputs = arrays.split()
    ours = {theirs: new or theirs for theirs, _, new in (each.partition(":") for each in settings.split())}
    order = [*inputs, *ours]

    @user_facing
    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("name", None)
        given = dict(zip(order, args, strict=False))
        given |= {OLD.get(each, each) if each not in order else each: value for each, value in kwargs.items()}
        if unknown := [each for each in given if each not in order]:
            raise unknown_argument(name, unknown[0], order)
        if missing := [each for each in inputs if each not in given]:
            raise CallError(f"{name} needs {missing[0]}. Its arguments are: {', '.join(order)}.")
        tensors = [array(given[each]) for each in inputs]
        return function(*tensors, **{ours[each]: _setting(value) for each, value in given.items() if each in ours})

    call.__name__ = call.__qualname__ = name.rpartition(".")[2]
    call.__doc__ = f"`{getattr(function, '__module__', 'jax')}.{getattr(function, '__name__', name)}`."
    return call


def _setting(value: object) -> Any:
    """Convert a list of axes or sizes to a tuple, because JAX does not accept lists."""
    return tuple(value) if isinstance(value, list) else value


def table(prefix: str, arrays: str, settings: str, functions: dict[str, Operation]) -> dict[str, Operation]:
    """Make operations with the same arguments."""
    return {name: operation(f"{prefix}{name}", function, arrays, settings) for name, function in functions.items()}


def numpy_functions(names: str) -> dict[str, Operation]:
    """Functions of `jax.numpy` by their names, each given as `name` or as `theirs:name`."""
    pairs = [name.partition(":") for name in names.split()]
    return {theirs: getattr(jnp, ours or theirs) for theirs, _, ours in pairs}
