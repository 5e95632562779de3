# mypy: disable-error-code="empty-body"
"""The functions of Keras's `ops.linalg`, on matrices (..., m, n)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy import linalg as scipy_linalg

from lamina._arrays.arrays import Array
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.errors import ArgumentError, ShapeError
from lamina.ops.tensors import Axis, Floats, Tensor, by_jax, tensor, tensors

__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "lstsq", "lu_factor", "matrix_rank", "norm",
    "pinv", "qr", "solve", "solve_triangular", "svd",
]  # fmt: skip


def det(x: Tensor) -> Array: ...
def eig(x: Tensor) -> tuple[Array, Array]: ...
def eigh(x: Tensor) -> tuple[Array, Array]: ...
def inv(x: Tensor) -> Array: ...
def norm(x: Floats, ord: int | float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Array: ...
def solve(a: Tensor, b: Tensor) -> Array: ...
def svd(x: Tensor, full_matrices: bool = True, compute_uv: bool = True) -> Any: ...


def _matrices(x: Tensor, function: str, square: bool = False) -> Array:
    x = tensor(x)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        raise ShapeError(f"{function} takes {'square ' * square}matrices (..., m, n), got shape {x.shape}.")
    return x


@user_facing
def cholesky(x: Tensor, upper: bool = False) -> Array:
    """The triangular matrix L with `x = L Lᵀ`, or U with `x = Uᵀ U` if `upper`; x is positive definite."""
    factor: Array = jnp.linalg.cholesky(_matrices(x, "cholesky", square=True), upper=upper)
    if not isinstance(factor, jax.core.Tracer) and bool(jnp.isnan(factor).any()):
        raise ArgumentError("cholesky takes positive definite matrices, and x is none.")
    return factor


@user_facing
def cholesky_inverse(x: Tensor, upper: bool = False) -> Array:
    """The inverse of `L Lᵀ`, or of `Uᵀ U` if `upper`, for a triangular matrix L or U."""
    x = _matrices(x, "cholesky_inverse", square=True)
    inverse = scipy_linalg.solve_triangular(x, jnp.eye(x.shape[-1], dtype=x.dtype), lower=not upper)
    return inverse @ inverse.T if upper else inverse.T @ inverse


@user_facing
def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """`fun(*primals)` and its derivative in the direction of `tangents`."""
    return jax.jvp(fun, tensors(primals), tensors(tangents), has_aux=has_aux)


@user_facing
def lstsq(a: Tensor, b: Tensor, rcond: float | None = None) -> Array:
    """The x with the least `norm(a x - b)`: (m, n) and (m,) or (m, k) -> (n,) or (n, k)."""
    return jnp.linalg.lstsq(tensor(a), tensor(b), rcond=rcond)[0]


@user_facing
def lu_factor(x: Tensor) -> tuple[Array, Array]:
    """The factors L and U in one matrix, and the order of the rows."""
    x = _matrices(x, "lu_factor")
    factor: Callable[[Array], tuple[Array, Array]] = scipy_linalg.lu_factor
    for _ in range(x.ndim - 2):
        factor = jax.vmap(factor)
    return factor(x)


@user_facing
def matrix_rank(x: Tensor, tol: float | None = None) -> Array:
    """The number of singular values above `tol`.  -> (...) int32"""
    rank: Array = jnp.linalg.matrix_rank(_matrices(x, "matrix_rank"), rtol=tol)
    return rank.astype("int32")


@user_facing
def pinv(x: Tensor, rcond: float | None = None) -> Array:
    """The pseudo-inverse; singular values below `rcond` times the largest count as 0.  (..., m, n) -> (..., n, m)"""
    return jnp.linalg.pinv(_matrices(x, "pinv"), rtol=rcond)


@user_facing
def qr(x: Tensor, mode: str = "reduced") -> tuple[Array, Array]:
    """An orthogonal matrix Q and a triangular R with `x = Q R`; with mode="complete" Q is square."""
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"qr(mode={mode!r}): mode is 'reduced' or 'complete'.")
    q, r = jnp.linalg.qr(_matrices(x, "qr"), mode=mode)
    return q, r


@user_facing
def solve_triangular(a: Tensor, b: Tensor, lower: bool = False) -> Array:
    """The x with `a x = b`; a is an upper or a lower triangular matrix."""
    return scipy_linalg.solve_triangular(_matrices(a, "solve_triangular", square=True), tensor(b), lower=lower)


by_jax(__name__, jnp.linalg)

public(__name__, __all__)
