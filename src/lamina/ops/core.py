"""Keras's functions for control flow, dtypes, slices and gradients."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from lamina._arrays.arrays import Array, HostArray
from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.backend import standardize_dtype
from lamina.errors import ArgumentError, ShapeError
from lamina.ops.tensors import DType, Tensor, Tensors, tensor, tensors

__all__ = [
    "associative_scan", "cast", "cond", "convert_to_numpy", "convert_to_tensor", "custom_gradient", "dtype",
    "fori_loop", "is_tensor", "map", "rearrange", "saturate_cast", "scan", "scatter", "scatter_update", "shape",
    "slice", "slice_update", "stop_gradient", "switch", "unstack", "vectorized_map", "while_loop",
]  # fmt: skip

Function = Callable[..., Any]


def _of_arrays(function: Function) -> Function:
    """Wraps a function so that weights in its result become arrays."""
    return lambda *args: tensors(function(*args))


@user_facing
def associative_scan(f: Function, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All partial results `f(f(a, b), c)`, ... along `axis`, computed in parallel; f must be associative."""
    return lax.associative_scan(f, tensors(elems), reverse, axis)


@user_facing
def cast(x: Tensor, dtype: DType) -> Array:
    """x, cast to another dtype."""
    return tensor(x, standardize_dtype(dtype))


@user_facing
def cond(pred: Tensor, true_fn: Function, false_fn: Function) -> Any:
    """`true_fn()` if `pred` is true, else `false_fn()`; `pred` may be an array in a compiled program."""
    return lax.cond(tensor(pred), _of_arrays(true_fn), _of_arrays(false_fn))


@user_facing
def convert_to_numpy(x: Tensor) -> HostArray:
    """x as a new NumPy array."""
    x = x.todense() if hasattr(x, "todense") else x
    return np.array(tensor(x) if not isinstance(x, np.ndarray) else x)


@user_facing
def convert_to_tensor(x: Tensor, dtype: DType = None, sparse: bool | None = None, ragged: bool | None = None) -> Array:
    """x as a JAX array, cast to `dtype` if given. Sparse input stays sparse unless `sparse` is False."""
    if ragged:
        raise ArgumentError("convert_to_tensor: JAX has no ragged arrays. Leave ragged out.")
    if hasattr(x, "todense"):
        kept: Any = x.todense() if sparse is False else x
        return kept if dtype is None else kept.astype(standardize_dtype(dtype))  # type: ignore[no-any-return]
    return tensor(x, dtype)


@user_facing
def custom_gradient(f: Function) -> Function:
    """Decorate a function that returns its result and the function of its gradient.

    >>> @custom_gradient
    ... def doubled(x):
    ...     return x, lambda dy: dy * 2
    >>> float(jax.grad(doubled)(1.0))
    2.0
    """
    graded = jax.custom_gradient(f)
    return lambda *args, **kwargs: graded(*tensors(args), **tensors(kwargs))


@user_facing
def dtype(x: Any) -> str:
    """The name of the dtype of x."""
    return standardize_dtype(x.dtype)


@user_facing
def fori_loop(lower: int, upper: int, body_fun: Function, init_val: Any) -> Any:
    """The result of `value = body_fun(i, value)` for each i from `lower` up to, but not including, `upper`."""
    return lax.fori_loop(lower, upper, _of_arrays(body_fun), tensors(init_val))


def is_tensor(x: object) -> bool:
    """Whether x is a JAX array."""
    return isinstance(x, jax.Array)


@user_facing
def map(f: Function, xs: Any) -> Any:
    """f of each element of the first axis, one after the other; the results are stacked along the first axis."""
    return lax.map(_of_arrays(f), tensors(xs))


@user_facing
def rearrange(tensor: Tensor, pattern: str, **axes_lengths: int) -> Array:
    """x with its axes reordered, split or joined, as the pattern of axis names says.

    >>> rearrange(jnp.zeros((2, 6, 5)), "b (h w) c -> b c h w", h=2).shape
    (2, 5, 2, 3)
    """
    x = convert_to_tensor(tensor)
    groups, wanted = (
        [re.findall(r"\w+", part) for part in re.findall(r"\([^)]*\)|\w+", side)] for side in pattern.split("->")
    )
    names = [name for group in groups for name in group]
    if len(groups) != x.ndim or sorted(names) != sorted(name for group in wanted for name in group):
        raise ShapeError(f"rearrange: the pattern {pattern!r} does not name the {x.ndim} axes of shape {x.shape}.")
    sizes = dict(axes_lengths)
    for group, length in zip(groups, x.shape, strict=True):
        unknown = [name for name in group if name not in sizes]
        if len(unknown) > 1:
            raise ShapeError(f"rearrange: give all but one length of ({' '.join(group)}), such as {unknown[0]}=2.")
        sizes |= {name: length // math.prod(sizes[n] for n in group if n != name) for name in unknown}
    split = x.reshape([sizes[name] for name in names])
    moved = split.transpose([names.index(name) for group in wanted for name in group])
    return moved.reshape([math.prod(sizes[name] for name in group) for group in wanted])


@user_facing
def saturate_cast(x: Tensor, dtype: DType) -> Array:
    """x, cast to another dtype; values beyond the range of that dtype become the nearest number in it.

    >>> saturate_cast([-3.0, 300.0], "uint8")
    Array([  0, 255], dtype=uint8)
    """
    x, name = tensor(x), standardize_dtype(dtype)
    here, there = _range(x.dtype), _range(name)
    if here[0] < there[0]:
        x = jnp.maximum(x, _within(there[0], x.dtype, there))
    if here[1] > there[1]:
        x = jnp.minimum(x, _within(there[1], x.dtype, there))
    return x.astype(name)


def _range(dtype: DTypeLike) -> tuple[float, float]:
    if str(dtype) == "bool":
        return 0, 1
    if jnp.issubdtype(dtype, jnp.integer):
        whole = np.iinfo(dtype)
        return int(whole.min), int(whole.max)
    told: Any = jnp.finfo(dtype)  # type: ignore[no-untyped-call]
    return float(told.min), float(told.max)


def _within(limit: float, dtype: DTypeLike, target: tuple[float, float]) -> Array:
    """The nearest number of this dtype within the limit of the target's range: float32 would round 2³¹ - 1 up."""
    near = np.asarray(limit, dtype)
    return jnp.asarray(near if target[0] <= near <= target[1] else np.nextafter(near, np.zeros_like(near)))


@user_facing
def scan(
    f: Function, init: Any, xs: Any = None, length: int | None = None, reverse: bool = False, unroll: int | bool = 1
) -> Any:
    """`carry, y = f(carry, x)` for each element along the first axis of xs. Returns the last carry and all y."""
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ArgumentError(f"scan(unroll={unroll!r}): unroll is a whole number of at least 1, True or False.")
    return lax.scan(_of_arrays(f), tensors(init), tensors(xs), length=length, reverse=reverse, unroll=unroll)


@user_facing
def scatter(indices: Tensor, values: Tensor, shape: Sequence[int]) -> Array:
    """An array of zeros of this shape, with `values` added at `indices`, (..., axes)."""
    values = tensor(values)
    return jnp.zeros(shape, values.dtype).at[tuple(jnp.moveaxis(tensor(indices), -1, 0))].add(values)


@user_facing
def scatter_update(inputs: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Array:
    """`inputs` with `updates` at `indices`, (n, axes): they replace the old elements or are combined with them.

    Args:
        reduction: None to replace; "add", "max", "min" or "mul" to combine.
    """
    how = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}
    if (reduction.lower() if isinstance(reduction, str) else reduction) not in how:
        raise ArgumentError(f"scatter_update(reduction={reduction!r}): expected None, 'add', 'max', 'min' or 'mul'.")
    place = tensor(inputs).at[tuple(jnp.transpose(tensor(indices)))]
    updated: Array = getattr(place, how[reduction and reduction.lower()])(tensor(updates))
    return updated


@user_facing
def shape(x: Tensor) -> tuple[int, ...]:
    """The shape of x."""
    return tuple(x.shape if hasattr(x, "shape") else np.shape(x))


@user_facing
def slice(inputs: Tensor, start_indices: Any, shape: Sequence[int]) -> Array:
    """The part of the given shape that begins at `start_indices`; -1 in the shape means all that follows."""
    x = tensor(inputs)
    sizes = [x.shape[i] - int(start_indices[i]) if size == -1 else size for i, size in enumerate(shape)]
    return lax.dynamic_slice(x, tensors(start_indices), sizes)


@user_facing
def slice_update(inputs: Tensor, start_indices: Tensors, updates: Tensor) -> Array:
    """`inputs`, with the part that begins at `start_indices` replaced by `updates`."""
    return lax.dynamic_update_slice(tensor(inputs), tensor(updates), tensors(start_indices))


@user_facing
def stop_gradient(variable: Any) -> Any:
    """The same values, but no gradient flows through them."""
    return lax.stop_gradient(tensors(variable))


@user_facing
def switch(index: Tensor, branches: Sequence[Function], *operands: Any) -> Any:
    """`branches[index](*operands)`; the index is clipped to the range, and may be an array in a compiled program."""
    return lax.switch(tensor(index), [_of_arrays(branch) for branch in branches], *tensors(operands))


@user_facing
def unstack(x: Tensor, num: int | None = None, axis: int = 0) -> list[Array]:
    """The slices of x along `axis`, each without that axis."""
    x = tensor(x)
    return [lax.index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis])]


@user_facing
def vectorized_map(function: Function, elements: Any) -> Any:
    """`function` of each element of the first axis, all at once; the results are stacked along the first axis."""
    return jax.vmap(_of_arrays(function))(tensors(elements))


@user_facing
def while_loop(cond: Function, body: Function, loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    """Repeats `loop_vars = body(*loop_vars)` while `cond(*loop_vars)`, at most `maximum_iterations` times."""
    several = isinstance(loop_vars, (tuple, list))
    start = tuple(tensors(loop_vars)) if several else (tensors(loop_vars),)

    def goes_on(now: tuple[int, tuple[Any, ...]]) -> Any:
        known = cond(*now[1])
        return known if maximum_iterations is None else jnp.logical_and(known, now[0] < maximum_iterations)

    def following(now: tuple[int, tuple[Any, ...]]) -> tuple[int, tuple[Any, ...]]:
        after = tensors(body(*now[1]))
        return now[0] + 1, tuple(after) if several else (after,)

    _, end = lax.while_loop(goes_on, following, (0, start))
    return end if several else end[0]


public(__name__, __all__)
