"""Activations: functions of an array that keep its shape (`glu` halves one axis) and its dtype.

At points without a derivative, the gradient is the one that Keras has on JAX. A NaN gives a NaN.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from lamina._arrays.arrays import Array, as_array
from lamina._imports.public import public
from lamina._kernels import blocks
from lamina._messages.tracebacks import user_facing, warn
from lamina._settings.arguments import Config, Function
from lamina._settings.registry import Registry
from lamina._weights.weight import Weight
from lamina.errors import ShapeError

__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6",
    "selu", "serialize", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip

P = ParamSpec("P")
Arrays = ArrayLike | Weight | Sequence[object]
"""The input of an activation: anything that `jnp.asarray` takes."""

_registry = Registry("activation")  # `lamina.layers` adds its own registry to `also`


def _activation(
    *aliases: str,
) -> Callable[[Callable[Concatenate[Array, P], Array]], Callable[Concatenate[Arrays, P], Array]]:
    """Decorate a function of an array, so that it has a name and also takes lists, NumPy arrays and weights."""

    def register(function: Callable[Concatenate[Array, P], Array]) -> Callable[Concatenate[Arrays, P], Array]:
        @functools.wraps(function)
        def call(x: Arrays, *args: P.args, **kwargs: P.kwargs) -> Array:
            return function(as_array(x), *args, **kwargs)

        return _registry.add(*aliases)(user_facing(call))  # type: ignore[return-value]  # x has a name here

    return register


def _length(x: Array, axis: int | tuple[int, ...] | None) -> int:
    """The number of elements along `axis`, which must exist; None for all axes."""
    axes = (axis,) if isinstance(axis, int) else range(x.ndim) if axis is None else axis
    for each in axes:
        if not -x.ndim <= each < x.ndim:
            raise ShapeError(f"axis={each} does not exist in an array of shape {x.shape}.")
    return math.prod(x.shape[each] for each in axes)


@_activation()
def linear(x: Array) -> Array:
    """`x`, unchanged.

    >>> linear([-1.0, 2.0])
    Array([-1.,  2.], dtype=float32)
    """
    return x


@_activation()
def relu(x: Array, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Array:
    """`x` above the threshold, up to `max_value`; `negative_slope * (x - threshold)` below it.

    >>> relu([-10.0, 0.0, 5.0, 10.0], negative_slope=0.5, max_value=6)
    Array([-5.,  0.,  5.,  6.], dtype=float32)
    """
    if negative_slope and max_value is None and not threshold:
        return jax.nn.leaky_relu(x, negative_slope)
    if threshold:
        above = jnp.where(x <= threshold, 0, x)
    elif max_value == 6:
        above, max_value = jax.nn.relu6(x), None
    else:
        above = blocks.relu(x)
    if max_value is not None:
        above = jnp.clip(above, 0, max_value)
    return above - negative_slope * jax.nn.relu(threshold - x) if negative_slope else above


@_activation()
def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """`x` where it is at least 0, `negative_slope * x` elsewhere.

    >>> leaky_relu([-1.0, 2.0])
    Array([-0.2,  2. ], dtype=float32)
    """
    return jax.nn.leaky_relu(x, negative_slope)


@_activation()
def relu6(x: Array) -> Array:
    """`min(max(x, 0), 6)`.

    >>> relu6([-1.0, 2.0, 9.0])
    Array([0., 2., 6.], dtype=float32)
    """
    return jax.nn.relu6(x)


@_activation()
def elu(x: Array, alpha: float = 1.0) -> Array:
    """`x` above zero, `alpha * (exp(x) - 1)` below.

    >>> f"{float(elu(-1.0)):.3f}"
    '-0.632'

    Source: Clevert et al. 2016, https://arxiv.org/abs/1511.07289
    """
    return jax.nn.elu(x, alpha)


@_activation()
def celu(x: Array, alpha: float = 1.0) -> Array:
    """`x` above zero, `alpha * (exp(x / alpha) - 1)` below: its slope is continuous for every alpha.

    >>> f"{float(celu(-1.0, alpha=0.5)):.3f}"
    '-0.432'

    Source: Barron 2017, https://arxiv.org/abs/1704.07483
    """
    return jax.nn.celu(x, alpha)


@_activation()
def selu(x: Array) -> Array:
    """`1.05070098 * elu(x, 1.67326324)`; with LecunNormal kernels, mean 0 and variance 1 are kept from layer to layer.

    >>> f"{float(selu(-1.0)):.3f}"
    '-1.111'

    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
    """
    return jax.nn.selu(x)


@_activation()
def sigmoid(x: Array) -> Array:
    """`1 / (1 + exp(-x))`, between 0 and 1.

    >>> f"{float(sigmoid(2.0)):.3f}"
    '0.881'
    """
    return jax.nn.sigmoid(x)


@_activation()
def log_sigmoid(x: Array) -> Array:
    """`log(sigmoid(x))`, exact where `sigmoid(x)` rounds to 0.

    >>> f"{float(log_sigmoid(-200.0)):.3f}"
    '-200.000'
    """
    return jax.nn.log_sigmoid(x)


@_activation()
def hard_sigmoid(x: Array) -> Array:
    """`relu6(x + 3) / 6`: a straight line from 0 at -3 to 1 at 3.

    >>> hard_sigmoid([-4.0, 0.0, 1.5])
    Array([0.  , 0.5 , 0.75], dtype=float32)
    """
    return jax.nn.hard_sigmoid(x)


@_activation()
def sparse_sigmoid(x: Array) -> Array:
    """`(x + 1) / 2`, clipped to the range from 0 to 1.

    >>> sparse_sigmoid([-2.0, 0.0, 0.5])
    Array([0.  , 0.5 , 0.75], dtype=float32)

    Source: Blondel et al. 2019, https://arxiv.org/abs/1901.02324
    """
    return jax.nn.sparse_sigmoid(x)


@_activation("swish")
def silu(x: Array) -> Array:
    """`x * sigmoid(x)`, also called swish.

    >>> f"{float(silu(2.0)):.3f}"
    '1.762'

    Source: Ramachandran et al. 2017, https://arxiv.org/abs/1710.05941
    """
    return jax.nn.silu(x)


@_activation("hard_swish")
def hard_silu(x: Array) -> Array:
    """`x * hard_sigmoid(x)`, also called hard swish.

    >>> hard_silu([1.5, 4.0])
    Array([1.125, 4.   ], dtype=float32)

    Source: Howard et al. 2019, https://arxiv.org/abs/1905.02244
    """
    return jax.nn.hard_silu(x)


@_activation()
def gelu(x: Array, approximate: bool = False) -> Array:
    """`x * P(N(0, 1) <= x) = x/2 * (1 + erf(x / sqrt(2)))`, or an approximation of it by a tanh if `approximate`.

    >>> f"{float(gelu(1.0)):.3f}"
    '0.841'

    Source: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415
    """
    return jax.nn.gelu(x, approximate)


@_activation()
def mish(x: Array) -> Array:
    """`x * tanh(softplus(x))`.

    >>> f"{float(mish(1.0)):.3f}"
    '0.865'

    Source: Misra 2019, https://arxiv.org/abs/1908.08681
    """
    return jax.nn.mish(x)


@_activation()
def softplus(x: Array) -> Array:
    """`log(exp(x) + 1)`.

    >>> f"{float(softplus(0.0)):.3f}"
    '0.693'
    """
    return jax.nn.softplus(x)


@_activation()
def sparse_plus(x: Array) -> Array:
    """0 where `x <= -1`, `(x + 1)² / 4` up to 1, and `x` above 1: like softplus, but exactly 0 for small `x`.

    >>> sparse_plus([-2.0, 0.0, 2.0])
    Array([0.  , 0.25, 2.  ], dtype=float32)
    """
    return jax.nn.sparse_plus(x)


@_activation()
def squareplus(x: Array, b: float = 4) -> Array:
    """`(x + sqrt(x² + b)) / 2`: like softplus, without exp and log. A larger `b` makes the bend at 0 wider.

    >>> squareplus([0.0, 3.0], b=16)
    Array([2., 4.], dtype=float32)

    Source: Barron 2021, https://arxiv.org/abs/2112.11687
    """
    return jax.nn.squareplus(x, b)


@_activation()
def softsign(x: Array) -> Array:
    """`x / (|x| + 1)`.

    >>> softsign([-1.0, 3.0])
    Array([-0.5 ,  0.75], dtype=float32)
    """
    return jax.nn.soft_sign(x)


@_activation()
def tanh(x: Array) -> Array:
    """`(exp(x) - exp(-x)) / (exp(x) + exp(-x))`, between -1 and 1.

    >>> tanh([0.0, 20.0])
    Array([0., 1.], dtype=float32)
    """
    return jnp.tanh(x)


@_activation()
def hard_tanh(x: Array) -> Array:
    """`x`, clipped to the range from -1 to 1.

    >>> hard_tanh([-3.0, 0.5])
    Array([-1. ,  0.5], dtype=float32)
    """
    return jax.nn.hard_tanh(x)


@_activation()
def tanh_shrink(x: Array) -> Array:
    """`x - tanh(x)`.

    >>> tanh_shrink([0.0, 20.0])
    Array([ 0., 19.], dtype=float32)
    """
    return x - jnp.tanh(x)


@_activation()
def soft_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`x` moved towards zero by `threshold` (0 or more), and 0 where `|x| <= threshold`.

    >>> soft_shrink([-2.0, 0.3, 1.0])
    Array([-1.5,  0. ,  0.5], dtype=float32)
    """
    return jnp.where(jnp.abs(x) <= threshold, 0.0, jnp.where(x > 0, x - threshold, x + threshold))


@_activation()
def hard_shrink(x: Array, threshold: float = 0.5) -> Array:
    """`x` where `|x| > threshold`, 0 elsewhere.

    >>> hard_shrink([-2.0, 0.3, 1.0])
    Array([-2.,  0.,  1.], dtype=float32)
    """
    return jnp.where(jnp.abs(x) <= threshold, 0.0, x)


@_activation()
def threshold(x: Array, threshold: float, default_value: float) -> Array:
    """`x` above the threshold, `default_value` elsewhere.

    >>> threshold([-2.0, 1.0, 3.0], 1.0, 0.1)
    Array([0.1, 0.1, 3. ], dtype=float32)
    """
    return jnp.where(x <= threshold, default_value, x)


@_activation()
def exponential(x: Array) -> Array:
    """`exp(x)`.

    >>> f"{float(exponential(1.0)):.3f}"
    '2.718'
    """
    return jnp.exp(x)


@_activation()
def softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    """`exp(x) / sum(exp(x))` along `axis`: numbers from 0 to 1 that sum to 1.

    >>> softmax([0.0, 0.0, 200.0])
    Array([0., 0., 1.], dtype=float32)
    """
    if _length(x, axis) == 1:
        warn(
            f"softmax along axis {axis} of shape {x.shape} has one element, so the result is always 1. "
            "For a single output take sigmoid."
        )
    return jax.nn.softmax(x, axis)


@_activation()
def log_softmax(x: Array, axis: int | tuple[int, ...] | None = -1) -> Array:
    """`log(softmax(x))` along `axis`, exact where `softmax(x)` rounds to 0.

    >>> log_softmax([0.0, 200.0])
    Array([-200.,    0.], dtype=float32)
    """
    _length(x, axis)
    return jax.nn.log_softmax(x, axis)


@_activation()
def sparsemax(x: Array, axis: int = -1) -> Array:
    """`max(x - tau, 0)` along `axis`, with the tau for which the sum is 1: like softmax, but exactly 0 for small `x`.

    tau is the greatest of (sum of the k largest elements - 1) / k. (If more than one element is above 0, Keras 3.15
    uses another tau, and its results do not sum to 1.)

    >>> sparsemax([1.0, 0.5, -1.0])
    Array([0.75, 0.25, 0.  ], dtype=float32)

    Source: Martins and Astudillo 2016, https://arxiv.org/abs/1602.02068
    """
    _length(x, axis)
    wide = x.dtype.itemsize >= 4 and jnp.issubdtype(x.dtype, jnp.inexact)
    z = jnp.moveaxis(x, axis, -1).astype(x.dtype if wide else jnp.float32)  # (..., n)
    z = z - jax.lax.stop_gradient(z.max(-1, keepdims=True))  # does not change the result, and keeps the sums exact
    fixed = jax.lax.stop_gradient(z)
    sums = jnp.cumsum(jnp.sort(fixed, axis=-1, descending=True), axis=-1)
    taus = (sums - 1) / jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype)  # (..., n), one for each k
    outside = fixed <= taus.max(-1, keepdims=True)
    k = jnp.sum(~outside, axis=-1, keepdims=True, dtype=z.dtype)  # (..., 1)
    tau = (jnp.where(outside, 0, z).sum(-1, keepdims=True) - 1) / k  # the same tau, but with a gradient
    y = jnp.moveaxis(jnp.where(outside, 0, z - tau), -1, axis)
    return y.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else y


@_activation()
def glu(x: Array, axis: int = -1) -> Array:
    """`a * sigmoid(b)`; a and b are the two halves of `x` along `axis`, so the result is half as long on that axis.

    >>> glu([2.0, 4.0, 0.0, 0.0])
    Array([1., 2.], dtype=float32)

    Source: Dauphin et al. 2017, https://arxiv.org/abs/1612.08083
    """
    if _length(x, axis) % 2:
        raise ShapeError(f"glu halves axis {axis}, which must have an even length; got shape {x.shape}.")
    return jax.nn.glu(x, axis)


swish, hard_swish = silu, hard_silu


@user_facing
def get(identifier: str | Function | Config | None) -> Function:
    """The activation for a name, a function, a layer or a config; None means `linear`.

    >>> get("relu") is relu
    True
    """
    return _registry.get(identifier) or linear


serialize, deserialize = _registry.serialize, _registry.deserialize


public(__name__, __all__)
