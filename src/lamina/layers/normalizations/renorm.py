"""Batch renormalization: BatchNormalization that uses moving statistics in training too, instead of the batch's.

Source: Ioffe, 2017, https://arxiv.org/abs/1702.03275
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._settings.converters import number, short
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError


def clipping(value: object) -> dict[str, float]:
    """The limits of r and d, without those that are None."""
    if not isinstance(value, Mapping):
        raise ArgumentError(f"expected a dict of limits called rmin, rmax and dmax, got {short(value)}.")
    limits = {name: number(limit) for name, limit in value.items() if limit is not None}
    if limits.keys() - {"rmin", "rmax", "dmax"}:
        raise ArgumentError(f"expected limits called rmin, rmax and dmax, got {value!r}.")
    if limits.get("rmin", 0) > limits.get("rmax", float("inf")) or limits.get("dmax", 0) < 0:
        raise ArgumentError(f"expected rmin <= rmax and dmax >= 0, got {value!r}.")
    return limits


def add_statistics(layer: Any, shape: Shape) -> None:
    """Make the weights that a BatchNormalization has only with renormalization."""
    deviation = jnp.sqrt(layer.moving_variance.value)
    layer.moving_stddev = layer.add_weight(shape, deviation, trainable=False, autocast=False)
    layer.renorm_mean = layer.add_weight(shape, layer.moving_mean_initializer, trainable=False, autocast=False)
    layer.renorm_stddev = layer.add_weight(shape, deviation, trainable=False, autocast=False)


def renormalized(layer: Any, mean: Array, deviation: Array, gamma: Array, beta: Array) -> tuple[Array, Array]:
    """Combine r and d with gamma and beta, as `r * gamma` and `d * gamma + beta`, and update the moving statistics.

    `r = deviation / renorm_stddev` and `d = (mean - renorm_mean) / renorm_stddev`, clipped to the limits in
    `renorm_clipping`.
    """
    limits = {name: jnp.asarray(limit, mean.dtype) for name, limit in layer.renorm_clipping.items()}
    floor = jnp.sqrt(jnp.asarray(layer.epsilon, mean.dtype))
    known = jnp.maximum(layer.renorm_stddev.astype(mean.dtype), floor)
    r = jnp.clip(deviation / known, limits.get("rmin"), limits.get("rmax"))
    d = (mean - layer.renorm_mean.astype(mean.dtype)) / known
    if "dmax" in limits:
        d = jnp.clip(d, -limits["dmax"], limits["dmax"])
    r, d = lax.stop_gradient((r, d))
    move(layer.renorm_mean, mean, layer.renorm_momentum)
    move(layer.renorm_stddev, deviation, layer.renorm_momentum)
    move(layer.moving_mean, mean, layer.momentum)
    move(layer.moving_stddev, deviation, layer.momentum)
    squared = jnp.square(layer.moving_stddev.value)
    layer.moving_variance.assign(jnp.maximum(squared - jnp.asarray(layer.epsilon, squared.dtype), 0))
    return r * gamma, d * gamma + beta


def move(weight: Weight, batch: Array, momentum: float) -> None:
    """Update a moving statistic with that of a batch: `momentum * weight + (1 - momentum) * batch`."""
    keep = jnp.asarray(momentum, jnp.promote_types(weight.value.dtype, jnp.float32))  # bfloat16 rounds 0.99
    weight.assign(weight.value.astype(keep.dtype) * keep + lax.stop_gradient(batch).astype(keep.dtype) * (1 - keep))
