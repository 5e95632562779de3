# mypy: disable-error-code="empty-body"
"""The functions of Keras's `ops.nn`: activations, crossentropies, convolution, pooling, normalization, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from lamina import dtypes
from lamina._arrays.arrays import Array
from lamina._imports.public import public
from lamina._kernels import ctc
from lamina._messages.tracebacks import user_facing
from lamina.activations import hard_shrink, log_softmax, soft_shrink, softmax, sparsemax, tanh_shrink, threshold
from lamina.errors import ArgumentError, ShapeError
from lamina.ops.tensors import Axis, DType, Floats, Tensor, axes, by_jax, floats, tensor
from lamina.ops.windows import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    conv,
    conv_transpose,
    depth_to_space,
    depthwise_conv,
    fold,
    max_pool,
    separable_conv,
    space_to_depth,
    unfold,
)

__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "batch_normalization", "binary_crossentropy",
    "categorical_crossentropy", "celu", "conv", "conv_transpose", "ctc_decode", "ctc_loss", "depth_to_space",
    "depthwise_conv", "dot_product_attention", "elu", "fold", "gelu", "glu", "hard_shrink", "hard_sigmoid",
    "hard_silu", "hard_swish", "hard_tanh", "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax",
    "max_pool", "moments", "multi_hot", "normalize", "one_hot", "polar", "psnr", "relu", "relu6",
    "rms_normalization", "selu", "separable_conv", "sigmoid", "silu", "soft_shrink", "softmax", "softplus",
    "softsign", "space_to_depth", "sparse_categorical_crossentropy", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "swish", "tanh_shrink", "threshold", "unfold",
]  # fmt: skip


def celu(x: Tensor, alpha: float = 1.0) -> Array: ...
def elu(x: Tensor, alpha: float = 1.0) -> Array: ...
def gelu(x: Tensor, approximate: bool = True) -> Array: ...
def glu(x: Tensor, axis: int = -1) -> Array: ...
def hard_sigmoid(x: Tensor) -> Array: ...
def hard_silu(x: Tensor) -> Array: ...
def hard_swish(x: Tensor) -> Array: ...
def hard_tanh(x: Tensor) -> Array: ...
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Array: ...
def log_sigmoid(x: Tensor) -> Array: ...
def relu(x: Tensor) -> Array: ...
def relu6(x: Tensor) -> Array: ...
def selu(x: Tensor) -> Array: ...
def sigmoid(x: Tensor) -> Array: ...
def silu(x: Tensor) -> Array: ...
def softplus(x: Tensor) -> Array: ...
def softsign(x: Tensor) -> Array: ...
def sparse_plus(x: Tensor) -> Array: ...
def sparse_sigmoid(x: Tensor) -> Array: ...
def squareplus(x: Tensor, b: float = 4) -> Array: ...
def swish(x: Tensor) -> Array: ...


def _equal_shapes(target: Array, output: Array, function: str) -> None:
    if target.shape != output.shape:
        raise ShapeError(f"{function} takes target and output of one shape, got {target.shape} and {output.shape}.")


def _clipped(output: Array) -> Array:
    return jnp.clip(output, dtypes.epsilon(), 1.0 - dtypes.epsilon())


@user_facing
def binary_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False) -> Array:
    """`-target * log(output) - (1 - target) * log(1 - output)` for each element; the shape stays the same.

    Args:
        from_logits: whether `output` holds logits, to which a sigmoid is applied, or probabilities.
    """
    y, p = tensor(target), tensor(output)
    _equal_shapes(y, p, "binary_crossentropy")
    if from_logits:
        return -y * jax.nn.log_sigmoid(p) - (1.0 - y) * jax.nn.log_sigmoid(-p)
    p = _clipped(p)
    return -(y * jnp.log(p) + (1.0 - y) * jnp.log(1.0 - p))


def _log_probabilities(output: Array, from_logits: bool, axis: int) -> Array:
    if from_logits:
        return jax.nn.log_softmax(output, axis)
    return jnp.log(_clipped(output / jnp.sum(output, axis, keepdims=True)))


@user_facing
def categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Array:
    """`-sum(target * log(output))` along `axis`; both have one probability for each class."""
    y, p = tensor(target), tensor(output)
    _equal_shapes(y, p, "categorical_crossentropy")
    if y.ndim < 1:
        raise ShapeError("categorical_crossentropy takes arrays with an axis of classes, got numbers.")
    return -jnp.sum(y * _log_probabilities(p, from_logits, axis), axis)


@user_facing
def sparse_categorical_crossentropy(target: Tensor, output: Tensor, from_logits: bool = False, axis: int = -1) -> Array:
    """`-log(output)` of the class whose number is the target: (...) or (..., 1), and (..., classes) -> (...)."""
    y, p = tensor(target, "int32"), tensor(output)
    if y.ndim == p.ndim and y.shape[-1:] == (1,):
        y = y[..., 0]
    if p.ndim < 1 or y.shape != p.shape[:-1]:
        raise ShapeError(
            "sparse_categorical_crossentropy takes a target of output's shape without the classes, got "
            f"{y.shape} and {p.shape}."
        )
    said = jax.nn.one_hot(y, p.shape[axis], axis=axis)  # a number outside the classes gives zeros
    return -jnp.sum(said * _log_probabilities(p, from_logits, axis), axis)


@user_facing
def ctc_loss(
    target: Tensor, output: Tensor, target_length: Tensor, output_length: Tensor, mask_index: int = 0
) -> Array:
    """`-log` of the probability of the labels (batch, length), given logits (batch, time, classes).  -> (batch,)

    Args:
        target_length, output_length: the number of labels, and of time steps, that count: (batch,).
        mask_index: the class of the blank.
    """
    lengths = tensor(target_length, "int32"), tensor(output_length, "int32")
    return ctc.label_loss(tensor(target, "int32"), tensor(output), *lengths, mask_index)


@user_facing
def ctc_decode(
    inputs: Tensor, sequence_lengths: Tensor, strategy: str = "greedy", beam_width: int = 100, top_paths: int = 1,
    merge_repeated: bool = True, mask_index: int = 0,
) -> tuple[Array, Array]:  # fmt: skip
    """The labels for outputs (batch, time, classes): (paths, batch, time), padded with -1, and their scores.

    Args:
        sequence_lengths: the number of time steps that count: (batch,).
        strategy: "greedy" for the most probable class of each step; "beam_search" for the `top_paths` most probable
            sequences of labels, of which `beam_width` are kept at each step.
        merge_repeated: for "greedy", whether a class that is repeated in a row counts once.
        mask_index: the class of the blank.
    """
    x = tensor(inputs)
    x, lengths = x.astype(jnp.promote_types(x.dtype, "float32")), tensor(sequence_lengths, "int32")
    if strategy == "greedy":
        return ctc.greedy_labels(x, lengths, merge_repeated, mask_index)
    if strategy != "beam_search":
        raise ArgumentError(f"ctc_decode(strategy={strategy!r}): strategy is 'greedy' or 'beam_search'.")
    return ctc.beam_labels(x, lengths, beam_width, top_paths, mask_index)


@user_facing
def one_hot(x: Tensor, num_classes: int, axis: int = -1, dtype: DType = None, sparse: bool = False) -> Array:
    """1 at the index given by each number of x and 0 elsewhere, along a new axis of `num_classes`.

    >>> one_hot([1, 0], 2)
    Array([[0., 1.],
           [1., 0.]], dtype=float32)

    Args:
        sparse: whether the result is a JAX `BCOO`, which does not store zeros.
    """
    if sparse:
        from lamina.ops.sparse import sparse_one_hot

        return sparse_one_hot(tensor(x), num_classes, axis, dtypes.floatx() if dtype is None else dtype)  # type: ignore[no-any-return]
    return jax.nn.one_hot(tensor(x), num_classes, axis=axis, dtype=dtypes.floatx() if dtype is None else dtype)


@user_facing
def multi_hot(
    inputs: Tensor, num_classes: int | None = None, axis: int = -1, dtype: DType = None, sparse: bool = False,
    **kwargs: Any,
) -> Array:  # fmt: skip
    """1 at the indices given by a sample's numbers: (batch, n) -> (batch, num_classes), or (n,) -> (num_classes,)."""
    count = kwargs.pop("num_tokens", None) if num_classes is None else num_classes  # num_tokens is Keras's older name
    if count is None or kwargs:
        raise ArgumentError("multi_hot takes inputs, num_classes, axis, dtype and sparse, and needs num_classes.")
    x = tensor(inputs, "int32")
    if sparse:
        from lamina.ops.sparse import sparse_multi_hot

        return sparse_multi_hot(x, count, axis, dtypes.floatx() if dtype is None else dtype)  # type: ignore[no-any-return]
    return jnp.max(one_hot(x, count, axis, dtype), axis=min(x.ndim - 1, 1))


@user_facing
def moments(
    x: Tensor, axes: int | Sequence[int], keepdims: bool = False, synchronized: bool = False
) -> tuple[Array, Array]:
    """The mean and the variance along `axes`, computed in at least float32."""
    if synchronized:
        raise ArgumentError("moments(synchronized=True): one program computes the whole batch. Leave it out.")
    x, along = tensor(x), axes if isinstance(axes, int) else tuple(axes)
    wide = x.astype("float32") if x.dtype in (jnp.float16, jnp.bfloat16) else x
    pair = jnp.mean(wide, along, keepdims=keepdims), jnp.var(wide, along, keepdims=keepdims)
    if wide is x:
        return pair
    most = float(np.finfo("float16").max)
    return tuple(jnp.clip(each, -most, most).astype(x.dtype) for each in pair)  # type: ignore[return-value]


@user_facing
def normalize(x: Tensor, axis: Axis = -1, order: int = 2, epsilon: float | None = None) -> Array:
    """`x / max(norm(x), epsilon)` along `axis`, with the norm of an `order` of at least 1."""
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ArgumentError(f"normalize(order={order!r}): order is a whole number of at least 1.")
    x, least = jnp.atleast_1d(tensor(x)), dtypes.epsilon() if epsilon is None else epsilon
    if order == 2:
        return x * jnp.minimum(lax.rsqrt(floats(jnp.sum(jnp.square(x), axes(axis), keepdims=True))), 1.0 / least)
    return x / jnp.maximum(jnp.linalg.norm(floats(x), order, axes(axis), keepdims=True), least)


@user_facing
def batch_normalization(
    x: Tensor, mean: Tensor, variance: Tensor, axis: int, offset: Tensor | None = None, scale: Tensor | None = None,
    epsilon: float = 1e-3,
) -> Array:  # fmt: skip
    """`(x - mean) / sqrt(variance + epsilon) * scale + offset`, with (n,) statistics along `axis`; the shape stays."""
    x = tensor(x)
    shape = [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)]
    factor = lax.rsqrt(tensor(variance).reshape(shape) + epsilon)
    if scale is not None:
        factor = factor * tensor(scale).reshape(shape)
    shift = -tensor(mean).reshape(shape) * factor
    return x * factor + (shift if offset is None else shift + tensor(offset).reshape(shape))


@user_facing
def layer_normalization(
    x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None, axis: int | Sequence[int] = -1,
    epsilon: float | None = None, **kwargs: Any,
) -> Array:  # fmt: skip
    """`(x - mean(x)) / sqrt(var(x) + epsilon) * gamma + beta` along `axis`, in at least float32; the shape stays."""
    if kwargs.pop("rms_scaling", False):
        raise ArgumentError("layer_normalization(rms_scaling=True) divided by the deviation: use rms_normalization.")
    if kwargs:
        raise ArgumentError(f"layer_normalization has no argument {next(iter(kwargs))!r}.")
    x = tensor(x)
    wide, along = x.astype(jnp.promote_types(x.dtype, "float32")), _along(x, axis)
    mean, variance = jnp.mean(wide, along, keepdims=True), jnp.var(wide, along, keepdims=True)
    y = (wide - mean) * lax.rsqrt(variance + (dtypes.epsilon() if epsilon is None else epsilon))
    shape = [size if i in along else 1 for i, size in enumerate(x.shape)]
    y = y if gamma is None else y * _placed(gamma, shape, y.dtype)
    return (y if beta is None else y + _placed(beta, shape, y.dtype)).astype(x.dtype)


def _along(x: Array, axis: int | Sequence[int]) -> tuple[int, ...]:
    return tuple(i % x.ndim for i in ([axis] if isinstance(axis, int) else axis))


def _placed(values: Tensor, shape: Sequence[int], dtype: DTypeLike) -> Array:
    values = tensor(values).astype(dtype)
    return values if values.ndim == len(shape) else values.reshape(shape)


@user_facing
def rms_normalization(
    x: Tensor, scale: Tensor | None = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Array:
    """`x / sqrt(mean(x²) + epsilon) * scale` along `axis`, in at least float32; the shape stays."""
    x = jnp.atleast_1d(tensor(x))
    wide = x.astype(jnp.promote_types(x.dtype, "float32"))
    power = jnp.mean(jnp.square(wide), _along(x, axis), keepdims=True)
    y = wide * lax.rsqrt(power + (dtypes.epsilon() if epsilon is None else epsilon))
    return (y if scale is None else y * tensor(scale).astype(wide.dtype)).astype(x.dtype)


@user_facing
def dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, mask: Tensor | None = None,
    scale: float | None = None, is_causal: bool = False, flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Array:  # fmt: skip
    """`softmax(scale * query keyᵀ + bias) value`: (batch, time, heads, n) -> (batch, time, heads, n).

    Args:
        mask: where it is False, a query does not see a key: (batch, heads or 1, time of query, time of key).
        scale: the factor of the logits. The default is 1 / sqrt(n).
        is_causal: whether a query sees only keys at its own step and before.
        flash_attention: True for cuDNN's kernel, which needs a GPU. Otherwise JAX chooses.
        attn_logits_soft_cap: logits are divided by `1 + abs(logits) / attn_logits_soft_cap`, on every device, as
            Keras's documentation says. Keras itself does this on a TPU only.

    Source: Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
    """
    q, k, v = (tensor(each) for each in (query, key, value))
    if {q.ndim, k.ndim, v.ndim} != {4}:
        raise ShapeError(f"dot_product_attention takes arrays of 4 axes, got {q.shape}, {k.shape} and {v.shape}.")
    dtype = jnp.result_type(q, k, v)
    q, k, v = (each.astype(dtype) for each in (q, k, v))
    bias, mask = None if bias is None else tensor(bias).astype(dtype), None if mask is None else tensor(mask, "bool")
    if attn_logits_soft_cap is not None:
        return _capped_attention(q, k, v, bias, mask, scale, is_causal, attn_logits_soft_cap)
    return jax.nn.dot_product_attention(
        q, k, v, bias, mask, scale=scale, is_causal=is_causal, implementation="cudnn" if flash_attention else None
    )


def _capped_attention(
    q: Array, k: Array, v: Array, bias: Array | None, mask: Array | None, scale: float | None, is_causal: bool,
    cap: float,
) -> Array:  # fmt: skip
    """Attention by the formula itself, since JAX's kernels do not support a soft cap."""
    k, v = (jnp.repeat(each, q.shape[2] // each.shape[2], axis=2) for each in (k, v))
    logits = jnp.einsum("bqhn,bkhn->bhqk", q, k, preferred_element_type="float32")
    logits = logits * (q.shape[3] ** -0.5 if scale is None else scale)
    logits = logits / (1 + jnp.abs(logits) / cap) + (0 if bias is None else bias)  # (batch, heads, queries, keys)
    seen = jnp.tri(q.shape[1], k.shape[1], dtype=bool) if is_causal else jnp.ones((1, 1), bool)
    logits = jnp.where(seen if mask is None else seen & mask, logits, float(np.finfo("float32").min))
    return jnp.einsum("bhqk,bkhn->bqhn", jax.nn.softmax(logits).astype(v.dtype), v)  # (batch, queries, heads, n)


@user_facing
def polar(abs_: Floats, angle: Floats) -> Array:
    """The complex numbers with these absolute values and angles."""
    size, turn = floats(abs_), floats(angle)
    return lax.complex(size * jnp.cos(turn), size * jnp.sin(turn))


@user_facing
def psnr(x1: Tensor, x2: Tensor, max_val: float) -> Array:
    """The peak signal-to-noise ratio of two arrays in decibels, `20 log10(max_val) - 10 log10(mean((x1 - x2)²))`."""
    x1, x2 = tensor(x1), tensor(x2)
    _equal_shapes(x1, x2, "psnr")
    return 20 * math.log10(max_val) - 10 * jnp.log10(jnp.mean(jnp.square(x1 - x2)))


by_jax(__name__, jax.nn, softsign="soft_sign")

public(__name__, __all__)
