"""Functions of Keras's `ops.numpy` whose arguments or dtypes differ from those of `jax.numpy`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast

import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._messages.tracebacks import user_facing
from lamina.backend import result_type, standardize_dtype
from lamina.dtypes import floatx, wide
from lamina.errors import ArgumentError, ShapeError
from lamina.ops.tensors import Axis, DType, Floats, Tensor, Tensors, axes, floats, tensor


def alike(*values: Tensor) -> list[Array]:
    """The arrays, all with one float dtype."""
    arrays = [tensor(value) for value in values]
    dtype = result_type(*(x.dtype for x in arrays), float)
    return [x.astype(dtype) for x in arrays]


@user_facing
def arange(start: Any, stop: Any = None, step: Any = None, dtype: DType = None) -> Array:
    """The numbers from `start` up to, but not including, `stop`; a single argument is `stop`, and `start` is 0.

    >>> arange(3), arange(0, 1, 0.5)
    (Array([0, 1, 2], dtype=int32), Array([0. , 0.5], dtype=float32))
    """
    given = [getattr(each, "dtype", type(each)) for each in (start, stop, step) if each is not None]
    return jnp.arange(start, stop, step, dtype=standardize_dtype(dtype) if dtype is not None else result_type(*given))


@user_facing
def arctan2(x1: Tensor, x2: Tensor) -> Array:
    """The angle of the point (x2, x1), from -π to π."""
    return jnp.arctan2(*alike(x1, x2))


@user_facing
def argpartition(x: Tensor, kth: int, axis: int | None = -1) -> Array:
    """Indices that put the `kth` smallest element at index `kth` along `axis`, with smaller ones before it."""
    return jnp.argpartition(jnp.ravel(tensor(x)) if axis is None else tensor(x), kth, 0 if axis is None else axis)


@user_facing
def argsort(x: Tensor, axis: int | None = -1) -> Array:
    """The indices that sort x along `axis`; with None all elements are sorted together."""
    x = tensor(x)
    return jnp.argsort(x, axis=axis if x.ndim else None)


@user_facing
def array(x: Tensor, dtype: DType = None) -> Array:
    """A copy of x as an array."""
    return jnp.array(tensor(x, dtype))


@user_facing
def array_split(x: Tensor, indices_or_sections: int, axis: int = 0) -> list[Array]:
    """x, split into `indices_or_sections` parts along `axis`; the first parts may be longer by one element."""
    if not hasattr(indices_or_sections, "__index__") or indices_or_sections < 1:
        raise ArgumentError(f"array_split takes a number of parts of at least 1, got {indices_or_sections!r}.")
    return jnp.array_split(tensor(x), indices_or_sections, axis)


@user_facing
def average(x: Tensor, axis: Axis = None, weights: Tensor | None = None) -> Array:
    """The weighted mean of x along `axis`."""
    x, *given = alike(x) if weights is None else alike(x, weights)
    return jnp.average(x, axes(axis), given[0] if given else None)


def _window(of: Callable[..., Array], x: Tensor, *more: float) -> Array:
    return of(int(tensor(x)), *more).astype(floatx())


@user_facing
def bartlett(x: Tensor) -> Array:
    """The Bartlett window of length x."""
    return _window(jnp.bartlett, x)


@user_facing
def blackman(x: Tensor) -> Array:
    """The Blackman window of length x."""
    return _window(jnp.blackman, x)


@user_facing
def hamming(x: Tensor) -> Array:
    """The Hamming window of length x."""
    return _window(jnp.hamming, x)


@user_facing
def hanning(x: Tensor) -> Array:
    """The Hann window of length x."""
    return _window(jnp.hanning, x)


@user_facing
def kaiser(x: Tensor, beta: float) -> Array:
    """The Kaiser window of length x; a larger `beta` makes it narrower."""
    return _window(jnp.kaiser, x, beta)


@user_facing
def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0, sparse: bool = False) -> Array:
    """The count of each number from 0 to the largest one in x, or the sum of its weights: (n,) or (batch, n)."""
    x, counted = tensor(x), None if weights is None else tensor(weights)
    if sparse:
        from lamina.ops.sparse import sparse_bincount

        return sparse_bincount(x, counted, max(int(x.max()) + 1, minlength))  # type: ignore[no-any-return]
    if x.ndim != 2:
        return jnp.bincount(x, counted, minlength=minlength)
    length = max(int(x.max()) + 1, minlength)
    rows = (jnp.bincount(row, None if counted is None else counted[i], length=length) for i, row in enumerate(x))
    return jnp.stack(list(rows))


@user_facing
def clip(x: Tensor, x_min: Tensor, x_max: Tensor) -> Array:
    """x, but `x_min` where x is below it, and `x_max` where x is above it."""
    x = tensor(x)
    return jnp.clip(x.astype("int32") if x.dtype == bool else x, tensor(x_min), tensor(x_max))


@user_facing
def divide_no_nan(x1: Tensor, x2: Tensor) -> Array:
    """x1 / x2, or 0 where x2 is 0."""
    x1, x2 = tensor(x1), tensor(x2)
    return jnp.where(x2 == 0, 0, jnp.divide(x1, jnp.where(x2 == 0, 1, x2)))


@user_facing
def einsum(subscripts: str, *operands: Tensor, **kwargs: Any) -> Array:
    """Sums of products in Einstein notation; products of int8 are summed in int32.

    >>> einsum("ij,jk->ik", [[1.0, 2.0]], [[3.0], [4.0]])
    Array([[11.]], dtype=float32)
    """
    arrays = [tensor(each) for each in operands]
    return jnp.einsum(subscripts, *arrays, **kwargs | {"preferred_element_type": _sum_of_products(*arrays)})


def _sum_of_products(*arrays: Array) -> str | None:
    return "int32" if all(x.dtype == "int8" for x in arrays) else None


@user_facing
def matmul(x1: Tensor, x2: Tensor) -> Array:
    """The matrix product; products of int8 are summed in int32. One of the two arrays may be sparse."""
    if hasattr(x1, "todense") or hasattr(x2, "todense"):
        product: Array = cast(Any, x1) @ x2
        return product
    x1, x2 = tensor(x1), tensor(x2)
    return jnp.matmul(x1, x2, preferred_element_type=_sum_of_products(x1, x2))


@user_facing
def get_item(x: Tensor, key: Any) -> Array:
    """`x[key]`."""
    item: Array = tensor(x)[key]
    return item


@user_facing
def histogram(x: Tensor, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Array, Array]:
    """The number of elements of x, (n,), in each of `bins` parts of the range, and the edges of the parts."""
    x = tensor(x)
    if x.ndim > 1:
        raise ShapeError(f"histogram takes an array of one axis, got shape {x.shape}. Write ops.ravel(x).")
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 0:
        raise ArgumentError(f"histogram(bins={bins!r}): bins is a whole number of at least 0.")
    if range is not None and (len(range) != 2 or range[1] < range[0]):
        raise ArgumentError(f"histogram(range={range!r}): range is a pair, the lowest number first.")
    return jnp.histogram(x, bins=bins, range=range)


@user_facing
def i0(x: Floats) -> Array:
    """The modified Bessel function of the first kind, order 0; dtypes but 16- and 64-bit floats become `floatx()`."""
    x = floats(x)
    return jnp.i0(x.astype(floatx()) if x.dtype == jnp.float32 else x)


@user_facing
def ldexp(x1: Tensor, x2: Tensor) -> Array:
    """`x1 * 2**x2`; x2 holds integers."""
    x1, x2 = tensor(x1), tensor(x2)
    if not jnp.issubdtype(x2.dtype, jnp.integer):
        raise ArgumentError(f"ldexp takes integers as x2, got {x2.dtype}.")
    return jnp.ldexp(x1, x2)


@user_facing
def logaddexp(x1: Tensor, x2: Tensor) -> Array:
    """`log(exp(x1) + exp(x2))`, without overflow."""
    return jnp.logaddexp(*alike(x1, x2))


@user_facing
def logaddexp2(x1: Tensor, x2: Tensor) -> Array:
    """`log2(2**x1 + 2**x2)`, without overflow."""
    return jnp.logaddexp2(*alike(x1, x2))


@user_facing
def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean along `axis`, summed in at least float32; the mean of integers is a float."""
    x = tensor(x)
    kind = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.dtype("float32")
    return jnp.mean(x, axes(axis), jnp.promote_types(x.dtype, wide("float32")), keepdims=keepdims).astype(kind)


@user_facing
def var(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Array:
    """The mean squared distance from the mean along `axis`, summed in at least float32."""
    x = tensor(x)
    kind = x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else floatx()
    return jnp.var(x, axes(axis), jnp.promote_types(x.dtype, "float32"), keepdims=keepdims).astype(kind)


@user_facing
def meshgrid(*x: Tensor, indexing: str = "xy") -> list[Array]:
    """The coordinates of each point of a grid, as one array for each axis."""
    return jnp.meshgrid(*(tensor(each) for each in x), indexing=indexing)


@user_facing
def pad(x: Tensor, pad_width: Any, mode: str = "constant", constant_values: Tensor | None = None) -> Array:
    """x, padded at the ends of its axes; `pad_width` is one number, a pair, or a pair for each axis.

    Args:
        mode: "constant" for `constant_values` (0 unless given), "reflect", "symmetric", "edge" and others of NumPy.
    """
    if constant_values is not None and mode != "constant":
        raise ArgumentError(f"pad(mode={mode!r}) takes no constant_values; they are for mode='constant'.")
    more = {} if constant_values is None else {"constant_values": constant_values}
    return jnp.pad(tensor(x), pad_width, mode=mode, **more)


@user_facing
def round(x: Tensor, decimals: int = 0) -> Array:
    """x rounded to `decimals` digits after the point; a negative number rounds to tens, hundreds, ..."""
    x = tensor(x)
    if decimals >= 0 or not jnp.issubdtype(x.dtype, jnp.integer):
        return jnp.round(x, decimals)
    factor = 10.0**decimals
    return (jnp.round(x.astype(floatx()) * factor) / factor).astype(x.dtype)


@user_facing
def searchsorted(sorted_sequence: Tensor, values: Tensor, side: str = "left") -> Array:
    """The index at which each of `values` belongs in a sorted sequence (n,)."""
    sequence = tensor(sorted_sequence)
    if sequence.ndim != 1:
        raise ShapeError(f"searchsorted takes a sequence of one axis, got {sequence.shape}. See ops.vectorized_map.")
    return jnp.searchsorted(sequence, tensor(values), side=side)


@user_facing
def select(condlist: Tensors, choicelist: Tensors, default: Tensor = 0) -> Array:
    """Each element from the first of `choicelist` whose condition is true, else `default`."""
    if not all(isinstance(each, (list, tuple)) and each for each in (condlist, choicelist)):
        raise ArgumentError("select takes a list of conditions and a list of as many choices, and neither is empty.")
    return jnp.select([tensor(each) for each in condlist], [tensor(each) for each in choicelist], tensor(default))


@user_facing
def slogdet(x: Tensor) -> tuple[Array, Array]:
    """The sign of the determinant of matrices (..., n, n), and the logarithm of its size.  -> two of (...)"""
    sign, size = jnp.linalg.slogdet(tensor(x))
    return sign, size


@user_facing
def trunc(x: Tensor) -> Array:
    """x without the digits after the point."""
    x = tensor(x)
    return jnp.trunc(x) if jnp.issubdtype(x.dtype, jnp.inexact) else x


@user_facing
def unique(
    x: Tensor, sorted: bool = True, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: int | None = None, size: int | None = None, fill_value: Tensor | None = None,
) -> Any:  # fmt: skip
    """The distinct elements of x; depending on the arguments also their indices and counts.

    Args:
        size: the number of elements to return, padded with `fill_value`; needed in a compiled function.
    """
    wanted = {"return_index": return_index, "return_inverse": return_inverse, "return_counts": return_counts}
    told: dict[str, Any] = {"axis": axis, "size": size, "fill_value": fill_value, "sorted": sorted, "equal_nan": False}
    return jnp.unique(tensor(x), **wanted, **told)


@user_facing
def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Collection[int | str] | None = None, signature: str | None = None
) -> Callable[..., Any]:
    """Turns a function of numbers into a function of arrays, which applies it to each element.

    Args:
        excluded: the positions or names of arguments that are not arrays.
        signature: the shapes of the arguments and the result, such as "(n),(n)->()".
    """
    if not callable(pyfunc):
        raise ArgumentError(f"vectorize takes a function, got {pyfunc!r}.")
    return jnp.vectorize(pyfunc, excluded=set(excluded or ()), signature=signature)


@user_facing
def view(x: Tensor, dtype: DType = None) -> Array:
    """The same bits, read as another dtype."""
    return tensor(x).view(None if dtype is None else standardize_dtype(dtype))


@user_facing
def where(condition: Tensor, x1: Tensor | None = None, x2: Tensor | None = None) -> Any:
    """x1 where the condition is true, else x2; without x1 and x2, the indices where the condition is true."""
    if (x1 is None) != (x2 is None):
        raise ArgumentError("where takes both x1 and x2, or neither of them.")
    if x1 is None or x2 is None:
        return jnp.where(tensor(condition))
    return jnp.where(tensor(condition), tensor(x1), tensor(x2))
