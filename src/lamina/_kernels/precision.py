"""16-bit floats on a CPU: a product is computed in float32, and the result is rounded once.

On a CPU, XLA's products of 16-bit floats take up to twice as long as those of float32. Convolutions take three times
as long, and recurrent nets nine times (benchmarks/README.md). The conversions cost little, since XLA fuses them with
neighbouring operations. If oneDNN multiplies bfloat16 faster than float32, the arrays are cast back where it is called.
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
    """Wraps a function: on a CPU it receives 16-bit floats as float32, and its results are cast back to 16 bits.

    If the function has an argument `half`, the argument says whether its products should use bfloat16.
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
    """Whether bfloat16 products are faster than float32 products."""
    native = onednn()
    return native is not None and native.half_speed() > 1.3


def _is_weight(leaf: object) -> bool:
    return isinstance(leaf, Weight)


def _value(leaf: object) -> object:
    return leaf.value if isinstance(leaf, Weight) else leaf


def _widened(leaf: Any) -> Any:
    """The float32 array of a weight. XLA would otherwise compute both the cast to 16 bits and the cast back."""
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
