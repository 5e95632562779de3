"""16-bit floats on a CPU: a product is computed in float32, and its result is rounded once.

XLA's products of 16-bit floats take up to twice as long there, its convolutions three times, a recurrent net nine
times (benchmarks/README.md). The conversions cost little: XLA joins them to the operations before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import jax
import jax.numpy as jnp

from lamina._base.weight import Array, Weight, under_way
from lamina._kernels.native import on_cpu

P = ParamSpec("P")
T = TypeVar("T")


def in_float32(function: Callable[P, T]) -> Callable[P, T]:
    """The function, which on a CPU gets 16-bit floats as float32, and whose results have their dtype again."""

    @wraps(function)
    def wide(*args: P.args, **kwargs: P.kwargs) -> T:
        given = jax.tree.map(_value, (args, kwargs), is_leaf=_is_weight)
        floats = [leaf.dtype for leaf in jax.tree.leaves(given) if _is_float(leaf)]
        narrow = jnp.result_type(*floats) if floats else None
        if narrow is None or narrow.itemsize != 2 or not on_cpu():
            return function(*args, **kwargs)
        wide_args, wide_kwargs = jax.tree.map(_widened, given)
        return cast(T, jax.tree.map(lambda leaf: leaf.astype(narrow), function(*wide_args, **wide_kwargs)))

    return wide


def _is_weight(leaf: Any) -> bool:
    return isinstance(leaf, Weight)


def _value(leaf: Any) -> Any:
    return leaf.value if _is_weight(leaf) else leaf


def _widened(leaf: Any) -> Any:
    """A weight as it was before it was cast to 16 bits: XLA would compute the cast, and the way back."""
    if not _is_float(leaf):
        return leaf
    scope = under_way.get()
    return (scope.uncast.get(id(leaf), (leaf, leaf))[1] if scope else leaf).astype(jnp.float32)


def _is_float(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


@in_float32
def einsum(equation: str, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """`einsum(equation, x, kernel) + bias`"""
    y = jnp.einsum(equation, x, kernel)
    return y if bias is None else y + bias
