"""The product of a matrix with a layer's kernel: by oneDNN on a CPU with lamina-onednn, else by XLA.

It is a JAX operation that is linear in both arrays, so gradients of any order are such products too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lamina._arrays.arrays import Array
from lamina._kernels.native import onednn
from lamina._kernels.normalization import unscaled
from lamina._kernels.precision import in_float32

LEAST = 2**19
"""XLA computes products of up to this many multiply-adds, and products with a side below `NARROW`: it is as fast."""
NARROW = 8
WIDE = 64
"""bfloat16 products are faster for sides of at least this length. They add terms in pairs, so their number is even: an
odd number would spread NaN."""


@in_float32
def matmul(x: Array, kernel: Array, bias: Array | None = None, *, half: bool = False) -> Array:
    """`x @ kernel + bias`; x is (..., n), kernel (n, units), bias (units,).  -> (..., units)"""
    x, kernel, bias = unscaled(x, kernel, bias)
    if _serves(x, kernel):
        how = How(False, False, half, rounds=half)
        y = product(x.reshape(-1, x.shape[-1]), kernel, how).reshape(*x.shape[:-1], -1)
    else:
        y = x @ kernel
    return y if bias is None else y + bias


class How(NamedTuple):
    """Whether each array is transposed first, whether the product uses bfloat16, and whether y is rounded."""

    a_turned: bool
    b_turned: bool
    half: bool
    rounds: bool


def product(a: Array, b: Array, how: How) -> Array:
    """a (rows, inner) @ b (inner, columns) -> y (rows, columns)"""
    return cast(Array, _product.bind(a, b, how=how))


def _serves(x: Array, kernel: Array) -> bool:
    known = all(isinstance(size, int) for size in (*x.shape, *kernel.shape))  # the batch size may be symbolic
    plain = kernel.ndim == 2 and x.ndim >= 2 and x.dtype == kernel.dtype == jnp.float32
    return known and plain and x.size * kernel.shape[-1] > LEAST and onednn() is not None


def _shape(a: Array | jax.core.ShapedArray, b: Array | jax.core.ShapedArray, how: How) -> jax.core.ShapedArray:
    return jax.core.ShapedArray((a.shape[how.a_turned], b.shape[not how.b_turned]), a.dtype)


def _computed(a: Array, b: Array, *, how: How) -> Array:
    native, side = onednn(), min(_shape(a, b, how).shape)
    if native is None or side < NARROW:
        return jnp.matmul(a.T if how.a_turned else a, b.T if how.b_turned else b)
    half = how.half and side >= WIDE and a.shape[not how.a_turned] % 2 == 0
    taken = [array.astype(jnp.bfloat16) if half else array for array in (a, b)]
    given = jnp.bfloat16 if half and how.rounds else a.dtype
    return native.matmul(*taken, given, a_turned=how.a_turned, b_turned=how.b_turned).astype(a.dtype)  # type: ignore[no-any-return]


def _slope_of_a(dy: Array, a: object, b: Array, *, how: How) -> Array:
    if how.a_turned:
        return product(b, dy, how._replace(a_turned=how.b_turned, b_turned=True))
    return product(dy, b, how._replace(a_turned=False, b_turned=not how.b_turned))


def _slope_of_b(dy: Array, a: Array, b: object, *, how: How) -> Array:
    """The gradient of a kernel, which is not rounded."""
    if how.b_turned:
        return product(dy, a, How(True, how.a_turned, how.half, rounds=False))
    return product(a, dy, How(not how.a_turned, False, how.half, rounds=False))


def _batched(arrays: Sequence[Array], axes: Sequence[int | None], *, how: How) -> tuple[Array, int]:
    """Many products at once, computed by XLA."""
    a, b = (array if axis is None else jnp.moveaxis(array, axis, 0) for array, axis in zip(arrays, axes, strict=True))
    return jnp.matmul(a.mT if how.a_turned else a, b.mT if how.b_turned else b), 0


_product = Primitive("lamina_product")
_product.def_abstract_eval(_shape)
_product.def_impl(jax.jit(_computed, static_argnames="how"))
mlir.register_lowering(_product, mlir.lower_fun(_computed, multiple_results=False))
ad.defbilinear(_product, _slope_of_a, _slope_of_b)
batching.primitive_batchers[_product] = _batched
