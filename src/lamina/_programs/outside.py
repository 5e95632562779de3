"""The scope around a compiled program, for weights that user code reads and that do not belong to the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax

from lamina._arrays.arrays import Array
from lamina._weights.weight import Weight, under_way
from lamina.errors import ArgumentError, FixedError


class Outside:
    """Weights of other models become arguments of the program; `found` lists them in the order of their first read."""

    calls = 0
    rows = None

    def __init__(self, found: list[Weight], arrays: Sequence[Array]) -> None:
        self.found, self.arrays = found, dict(zip(found, arrays, strict=True))
        self.origins: dict[int, tuple[Array, Any]] = {}

    @property
    def key(self) -> Array | None:
        """Raise an error: code outside of the layers, the loss and the metrics has no random key of the step."""
        raise ArgumentError(
            "an optimizer, a schedule or a constraint would draw the same numbers in each step: give it a key of the "
            "step as seed=, such as jax.random.fold_in(jax.random.PRNGKey(1), step)."
        )

    @property
    def draws(self) -> Any:
        """Raise the same error as `key`."""
        return self.key

    def read(self, weight: Weight) -> Array:
        if weight not in self.arrays and not isinstance(weight.array, jax.core.Tracer):
            self.found.append(weight)
            self.arrays[weight] = weight.array
        array: Array = self.arrays.get(weight, weight.array)
        return array

    def write(self, weight: Weight, value: object) -> None:
        raise FixedError(
            f"{weight.path} is assigned to in a compiled step, and belongs to no layer of the model. Keep the layer or "
            "metric that holds it as an attribute of one of the model's layers, or assign to it in a callback."
        )


def within(found: list[Weight], function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function whose first argument is the arrays of the weights in `found`, followed by those of `function`."""

    def run(arrays: Sequence[Array], *arguments: object) -> Any:
        before = under_way.set(Outside(found, arrays))
        try:
            return function(*arguments)
        finally:
            under_way.reset(before)

    return run
