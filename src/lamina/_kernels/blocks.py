"""Records of how arrays were made, so that one kernel can compute several layers.

While a pass is traced, some layers record how they made their output. A later layer can use the record to compute both
layers at once. Then nothing reads the array in between, and XLA omits it.
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
    """`again(map)` is the result of the convolution that made an array, with `map` applied to its operands."""

    again: Callable[[Callable[..., Any]], Any]
    rectified: bool = False

    def rescaled(self, factor: Array, shift: Array) -> Made:
        """The record for `y * factor + shift`, where y is the convolution; both have one element for each filter."""

        def with_rescaled(by: Callable[..., Any], x: Array, kernel: Array, bias: Array | None, *others: Any) -> Any:
            return by(x, kernel * factor, shift if bias is None else bias * factor + shift, *others)

        return Made(lambda by: self.again(partial(with_rescaled, by)))


class Normalized(NamedTuple):
    """The inputs of a batch normalization along the last axis that made an array; see `normalization.normalize`."""

    x: Array
    gamma: Array
    beta: Array
    mean: Array
    variance: Array
    rows: Array | None
    epsilon: float
    rectified: bool = False


def note(y: Array, made: Made | Normalized | None) -> Array:
    """Records how y was made, and returns y. Outside of a trace nothing is recorded: no operation could be omitted."""
    scope = under_way.get()
    if scope and made and isinstance(y, jax.core.Tracer):
        scope.origins[id(y)] = y, made
    return y


def noted(y: Array) -> Made | Normalized | None:
    """The record about y, if there is one."""
    scope = under_way.get()
    _, made = scope.origins.get(id(y), (y, None)) if scope else (y, None)
    return made if isinstance(made, Made | Normalized) else None


def cast(y: Array, dtype: DTypeLike) -> Array:
    """y in this dtype, with the same record. A layer that uses the record casts its result to this dtype."""
    return note(y.astype(dtype), noted(y))


def relu(x: Array) -> Array:
    """`max(x, 0)`"""
    made = noted(x)
    return note(jax.nn.relu(x), made and made._replace(rectified=True))
