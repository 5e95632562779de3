"""`tf.nn`: activation functions, and losses of logits."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from lamina import activations
from lamina._arrays.arrays import Array
from lamina.activations import elu, gelu, log_softmax, relu, relu6, selu, sigmoid, softmax, softplus, softsign, tanh
from lamina.compat.operations import Axes, array, operation
from lamina.compat.tensorflow.arithmetic import functions
from lamina.random import key_of, next_seed

# fmt: off
__all__ = [
    "bias_add", "dropout", "elu", "embedding_lookup", "gelu", "in_top_k", "l2_loss", "l2_normalize", "leaky_relu",
    "log_softmax", "moments", "relu", "relu6", "selu", "sigmoid", "sigmoid_cross_entropy_with_logits", "silu",
    "softmax", "softmax_cross_entropy_with_logits", "softplus", "softsign",
    "sparse_softmax_cross_entropy_with_logits", "swish", "tanh", "top_k",
]
# fmt: on

silu = swish = activations.silu


def leaky_relu(features: activations.Arrays, alpha: float = 0.2, name: str | None = None) -> Array:
    """x where x > 0, else `alpha * x`."""
    return activations.leaky_relu(features, alpha)


def _softmax_entropy(labels: Array, logits: Array, axis: int = -1) -> Array:
    return -jnp.sum(labels * jax.nn.log_softmax(logits, axis), axis)


def _sigmoid_entropy(labels: Array, logits: Array) -> Array:
    return jnp.maximum(logits, 0) - logits * labels + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def _sparse_entropy(labels: Array, logits: Array) -> Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1)[..., 0]


def _normalize(x: Array, axis: Axes = None, epsilon: float = 1e-12) -> Array:
    return x * jax.lax.rsqrt(jnp.maximum(jnp.sum(x * x, axis, keepdims=True), epsilon))


def _moments(x: Array, axes: Axes, keepdims: bool = False) -> tuple[Array, Array]:
    return jnp.mean(x, axes, keepdims=keepdims), jnp.var(x, axes, keepdims=keepdims)


softmax_cross_entropy_with_logits = operation(
    "tf.nn.softmax_cross_entropy_with_logits", _softmax_entropy, "labels logits", "axis"
)
sparse_softmax_cross_entropy_with_logits = operation(
    "tf.nn.sparse_softmax_cross_entropy_with_logits", _sparse_entropy, "labels logits"
)
sigmoid_cross_entropy_with_logits = operation(
    "tf.nn.sigmoid_cross_entropy_with_logits", _sigmoid_entropy, "labels logits"
)
l2_normalize = operation("tf.nn.l2_normalize", _normalize, "x", "axis epsilon")
l2_loss = operation("tf.nn.l2_loss", lambda t: jnp.sum(t * t) / 2, "t")
moments = operation("tf.nn.moments", _moments, "x", "axes keepdims")
bias_add = operation("tf.nn.bias_add", jnp.add, "value bias")
embedding_lookup = operation("tf.nn.embedding_lookup", lambda p, i: jnp.take(p, i, 0), "params ids")
in_top_k, top_k = functions["in_top_k"], functions["top_k"]


def dropout(
    x: object, rate: float, noise_shape: Sequence[int] | None = None, seed: int | None = None, name: str | None = None
) -> Array:
    """Sets the fraction `rate` of the numbers to 0, and divides the others by `1 - rate`."""
    x = array(x)
    key = key_of(next_seed() if seed is None else seed)
    kept = jax.random.bernoulli(key, 1 - rate, x.shape if noise_shape is None else tuple(noise_shape))
    return jnp.where(kept, x / (1 - rate), 0).astype(x.dtype)
