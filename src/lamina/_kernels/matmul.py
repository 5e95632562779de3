"""The product of a matrix with a layer's kernel: oneDNN's on a CPU with lamina-onednn, else XLA's.

It is an operation of JAX's, linear in both of its arrays, so gradients of any order are such products again.
"""

from __future__ import annotations

from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lamina._base.weight import Array
from lamina._kernels.native import onednn
from lamina._kernels.precision import in_float32

LEAST = 2**19
"""Up to so many multiply-adds XLA's products take as long or less, and so do those with a side below `NARROW`."""
NARROW = 8


@in_float32
def matmul(x: Array, kernel: Array, bias: Array | None = None) -> Array:
    """`x @ kernel + bias`; x is (..., n), kernel (n, units), bias (units,).  -> (..., units)"""
    y = product(x.reshape(-1, x.shape[-1]), kernel).reshape(*x.shape[:-1], -1) if _serves(x, kernel) else x @ kernel
    return y if bias is None else y + bias


def product(a: Array, b: Array, a_turned: bool = False, b_turned: bool = False) -> Array:
    """a (rows, inner) @ b (inner, columns) -> (rows, columns), where a turned one is transposed first."""
    return cast(Array, _product.bind(a, b, a_turned=a_turned, b_turned=b_turned))


def _serves(x: Array, kernel: Array) -> bool:
    known = all(isinstance(size, int) for size in (*x.shape, *kernel.shape))  # a batch size may be a symbol
    plain = kernel.ndim == 2 and x.ndim >= 2 and x.dtype == kernel.dtype == jnp.float32
    return known and plain and x.size * kernel.shape[-1] > LEAST and onednn() is not None


def _shape(a: Any, b: Any, a_turned: bool, b_turned: bool) -> Any:
    return jax.core.ShapedArray((a.shape[a_turned], b.shape[not b_turned]), a.dtype)


def _computed(a: Array, b: Array, *, a_turned: bool, b_turned: bool) -> Array:
    native = onednn()
    if native is None or min(_shape(a, b, a_turned, b_turned).shape) < NARROW:
        return jnp.matmul(a.T if a_turned else a, b.T if b_turned else b)
    return native.matmul(a, b, a_turned=a_turned, b_turned=b_turned)  # type: ignore[no-any-return]


def _slope_of_a(dy: Array, a: Any, b: Array, *, a_turned: bool, b_turned: bool) -> Array:
    return product(b, dy, b_turned, True) if a_turned else product(dy, b, False, not b_turned)


def _slope_of_b(dy: Array, a: Array, b: Any, *, a_turned: bool, b_turned: bool) -> Array:
    return product(dy, a, True, a_turned) if b_turned else product(a, dy, not a_turned, False)


def _batched(arrays: Any, axes: Any, *, a_turned: bool, b_turned: bool) -> tuple[Array, int]:
    """Many products at once, by XLA."""
    a, b = (array if axis is None else jnp.moveaxis(array, axis, 0) for array, axis in zip(arrays, axes, strict=True))
    return jnp.matmul(a.mT if a_turned else a, b.mT if b_turned else b), 0


_product = Primitive("lamina_product")
_product.def_abstract_eval(_shape)
_product.def_impl(jax.jit(_computed, static_argnames=("a_turned", "b_turned")))
mlir.register_lowering(_product, mlir.lower_fun(_computed, multiple_results=False))
ad.defbilinear(_product, _slope_of_a, _slope_of_b)
batching.primitive_batchers[_product] = _batched
