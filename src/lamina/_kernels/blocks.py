"""How arrays were made, passed from layer to layer while a pass is traced, to compute several layers in one kernel.

A layer that makes an array records how. A later layer can then compute both steps at once. Nothing reads the array in
between, so XLA omits it.
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
    """Returns y and records this about it. When operations run one by one nothing is recorded, as none is omitted."""
    scope = under_way.get()
    if scope and made and isinstance(y, jax.core.Tracer):
        scope.origins[id(y)] = y, made
    return y


def noted(y: Array) -> Made | Normalized | None:
    """What was recorded about y."""
    scope = under_way.get()
    _, made = scope.origins.get(id(y), (y, None)) if scope else (y, None)
    return made if isinstance(made, Made | Normalized) else None


def cast(y: Array, dtype: DTypeLike) -> Array:
    """y in this dtype, with the same record. What is later computed from the record is cast instead of y."""
    return note(y.astype(dtype), noted(y))


def relu(x: Array) -> Array:
    """`max(x, 0)`"""
    made = noted(x)
    return note(jax.nn.relu(x), made and made._replace(rectified=True))
