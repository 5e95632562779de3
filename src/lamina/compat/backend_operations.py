"""The arithmetic of Keras 2's `keras.backend`, as a table of JAX's functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, nn

from lamina import activations, ops
from lamina._arrays.arrays import Array
from lamina.compat.operations import Operation, numpy_functions, operation, table
from lamina.compat.tensorflow import nn as of_logits
from lamina.config import epsilon, floatx, image_data_format
from lamina.errors import ArgumentError


def _floats(function: Operation) -> Operation:
    """Make a function accept booleans as 0 and 1."""
    return lambda x, *args, **kwargs: function(x.astype(floatx()) if x.dtype == bool else x, *args, **kwargs)


def _crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Array:
    if from_logits:
        return -jnp.sum(target * nn.log_softmax(output, axis), axis)
    output = output / output.sum(axis, keepdims=True)
    return -jnp.sum(target * jnp.log(jnp.clip(output, epsilon(), 1 - epsilon())), axis)


def _sparse_crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Array:
    target = target[..., 0] if target.ndim == output.ndim else target
    logs = nn.log_softmax(output, axis) if from_logits else jnp.log(jnp.clip(output, epsilon(), 1 - epsilon()))
    places = jnp.expand_dims(target.astype("int32"), axis)
    return -jnp.take_along_axis(logs, places, axis).squeeze(axis)


def _binary_crossentropy(target: Array, output: Array, from_logits: bool = False) -> Array:
    if from_logits:
        return of_logits.sigmoid_cross_entropy_with_logits(labels=target, logits=output)  # type: ignore[no-any-return]
    output, least = jnp.clip(output, epsilon(), 1 - epsilon()), epsilon()
    return -(target * jnp.log(output + least) + (1 - target) * jnp.log(1 - output + least))


def _batch_dot(x: Array, y: Array, axes: Any = None) -> Array:
    last = (x.ndim - 1, y.ndim - 1 if y.ndim == 2 else y.ndim - 2)
    first, second = last if axes is None else (axes, axes) if isinstance(axes, int) else axes
    if 0 in (first, second):
        raise ArgumentError("batch_dot sums over an axis of both arrays that is not the batch axis, 0.")
    first, second = first % x.ndim - 1, second % y.ndim - 1
    result = jax.vmap(lambda a, b: jnp.tensordot(a, b, ((first,), (second,))))(x, y)
    return result[:, None] if result.ndim == 1 else result


def _dot(x: Array, y: Array) -> Array:
    return jnp.tensordot(x, y, ((x.ndim - 1,), (max(y.ndim - 2, 0),)))


def _relu(x: Array, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    y = jnp.where(x >= threshold, x, alpha * (x - threshold))
    return y if max_value is None else jnp.minimum(y, max_value)


def _pad_axes(first: int) -> Callable[..., Array]:
    """A function that pads `first` spatial axes of images with zeros."""

    def pad(x: Array, padding: Any = ((1, 1),) * first, data_format: str | None = None) -> Array:
        pairs = [tuple(padding)] if first == 1 else [tuple(each) for each in padding]
        last = first == 1 or (data_format or image_data_format()) == "channels_last"
        return jnp.pad(x, [(0, 0), *pairs, (0, 0)] if last else [(0, 0), (0, 0), *pairs])

    return pad


def _resize(x: Array, height_factor: int, width_factor: int, data_format: str, interpolation: str = "nearest") -> Array:
    rows, columns = (1, 2) if data_format == "channels_last" else (2, 3)
    if interpolation == "nearest":
        return jnp.repeat(jnp.repeat(x, height_factor, rows), width_factor, columns)
    factors = [height_factor if axis == rows else width_factor if axis == columns else 1 for axis in range(4)]
    return jax.image.resize(x, [size * factor for size, factor in zip(x.shape, factors, strict=True)], interpolation)  # type: ignore[no-any-return]


def _bias_add(x: Array, bias: Array, data_format: str | None = None) -> Array:
    first = (data_format or image_data_format()) == "channels_first" and x.ndim > 2
    return x + (jnp.moveaxis(bias, -1, 0)[(..., *[None] * (x.ndim - 1 - bias.ndim))] if first else bias)


def _pool(
    x: Array, pool_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
    mode: str = "max",
) -> Any:  # fmt: skip
    pool = ops.max_pool if mode == "max" else ops.average_pool
    return pool(x, pool_size, strides, padding, data_format)


def _normalize(
    x: Array, mean: Array, var: Array, beta: Array | None = None, gamma: Array | None = None, axis: int = -1,
    epsilon: float = 1e-3,
) -> Any:  # fmt: skip
    return ops.batch_normalization(x, mean, var, axis, beta, gamma, epsilon)


_CONV = "strides padding data_format dilation_rate"
OTHERS: dict[str, tuple[Operation, str, str]] = {
    "argmax": (lambda x, axis=-1: jnp.argmax(x, axis), "x", "axis"),
    "argmin": (lambda x, axis=-1: jnp.argmin(x, axis), "x", "axis"),
    "batch_dot": (_batch_dot, "x y", "axes"), "bias_add": (_bias_add, "x bias", "data_format"),
    "binary_crossentropy": (_binary_crossentropy, "target output", "from_logits"),
    "cast": (lambda x, dtype: x.astype(dtype), "x", "dtype"),
    "cast_to_floatx": (lambda x: x.astype(floatx()), "x", ""),
    "categorical_crossentropy": (_crossentropy, "target output", "from_logits axis"),
    "clip": (jnp.clip, "x", "min_value:min max_value:max"),
    "cumprod": (lambda x, axis=0: jnp.cumprod(x, axis), "x", "axis"),
    "cumsum": (lambda x, axis=0: jnp.cumsum(x, axis), "x", "axis"),
    "dropout": (of_logits.dropout, "x", "level:rate noise_shape seed"),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), (ops.conv, "x kernel", _CONV)),
    "depthwise_conv2d": (ops.depthwise_conv, "x depthwise_kernel", _CONV),
    "separable_conv2d": (ops.separable_conv, "x depthwise_kernel pointwise_kernel", _CONV),
    **dict.fromkeys(("pool2d", "pool3d"), (_pool, "x", "pool_size strides padding data_format pool_mode:mode")),
    "batch_normalization": (_normalize, "x mean var", "beta gamma axis epsilon"),
    "elu": (activations.elu, "x", "alpha"), "expand_dims": (lambda x, axis=-1: jnp.expand_dims(x, axis), "x", "axis"),
    "gather": (lambda x, i: jnp.take(x, i, 0), "reference indices", ""),
    "in_top_k": (lambda p, y, k: (lax.top_k(p, k)[1] == y[..., None]).any(-1), "predictions targets", "k"),
    "l2_normalize": (of_logits.l2_normalize, "x", "axis"),
    "one_hot": (lambda i, n: nn.one_hot(i, n), "indices", "num_classes:n"),
    "ones_like": (jnp.ones_like, "x", "dtype"), "zeros_like": (jnp.zeros_like, "x", "dtype"),
    "permute_dimensions": (jnp.transpose, "x", "pattern:axes"),
    "pow": (jnp.power, "x a", ""), "relu": (_relu, "x", "alpha max_value threshold"),
    "repeat": (lambda x, n: jnp.repeat(x[:, None], n, 1), "x", "n"),
    "repeat_elements": (jnp.repeat, "x", "rep:repeats axis"), "reshape": (jnp.reshape, "x", "shape"),
    "resize_images": (_resize, "x", "height_factor width_factor data_format interpolation"),
    "reverse": (jnp.flip, "x", "axes:axis"), "softmax": (nn.softmax, "x", "axis"),
    "sparse_categorical_crossentropy": (_sparse_crossentropy, "target output", "from_logits axis"),
    "spatial_2d_padding": (_pad_axes(2), "x", "padding data_format"),
    "spatial_3d_padding": (_pad_axes(3), "x", "padding data_format"),
    "squeeze": (jnp.squeeze, "x", "axis"), "temporal_padding": (_pad_axes(1), "x", "padding"),
    "tile": (jnp.tile, "x", "n:reps"),
}  # fmt: skip
"""Each name with the function, the names of its arrays and the names of its settings."""

functions = {
    **table("K.", "x", "", {
        **numpy_functions("abs cos exp log sign sin square transpose flatten:ravel round ndim"),
        "sqrt": lambda x: jnp.sqrt(jnp.maximum(x, 0)), "sigmoid": nn.sigmoid, "tanh": jnp.tanh,
        "softplus": nn.softplus, "softsign": nn.soft_sign, "hard_sigmoid": lambda x: jnp.clip(0.2 * x + 0.5, 0, 1),
        "shape": lambda x: jnp.array(x.shape, "int32"), "batch_flatten": lambda x: x.reshape(x.shape[0], -1),
        "to_dense": lambda x: x,
    }),
    **table("K.", "x", "axis keepdims", {
        name: _floats(function) for name, function in numpy_functions("max mean min prod std sum var").items()
    } | {
        "all": lambda x, axis=None, keepdims=False: jnp.all(x.astype(bool), axis, keepdims=keepdims),
        "any": lambda x, axis=None, keepdims=False: jnp.any(x.astype(bool), axis, keepdims=keepdims),
        "logsumexp": jax.scipy.special.logsumexp,
    }),
    **table("K.", "x y", "", {
        **numpy_functions("equal greater greater_equal less less_equal maximum minimum not_equal"), "dot": _dot,
    }),
    **{name: operation(f"K.{name}", *described) for name, described in OTHERS.items()},
}  # fmt: skip
"""All operations by name."""
