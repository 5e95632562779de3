"""The argument types of `ops`, and the wrapper that gives a JAX function Keras's names, order and defaults."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from types import FunctionType, ModuleType
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from lamina._arrays.arrays import Array
from lamina._layer.layer import Layer
from lamina._messages.tracebacks import user_facing
from lamina._weights.weight import Weight
from lamina.backend import standardize_dtype
from lamina.dtypes import floatx
from lamina.errors import ArgumentError

Tensor: TypeAlias = ArrayLike | Weight | Sequence[Any]
"""Everything that can become an array: JAX and NumPy arrays, weights, numbers, and lists of them."""
Floats: TypeAlias = Tensor
"""The same for a function that computes with floats: integers and booleans become `floatx()`."""
Tensors: TypeAlias = Sequence[Tensor] | Array
"""Several arrays."""
DType: TypeAlias = DTypeLike | None
FloatDType: TypeAlias = DTypeLike | None
"""A dtype; None means `floatx()`."""
Axis: TypeAlias = int | Sequence[int] | None
"""One axis, several axes, or None for all."""
Shape: TypeAlias = int | Sequence[int]


def tensor(x: object, dtype: DType = None) -> Array:
    """x as a JAX array of the given dtype. Without one it keeps its dtype; a Python number adapts to other operands."""
    if dtype is None and isinstance(x, jax.Array):
        return x
    if isinstance(x, Layer):
        raise ArgumentError(
            f"keras.ops computes with arrays, got the layer {x.name!r}: a stack has no symbolic tensors. Put the "
            "function into the stack as Lambda(function), or into the call of a Layer of your own."
        )
    return jnp.asarray(x.value if isinstance(x, Weight) else x, None if dtype is None else standardize_dtype(dtype))


def tensors(tree: object) -> Any:
    """The same structure, with weights replaced by arrays."""

    def is_weight(leaf: object) -> bool:
        return isinstance(leaf, Weight)

    return jax.tree.map(lambda leaf: leaf.value if is_weight(leaf) else leaf, tree, is_leaf=is_weight)


def floats(x: Tensor) -> Array:
    """x as an array of floats: integers and booleans become `floatx()`."""
    array = tensor(x)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else array.astype(floatx())


def axes(axis: Axis) -> int | tuple[int, ...] | None:
    """One axis or several, in the form that JAX takes."""
    return axis if axis is None or hasattr(axis, "__index__") else tuple(axis)  # type: ignore[return-value]


CONVERSIONS: dict[str, Callable[[Any], Any]] = {  # None stays None, except for a FloatDType
    "Tensor": tensor,
    "Floats": floats,
    "Tensors": lambda xs: [tensor(x) for x in xs],
    "Axis": axes,
    "DType": lambda dtype: standardize_dtype(dtype),
    "FloatDType": standardize_dtype,
    "Tensor | None": tensor,
}


def by_jax(module: str, *places: ModuleType, **other_names: str) -> None:
    """Give each function without a body in a module's `__all__` the JAX function of the same name.

    The signature is all that the module writes: its parameters are Keras's, and their types say how each argument is
    converted. Parameters without a default are passed to JAX by position, the others by name.

    Args:
        places: the JAX modules that are searched for a name, in order.
        other_names: the name in JAX, if it differs from Keras's.
    """
    names = vars(sys.modules[module])
    for name in names["__all__"]:
        line = names.get(name)
        if isinstance(line, FunctionType) and line.__module__ == module and not hasattr(line, "__wrapped__"):
            theirs = other_names.get(name, name)
            place = next(place for place in places if hasattr(place, theirs))
            names[name] = _as_in_keras(line, getattr(place, theirs))
            floating = " Integers and booleans become floats first." * ("Floats" in line.__annotations__.values())
            names[name].__doc__ = f"`{place.__name__}.{theirs}`, with Keras's names and order of arguments.{floating}"


@functools.cache
def _parameters(line: FunctionType) -> tuple[dict[str, tuple[Callable[[Any], Any] | None, Any]], frozenset[str]]:
    """The conversion and the default of each parameter, and the names of those without a default."""
    found = inspect.signature(line).parameters.values()
    required = frozenset(each.name for each in found if each.default is each.empty)
    return {each.name: (CONVERSIONS.get(each.annotation), each.default) for each in found}, required


def _as_in_keras(line: FunctionType, function: Callable[..., Any]) -> Callable[..., Any]:
    @user_facing
    @functools.wraps(line)
    def call(*args: Any, **kwargs: Any) -> Any:
        parameters, required = _parameters(line)
        given = dict(zip(parameters, args, strict=False)) | kwargs
        if len(given) < len(args) + len(kwargs) or not required <= given.keys() <= parameters.keys():
            return user_facing(line)(*args, **kwargs)  # raises the error that lists the arguments
        by_position, by_name = [], {}
        for name, (convert, default) in parameters.items():
            value = given.get(name, default)
            if convert is not None and (value is not None or convert is standardize_dtype):
                value = convert(value)
            if name in required:
                by_position.append(value)
            else:
                by_name[name] = value
        return function(*by_position, **by_name)

    return call
