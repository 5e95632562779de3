"""Functions that several normalization layers share: for their axes, and for the weights that scale and shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
from jax import lax

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.layer import weight_from_settings
from lamina._layer.specs import InputSpec
from lamina._settings.converters import integer
from lamina._settings.settings import Converted
from lamina.errors import ShapeError

Axes: TypeAlias = Converted[int | Sequence[int], int | list[int]]


def one_or_more(value: object) -> int | list[int]:
    """One axis, or a list of them."""
    return [integer(axis) for axis in value] if isinstance(value, (tuple, list)) else integer(value)


def feature_axes(axis: int | list[int], shape: Shape) -> list[int]:
    """The axes of a setting, counted from the front, for an array of `shape`."""
    axes = axis if isinstance(axis, list) else [axis]
    batch = len(shape) > 1  # the only axis of a single sample is its features
    if any(not -len(shape) <= each < len(shape) or (batch and each % len(shape) == 0) for each in axes):
        raise ShapeError(f"has axis={axis}, which is not a feature axis of {tuple(shape)}")
    return sorted(each % len(shape) for each in axes)


def kept_sizes(layer: Any, shape: Shape) -> Shape:
    """The sizes of the layer's `axis`. Later inputs of any rank must have the same sizes."""
    found = feature_axes(layer.axis, shape)
    axes = layer.axis if isinstance(layer.axis, list) else [layer.axis]
    rank = max(axis + 1 if axis >= 0 else -axis for axis in axes)
    layer.input_spec = InputSpec(min_ndim=rank, axes={axis: shape[axis] for axis in axes})
    return tuple(shape[axis] for axis in found)


def add_scale(layer: Any, shape: Shape, scale: bool, center: bool) -> None:
    """Make the weights `gamma` (if `scale`) and `beta` (if `center`) of a layer."""
    if None in shape:
        raise ShapeError("needs to know the size of its feature axis")
    layer.gamma = weight_from_settings(layer, "gamma", shape, autocast=False) if scale else None
    layer.beta = weight_from_settings(layer, "beta", shape, autocast=False) if center else None


def scaled(layer: Any, x: Array, mean: Array, variance: Array, shape: Sequence[int]) -> Array:
    """`(x - mean) / sqrt(variance + epsilon) * gamma + beta`, with gamma and beta reshaped to `shape`."""
    factor, shift = factor_and_shift(layer, mean, variance, shape)
    y: Array = x * factor + shift
    return y


def factor_and_shift(layer: Any, mean: Array, variance: Array, shape: Sequence[int]) -> tuple[Array, Array]:
    """The factor and the summand for x that `scaled` uses."""
    factor = lax.rsqrt(variance + jnp.asarray(layer.epsilon, variance.dtype))
    if layer.gamma is not None:
        factor = factor * layer.gamma.astype(factor.dtype).reshape(shape)
    shift = -mean * factor
    if layer.beta is not None:
        shift = shift + layer.beta.astype(factor.dtype).reshape(shape)
    return factor, shift


def widened(x: Array) -> Array:
    """`x` in at least float32, the dtype in which statistics are computed."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
