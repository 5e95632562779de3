"""Layers that scale numbers, by given factors or by statistics that `adapt` learned from the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, TypeAlias

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from lamina._arrays.arrays import Array, HostArray
from lamina._arrays.shapes import Shape
from lamina._checks import values
from lamina._data.source import Table
from lamina._layer.layer import Layer
from lamina._layer.specs import InputSpec
from lamina._settings.converters import flag, integer, optional
from lamina._settings.settings import Converted, setting, value_of
from lamina.config import image_data_format
from lamina.dtypes import epsilon, floatx
from lamina.errors import ArgumentError, DataError, NotAdaptedError, ShapeError
from lamina.layers.features.adapting import Adapting

Given: TypeAlias = float | list[Any] | tuple[Any, ...] | HostArray | Array | dict[str, Any]
Numbers: TypeAlias = Converted[Given, ArrayLike]
NumbersOrNone: TypeAlias = Converted[Given | None, ArrayLike | None]
Axes: TypeAlias = Converted[int | Sequence[int] | None, tuple[int, ...]]


def numbers(value: Any) -> ArrayLike:
    """A number or an array of numbers, also in the form used in a config."""
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        return np.asarray(value["config"]["value"], value["config"]["dtype"])
    if np.asarray(value).dtype.kind not in "iuf":
        raise ArgumentError(f"expected numbers, got {value!r}.")
    return value.copy() if isinstance(value, np.ndarray) else value


class Rescaling(Layer):
    """`x * scale + offset`, for example `Rescaling(1 / 255)` for images of bytes.

    >>> Rescaling(1 / 127.5, offset=-1)(jnp.array([[0, 255]], jnp.uint8))
    Array([[-1.,  1.]], dtype=float32)

    Args:
        scale: the factor, a number or an array that can be broadcast to the input.
        offset: the summand, a number or an array that can be broadcast to the input.
    """

    scale: Numbers = setting(numbers)
    offset: Numbers = setting(numbers, default=0.0)

    supports_masking: ClassVar[bool] = True
    _lamina_takes_integers: ClassVar[bool] = True

    def _lamina_is_sample(self, shape: Shape) -> bool:
        return len(shape) == 3  # so that a stack of this layer and image layers takes one image

    def call(self, x: Array) -> Array:
        scale, offset = (jnp.asarray(value, self.compute_dtype) for value in (self.scale, self.offset))
        if scale.ndim and image_data_format() == "channels_first":
            scale = scale.reshape(scale.shape + (1,) * (3 - scale.ndim))
        try:
            return x.astype(self.compute_dtype) * scale + offset
        except (TypeError, ValueError):
            raise ShapeError(
                f"has scale of shape {scale.shape} and offset of shape {offset.shape}, which do not fit {x.shape}"
            ) from None


def axes(value: object) -> tuple[int, ...]:
    """None for no axis, or an axis, or several axes."""
    several = value if isinstance(value, (tuple, list)) else [] if value is None else [value]
    found = tuple(integer(axis) for axis in several)
    if len(set(found)) < len(found):
        raise ArgumentError(f"expected each axis once, got {value!r}.")
    return found


def learnable(layer: Layer, data: HostArray) -> HostArray:
    """The data, which must be finite numbers: a single NaN would make every statistic NaN."""
    if data.dtype == object:
        raise DataError(f"{layer.name!r} takes numbers, got text ({data.ravel()[0]!r}).")
    if not data.size:
        raise DataError(f"{layer.name!r} got no data: its shape is {data.shape}.")
    values.finite(Table(data))
    return data


def not_adapted(layer: Layer, what: str, otherwise: str) -> NotAdaptedError:
    return NotAdaptedError(
        f"{layer.name!r} ({type(layer).__name__}) has no {what} yet: call {layer.name}.adapt(x) first, or give "
        f"{otherwise}."
    )


@dataclass(eq=False, repr=False)
class Statistics:
    """The statistics that `adapt` learned so far."""

    count: int
    """The number of values behind each mean."""
    mean: HostArray
    squares: HostArray
    """The sum of the squared distances from the mean."""


class Normalization(Adapting):
    """Scales every feature to mean 0 and variance 1: `(x - mean) / max(sqrt(variance), epsilon)`.

    Mean and variance are given or learned by `adapt`. Learned ones are weights that are not trained.

    >>> layer = Normalization()
    >>> layer.adapt(np.array([[1.0, 10.0], [3.0, 30.0]], "float32"))
    >>> layer(np.array([[1.0, 30.0]], "float32"))
    Array([[-1.,  1.]], dtype=float32)

    Args:
        axis: the axis or axes of the features; each feature has its own mean and variance. None uses one mean and one
            variance for all numbers.
        mean: the mean of each feature; None learns the means with `adapt`.
        variance: the variance of each feature. Give it together with `mean`.
        invert: whether to invert the formula, `x * max(sqrt(variance), epsilon) + mean`.
    """

    axis: Axes = setting(axes, default=-1)
    _lamina_input_mean: NumbersOrNone = setting(optional(numbers), default=None, alias="mean")
    _lamina_input_variance: NumbersOrNone = setting(optional(numbers), default=None, alias="variance")
    invert: bool = setting(flag, default=False)

    supports_masking: ClassVar[bool] = True
    _lamina_takes_integers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.input_mean, self.input_variance = value_of(self, "mean"), value_of(self, "variance")
        mean, variance = np.shape(self.input_mean), np.shape(self.input_variance)
        if (self.input_mean is None) != (self.input_variance is None):
            raise ArgumentError("Normalization takes mean and variance together, or neither of them and adapt().")
        if mean != variance or len(mean) > len(self.axis):
            raise ArgumentError(
                f"Normalization: mean {mean} and variance {variance} must have one shape, one size per axis of "
                f"{self.axis}."
            )
        if self.input_variance is not None and not np.all(np.asarray(self.input_variance) >= 0):
            raise ArgumentError(f"Normalization(variance={self.input_variance!r}): expected numbers of at least 0.")

    def _lamina_arguments(self) -> dict[str, Any]:
        return super()._lamina_arguments() | {
            "mean": _listed(self.input_mean),
            "variance": _listed(self.input_variance),
        }

    def build(self, input_shape: Shape) -> None:
        rank = len(input_shape)
        if not all(-rank <= axis < rank for axis in self.axis):
            raise ShapeError(f"has axis={self.axis}, which is not in {input_shape}")
        kept = sorted(axis % rank for axis in self.axis)
        if any(input_shape[axis] is None for axis in kept):
            raise ShapeError(f"needs to know the size of axis={self.axis}, got {input_shape}")
        self._lamina_sizes = tuple(input_shape[axis] or 1 if axis in kept else 1 for axis in range(rank))
        axes = {axis - rank: input_shape[axis] for axis in kept}  # counted from the end, as in broadcasting
        self.input_spec = InputSpec(min_ndim=-min(axes, default=0), axes=axes)
        if self.input_mean is None:
            shape = tuple(input_shape[axis] for axis in kept)
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, autocast=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, autocast=False, name="variance")
            self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")
        else:
            try:
                statistics(self, np)
            except ValueError:
                wanted = tuple(input_shape[axis] for axis in kept)
                raise ShapeError(f"has a mean of shape {np.shape(self.input_mean)}, and axis {self.axis} of the data "
                                 f"has {wanted}") from None  # fmt: skip

    @property
    def mean(self) -> ArrayLike | None:
        """The argument `mean`; once the layer is built, the mean in use."""
        return in_use(self, 0, self.input_mean)

    @property
    def variance(self) -> ArrayLike | None:
        """The argument `variance`; once the layer is built, the variance in use."""
        return in_use(self, 1, self.input_variance)

    def call(self, x: Array) -> Array:
        dtype = jnp.promote_types(self.compute_dtype, jnp.float32)
        mean, variance = (each.astype(dtype) for each in statistics(self))
        width = jnp.maximum(jnp.sqrt(variance), jnp.asarray(epsilon(), dtype))
        wide = x.astype(dtype)
        y: Array = wide * width + mean if self.invert else (wide - mean) / width
        return y.astype(self.compute_dtype)

    def _lamina_learn(self, data: HostArray, batch: bool) -> None:
        if self.input_mean is not None:
            raise ArgumentError(f"{self.name!r} was given mean and variance, so it learns none.")
        data = learnable(self, data)
        data = data[:, None] if data.ndim == 1 and self.axis == (-1,) and not batch else data
        self._lamina_build((None, *data.shape[1:]))
        kept, sizes = kept_axes(self)
        if kept and (data.ndim != len(sizes) or any(data.shape[axis] != sizes[axis] for axis in kept)):
            raise ShapeError(f"{self.name!r} is built for {sizes}, and cannot learn from {data.shape}.")
        over = tuple(axis for axis in range(data.ndim) if axis not in kept)
        data = data.astype(np.float64)
        mean = data.mean(over)
        count, squares = data.size // max(mean.size, 1), ((data - np.expand_dims(mean, over)) ** 2).sum(over)
        before: Statistics | None = self._lamina.learned
        if before is not None:  # Chan, Golub and LeVeque, 1979
            apart, both = mean - before.mean, before.count + count
            squares = before.squares + squares + apart**2 * (before.count * count / both)
            mean, count = before.mean + apart * (count / both), both
        self._lamina.learned = Statistics(count, mean, squares)

    def finalize_state(self) -> None:
        learned: Statistics | None = self._lamina.learned
        if learned is not None:
            self.adapt_mean.assign(learned.mean.astype(floatx()))
            self.adapt_variance.assign((learned.squares / learned.count).astype(floatx()))
            self.count.assign(np.int32(min(learned.count, np.iinfo(np.int32).max)))

    def reset_state(self) -> None:
        self._lamina.learned = None

    def _lamina_require_adapted(self) -> None:
        if self.input_mean is not None or (self.built and int(self.count) > 0):
            return
        at_start = not self.built or (not np.any(self.adapt_mean) and np.all(np.equal(self.adapt_variance, 1)))
        if at_start:  # Keras's files have no count
            raise not_adapted(self, "mean and variance", "mean=..., variance=...")


def kept_axes(layer: Normalization) -> tuple[list[int], tuple[int, ...]]:
    """The axes of the features, and the shape of the statistics for broadcasting: 1 on every other axis."""
    sizes = layer._lamina_sizes
    return sorted(axis % len(sizes) for axis in layer.axis), sizes


def statistics(layer: Normalization, xp: ModuleType = jnp) -> tuple[Array | HostArray, Array | HostArray]:
    """Mean and variance, in a shape that can be broadcast to the input."""
    kept, sizes = kept_axes(layer)
    if layer.input_mean is None:
        mean, variance = jnp.asarray(layer.adapt_mean), jnp.asarray(layer.adapt_variance)
        return mean.reshape(sizes), variance.reshape(sizes)
    shape, given = [1] * len(sizes), np.shape(layer.input_mean)
    for axis, size in zip(kept[len(kept) - len(given) :], given, strict=True):
        shape[axis] = size
    dtype = layer.variable_dtype if xp is jnp else None
    mean, variance = (xp.asarray(each, dtype).reshape(shape) for each in (layer.input_mean, layer.input_variance))
    return xp.broadcast_to(mean, sizes), xp.broadcast_to(variance, sizes)


def in_use(layer: Normalization, which: int, given: ArrayLike | None) -> ArrayLike | None:
    """The mean (0) or the variance (1) that a built layer uses; before it is built, the argument."""
    return np.asarray(statistics(layer, jnp if given is None else np)[which]) if layer.built else given


def _listed(value: object) -> Any:
    return None if value is None else np.asarray(value).tolist()
