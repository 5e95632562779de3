"""TensorFlow's functions of tensors, in `tf` and in `tf.math`, as a table of JAX's functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn
from jax.typing import ArrayLike, DTypeLike

from lamina.compat.operations import Axes, Operation, array, numpy_functions, operation, table
from lamina.compat.tensorflow.texts import HostTensor


def _matmul(a: jax.Array, b: jax.Array, transpose_a: bool = False, transpose_b: bool = False) -> jax.Array:
    return jnp.matmul(jnp.swapaxes(a, -1, -2) if transpose_a else a, jnp.swapaxes(b, -1, -2) if transpose_b else b)


def _one_hot(
    indices: jax.Array, depth: int, on: float = 1, off: float = 0, axis: int = -1, dtype: DTypeLike = "float32"
) -> jax.Array:
    hot = nn.one_hot(indices, depth, axis=axis, dtype=bool)
    return jnp.where(hot, jnp.asarray(on, dtype), jnp.asarray(off, dtype))


def _split(value: jax.Array, parts: int | Sequence[int], axis: int = 0) -> list[jax.Array]:
    if isinstance(parts, int):
        return jnp.split(value, parts, axis)
    sizes = [int(size) for size in parts]
    if -1 in sizes:
        sizes[sizes.index(-1)] = value.shape[axis] - sum(sizes) - 1
    return jnp.split(value, [sum(sizes[:place]) for place in range(1, len(sizes))], axis)


def _gather(params: jax.Array, indices: jax.Array, axis: int = 0, batch_dims: int = 0) -> jax.Array:
    if not batch_dims:
        return jnp.take(params, indices, axis)
    return jax.vmap(lambda p, i: _gather(p, i, axis - 1 if axis > 0 else axis, batch_dims - 1))(params, indices)


def _pad(
    tensor: jax.Array, paddings: Iterable[Sequence[int]], mode: str = "CONSTANT", constant_values: float = 0
) -> jax.Array:
    widths = tuple((int(before), int(after)) for before, after in paddings)
    more = {"constant_values": constant_values} if mode.upper() == "CONSTANT" else {}
    return jnp.pad(tensor, widths, mode.lower(), **more)


def _clip_by_norm(t: jax.Array, clip_norm: jax.Array | float, axes: Axes = None) -> jax.Array:
    norm = jnp.sqrt(jnp.sum(t * t, axes, keepdims=True))
    return t * clip_norm / jnp.maximum(norm, clip_norm)


def _norm(
    tensor: jax.Array, ord: int | float | str = "euclidean", axis: Axes = None, keepdims: bool = False
) -> jax.Array:
    flat = tensor.ravel() if axis is None and not keepdims else tensor
    return jnp.linalg.norm(flat, None if ord == "euclidean" else ord, axis, keepdims)  # type: ignore[no-any-return]


def _where(condition: ArrayLike, x: ArrayLike | None = None, y: Any = None) -> jax.Array:
    return jnp.argwhere(condition) if x is None else jnp.where(condition, x, y)


def _confusion(labels: jax.Array, predictions: jax.Array, n: int | None = None) -> jax.Array:
    count = n or int(max(labels.max(), predictions.max())) + 1
    return jnp.zeros((count, count), "int32").at[labels, predictions].add(1)


def _shape(x: jax.Array) -> Any:
    """The shape. During a trace it is NumPy numbers, which may be used as sizes of arrays."""
    traced = isinstance(x, jax.core.Tracer)
    return np.array(x.shape, "int32").view(HostTensor) if traced else jnp.array(x.shape, "int32")


def _slice(x: jax.Array, begin: Any, size: Any) -> jax.Array:
    lengths = [x.shape[axis] - int(begin[axis]) if length < 0 else length for axis, length in enumerate(size)]
    return lax.dynamic_slice(x, begin, lengths)


def _cumulative(function: Operation) -> Operation:
    def run(x: jax.Array, axis: int = 0, exclusive: bool = False, reverse: bool = False) -> jax.Array:
        x = jnp.flip(x, axis) if reverse else x
        y = function(x, axis)
        if exclusive:
            first = jnp.full_like(lax.slice_in_dim(x, 0, 1, axis=axis), 0 if function is jnp.cumsum else 1)
            y = jnp.concatenate([first, lax.slice_in_dim(y, 0, -1, axis=axis)], axis)
        return jnp.flip(y, axis) if reverse else y

    return run


def concat(values: Sequence[object], axis: int = 0, name: str | None = None) -> jax.Array:
    """Concatenate arrays along an axis."""
    return jnp.concatenate([array(value) for value in values], axis)


def stack(values: Sequence[object], axis: int = 0, name: str | None = None) -> jax.Array:
    """Stack arrays along a new axis."""
    return jnp.stack([array(value) for value in values], axis)


def unstack(value: object, num: int | None = None, axis: int = 0, name: str | None = None) -> list[jax.Array]:
    """Split an array into its parts along an axis."""
    return list(jnp.moveaxis(array(value), axis, 0))


def add_n(inputs: Sequence[Any], name: str | None = None) -> Any:
    """The sum of the arrays."""
    return sum(array(value) for value in inputs)


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: float, use_norm: Any = None, name: str | None = None
) -> tuple[list[jax.Array], jax.Array]:
    """Scale arrays so that their joint norm is at most `clip_norm`. Returns the arrays and the norm before."""
    norm = global_norm(t_list) if use_norm is None else use_norm
    scale = clip_norm / jnp.maximum(norm, clip_norm)
    return [array(each) * scale for each in t_list], norm


def global_norm(t_list: Sequence[Any], name: str | None = None) -> jax.Array:
    """The square root of the sum of all squares."""
    return jnp.sqrt(sum(jnp.sum(jnp.square(array(each))) for each in t_list))


def _sequence_mask(lengths: jax.Array, maxlen: int | None = None, dtype: DTypeLike = "bool") -> jax.Array:
    return (jnp.arange(int(lengths.max()) if maxlen is None else maxlen) < lengths[..., None]).astype(dtype)


def einsum(equation: str, *inputs: object, **kwargs: Any) -> jax.Array:
    """`jax.numpy.einsum`."""
    return jnp.einsum(equation, *map(array, inputs))


def range_(*args: Any, start: Any = None, limit: Any = None, delta: Any = None, **kwargs: Any) -> jax.Array:
    """The numbers from `start` below `limit`."""
    first, *rest = (*args, *(value for value in (start, limit, delta) if value is not None))
    stop, step = (*rest, None, None)[:2]
    return jnp.arange(first, stop, step, kwargs.get("dtype"))


UNARY = numpy_functions(
    "abs sqrt square exp expm1 log log1p sin cos tan asin:arcsin acos:arccos atan:arctan sinh cosh asinh:arcsinh "
    "acosh:arccosh atanh:arctanh tanh sign floor ceil round negative reciprocal logical_not is_nan:isnan is_inf:isinf "
    "is_finite:isfinite conj real imag angle"
) | {
    "erf": jax.scipy.special.erf, "lgamma": jax.scipy.special.gammaln, "digamma": jax.scipy.special.digamma,
    "rsqrt": lax.rsqrt, "sigmoid": nn.sigmoid, "stop_gradient": lax.stop_gradient, "identity": lambda x: x,
    "rank": jnp.ndim, "log_sigmoid": nn.log_sigmoid,
}  # fmt: skip
BINARY = numpy_functions(
    "add subtract multiply divide truediv:true_divide floordiv:floor_divide pow:power maximum minimum mod floormod:mod "
    "equal not_equal greater greater_equal less less_equal logical_and logical_or logical_xor atan2:arctan2"
) | {
    "squared_difference": lambda x, y: jnp.square(x - y),
    "divide_no_nan": lambda x, y: jnp.where(y == 0, 0, x / jnp.where(y == 0, 1, y)),
    "multiply_no_nan": lambda x, y: jnp.where(y == 0, 0, x * y),
}  # fmt: skip
REDUCING = numpy_functions("sum mean max min prod any all std variance:var") | {
    "logsumexp": jax.scipy.special.logsumexp,
    "euclidean_norm": lambda x, axis=None, keepdims=False: jnp.sqrt(jnp.sum(x * x, axis, keepdims=keepdims)),
}

OTHERS: dict[str, tuple[Operation, str, str]] = {
    "accumulate_n": (add_n, "inputs", ""),
    "argmin": (lambda x, axis=0: jnp.argmin(x, axis), "input", "axis"),
    "argsort": (lambda x, axis=-1, direction="ASCENDING": jnp.argsort(x, axis, descending=direction != "ASCENDING"),
     "values", "axis direction"),
    "boolean_mask": (lambda x, mask: x[mask], "tensor mask", ""),
    "broadcast_to": (jnp.broadcast_to, "input", "shape"),
    "clip_by_norm": (_clip_by_norm, "t", "clip_norm axes"),
    "clip_by_value": (jnp.clip, "t", "clip_value_min:min clip_value_max:max"),
    "confusion_matrix": (_confusion, "labels predictions", "num_classes:n"),
    "count_nonzero": (jnp.count_nonzero, "input", "axis keepdims"),
    "cumprod": (_cumulative(jnp.cumprod), "x", "axis exclusive reverse"),
    "cumsum": (_cumulative(jnp.cumsum), "x", "axis exclusive reverse"),
    "eye": (jnp.eye, "", "num_rows:N num_columns:M dtype"),
    "fill": (jnp.full, "", "dims:shape value:fill_value"),
    "gather": (_gather, "params indices", "axis batch_dims"),
    "gather_nd": (lambda x, i: x[tuple(jnp.moveaxis(i, -1, 0))], "params indices", ""),
    "in_top_k": (lambda y, p, k: (lax.top_k(p, k)[1] == y[..., None]).any(-1), "targets predictions", "k"),
    "linspace": (jnp.linspace, "", "start stop num"),
    "matmul": (_matmul, "a b", "transpose_a transpose_b"),
    "norm": (_norm, "tensor", "ord axis keepdims"),
    "one_hot": (_one_hot, "indices", "depth on_value:on off_value:off axis dtype"),
    "ones_like": (jnp.ones_like, "input", "dtype"),
    "pad": (_pad, "tensor", "paddings mode constant_values"),
    "repeat": (jnp.repeat, "input", "repeats axis"),
    "reverse": (jnp.flip, "tensor", "axis"),
    "roll": (jnp.roll, "input", "shift axis"),
    "scalar_mul": (jnp.multiply, "scalar x", ""),
    "sequence_mask": (_sequence_mask, "lengths", "maxlen dtype"),
    "shape": (_shape, "input", ""),
    "size": (lambda x: jnp.array(x.size, "int32"), "input", ""),
    "slice": (_slice, "input_", "begin size"),
    "sort": (lambda x, axis=-1, direction="ASCENDING": jnp.sort(x, axis, descending=direction != "ASCENDING"),
     "values", "axis direction"),
    "split": (_split, "value", "num_or_size_splits:parts axis"),
    "tensordot": (jnp.tensordot, "a b", "axes"),
    "tile": (jnp.tile, "input", "multiples:reps"),
    "top_k": (lambda x, k=1, sorted=True: lax.top_k(x, k), "input", "k sorted"),
    "transpose": (jnp.transpose, "a", "perm:axes"),
    "where": (_where, "condition", "x y"),
    "zeros_like": (jnp.zeros_like, "input", "dtype"),
}  # fmt: skip
"""Each name with the function, the names of its arrays and the names of its settings."""

functions: dict[str, Any] = {
    **table("tf.", "x", "", UNARY),
    **table("tf.", "x y", "", BINARY),
    **table("tf.", "input_tensor", "axis keepdims", {f"reduce_{name}": f for name, f in REDUCING.items()}),
    **{name: operation(f"tf.{name}", *described) for name, described in OTHERS.items()},
    "add_n": add_n, "clip_by_global_norm": clip_by_global_norm, "concat": concat, "einsum": einsum,
    "global_norm": global_norm, "range": range_, "stack": stack, "unstack": unstack,
}  # fmt: skip
"""All operations by name."""
