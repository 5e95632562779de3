"""16-bit floats on a CPU: a product is computed in float32, and its result is rounded once.

XLA's products of 16-bit floats take up to twice as long there, its convolutions three times, a recurrent net nine
times (benchmarks/README.md). The conversions cost little: XLA joins them to the operations before and after. Where
oneDNN multiplies bfloat16 faster than float32, it does: the conversions at its calls then undo these.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar, cast

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._kernels.native import on_cpu, onednn
from lamina._weights.weight import Weight, under_way

P = ParamSpec("P")
T = TypeVar("T")


def in_float32(function: Callable[P, T]) -> Callable[P, T]:
    """The function, which on a CPU gets 16-bit floats as float32, and whose results have their dtype again.

    One with an argument `half` is told whether its products are to be of bfloat16.
    """
    knows_half = "half" in signature(function).parameters

    @wraps(function)
    def wide(*args: P.args, **kwargs: P.kwargs) -> T:
        given = jax.tree.map(_value, (args, kwargs), is_leaf=_is_weight)
        floats = [leaf.dtype for leaf in jax.tree.leaves(given) if _is_float(leaf)]
        narrow = jnp.result_type(*floats) if floats else None
        if narrow is None or narrow.itemsize != 2 or not on_cpu():
            return function(*args, **kwargs)
        wide_args, wide_kwargs = jax.tree.map(_widened, given)
        if knows_half and narrow == jnp.bfloat16 and half_pays():
            wide_kwargs["half"] = True
        return cast(T, jax.tree.map(lambda leaf: leaf.astype(narrow), function(*wide_args, **wide_kwargs)))

    return wide


def half_pays() -> bool:
    """Whether products of bfloat16 are faster than those of float32."""
    native = onednn()
    return native is not None and native.half_speed() > 1.3


def _is_weight(leaf: object) -> bool:
    return isinstance(leaf, Weight)


def _value(leaf: object) -> object:
    return leaf.value if isinstance(leaf, Weight) else leaf


def _widened(leaf: Any) -> Any:
    """A weight as it was before it was cast to 16 bits: XLA would compute the cast, and the way back."""
    if not _is_float(leaf):
        return leaf
    scope = under_way.get()
    origin = scope.origins.get(id(leaf), (leaf, leaf))[1] if scope else leaf
    return (origin if _is_float(origin) else leaf).astype(jnp.float32)


def _is_float(leaf: object) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


@in_float32
def einsum(equation: str, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """`einsum(equation, x, kernel) + bias`"""
    y = jnp.einsum(equation, x, kernel)
    return y if bias is None else y + bias
