"""Activations as layers."""

from __future__ import annotations

from typing import Any, ClassVar

import jax

from lamina import activations, constraints, initializers, regularizers
from lamina._base.converters import integer, number, optional
from lamina._base.settings import setting
from lamina._base.shapes import InputSpec, Shape
from lamina._layer.layer import Layer
from lamina.errors import ArgumentError, ShapeError

Array = jax.Array


class ReLU(Layer):
    """Rectifies every element: 0 below `threshold`, at most `max_value`, with `negative_slope` below the threshold.

    >>> ReLU(max_value=1.0)(jax.numpy.array([[-1.0, 0.5, 3.0]]))
    Array([[0. , 0.5, 1. ]], dtype=float32)
    """

    max_value: float | None = setting(optional(number), default=None)
    negative_slope: float = setting(number, default=0.0)
    threshold: float = setting(number, default=0.0)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_value", "negative_slope", "threshold"):
            if (getattr(self, name) or 0) < 0:
                raise ArgumentError(f"ReLU({name}={getattr(self, name)}): expected a number of at least 0.")

    def call(self, x: Array) -> Array:
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """`x` where it is positive, else `negative_slope * x`; note the default 0.3, where the function has 0.2.

    >>> LeakyReLU()(jax.numpy.array([[-1.0, 2.0]]))
    Array([[-0.3,  2. ]], dtype=float32)
    """

    negative_slope: float = setting(number, default=0.3)

    supports_masking: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.negative_slope < 0:
            raise ArgumentError(f"LeakyReLU(negative_slope={self.negative_slope}): expected a number of at least 0.")

    def call(self, x: Array) -> Array:
        return activations.leaky_relu(x, self.negative_slope)


class Softmax(Layer):
    """Makes the elements along `axis` (one, or several together) positive with sum 1.

    >>> Softmax()(jax.numpy.zeros((1, 4)))
    Array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    axis: Any = -1

    supports_masking: ClassVar[bool] = True

    def call(self, x: Array, mask: Any = None) -> Array:
        if mask is not None:
            x = jax.numpy.where(mask, x, jax.numpy.asarray(-3e4, x.dtype))
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        if isinstance(axis, tuple) and len(axis) > 1:
            return jax.numpy.exp(x - jax.scipy.special.logsumexp(x, axis=axis, keepdims=True))
        return activations.softmax(x, axis=axis[0] if isinstance(axis, tuple) else axis)


class ELU(Layer):
    """`x` where it is positive, else `alpha * (exp(x) - 1)`: the shape stays.

    >>> ELU()(jax.numpy.array([[-1.0, 2.0]])).round(3)
    Array([[-0.632,  2.   ]], dtype=float32)
    """

    alpha: float = setting(number, default=1.0)

    supports_masking: ClassVar[bool] = True

    def call(self, x: Array) -> Array:
        return activations.elu(x, self.alpha)


def _axes(value: Any) -> list[int]:
    return [integer(axis) for axis in (value if isinstance(value, (tuple, list)) else [value])]


class PReLU(Layer):
    """`x` where it is positive, else `alpha * x` with an `alpha` learned for each element of a sample.

    Along `shared_axes`, counted with the batch's as 0, there is one `alpha` for all: `[1, 2]` for an image.
    Source: He et al., 2015, https://arxiv.org/abs/1502.01852

    >>> PReLU("ones")(jax.numpy.array([[-1.0, 2.0]]))
    Array([[-1.,  2.]], dtype=float32)
    """

    alpha_initializer: Any = setting(initializers.get, default="zeros")
    alpha_regularizer: Any = setting(regularizers.get, default=None)
    alpha_constraint: Any = setting(constraints.get, default=None)
    shared_axes: Any = setting(optional(_axes), default=None)

    supports_masking: ClassVar[bool] = True

    def build(self, input_shape: Shape) -> None:
        shared = self.shared_axes or []
        if any(not 1 <= axis < len(input_shape) for axis in shared):
            raise ShapeError(f"has shared_axes={shared}, and wants axes from 1 to {len(input_shape) - 1}")
        sizes = {axis: size for axis, size in enumerate(input_shape) if axis and axis not in shared}
        self.alpha = self.add_weight(
            [sizes.get(axis, 1) for axis in range(1, len(input_shape))],
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes=sizes)

    def call(self, x: Array) -> Array:
        return activations.relu(x) - self.alpha * activations.relu(-x)  # type: ignore[no-any-return]
