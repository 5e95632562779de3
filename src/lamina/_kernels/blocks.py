"""What made an array, told from layer to layer while a pass is traced, so that several can be computed as one.

Whoever makes an array that a later layer may take together with its own work notes how; that layer then computes both,
and nobody reads the array, so XLA leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.typing import DTypeLike

from lamina._arrays.arrays import Array
from lamina._weights.weight import under_way


class Made(NamedTuple):
    """`again(map)` is what the convolution that made an array gives with another map of its operands."""

    again: Callable[[Callable[..., Any]], Any]
    rectified: bool = False

    def rescaled(self, factor: Array, shift: Array) -> Made:
        """The same of a convolution that makes `y * factor + shift`; both have an element for each filter."""

        def with_rescaled(by: Callable[..., Any], x: Array, kernel: Array, bias: Array | None, *others: Any) -> Any:
            return by(x, kernel * factor, shift if bias is None else bias * factor + shift, *others)

        return Made(lambda by: self.again(partial(with_rescaled, by)))


class Normalized(NamedTuple):
    """What an array was made from by batch normalization along its last axis, as `normalization.normalize` says."""

    x: Array
    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    rows: Array | None
    epsilon: float
    rectified: bool = False


def note(y: Array, made: Made | Normalized | None) -> Array:
    """y, of which this is kept; not where operations run one by one, as nothing is left out there."""
    scope = under_way.get()
    if scope and made and isinstance(y, jax.core.Tracer):
        scope.origins[id(y)] = y, made
    return y


def noted(y: Array) -> Made | Normalized | None:
    """What was kept of y."""
    scope = under_way.get()
    _, made = scope.origins.get(id(y), (y, None)) if scope else (y, None)
    return made if isinstance(made, Made | Normalized) else None


def cast(y: Array, dtype: DTypeLike) -> Array:
    """y in this dtype, of which the same is kept: what is then computed from that is cast in y's place."""
    return note(y.astype(dtype), noted(y))


def relu(x: Array) -> Array:
    """`max(x, 0)`"""
    made = noted(x)
    return note(jax.nn.relu(x), made and made._replace(rectified=True))
