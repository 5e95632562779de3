"""The protocol of cells, and several cells used as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp

from lamina._arrays.arrays import Array
from lamina._arrays.shapes import Shape
from lamina._layer.layer import Layer
from lamina._layer.layers_by_name import registry
from lamina._settings.arguments import Config
from lamina._settings.registry import Holder
from lamina._settings.settings import Converted, setting
from lamina.errors import ArgumentError


class CellLike(Protocol):
    """The methods of every cell, which is a layer or any other object."""

    @property
    def state_size(self) -> Any: ...

    def call(self, x: Any, states: Any, /) -> Any: ...


CellSetting: TypeAlias = Converted[CellLike | Sequence[CellLike] | Config, Any]
"""The given cell object with all its attributes, or a `StackedRNNCells` for a list."""


def cell_of(value: object) -> Any:
    """A cell: a layer or any object with `call(x, states)` and `state_size`; a list of cells is stacked."""
    if isinstance(value, dict):
        return registry.get(value)
    if isinstance(value, (list, tuple)):
        return StackedRNNCells(value)
    sizes = jax.tree.leaves(getattr(value, "state_size", None))
    known = sizes and all(hasattr(size, "__index__") for size in sizes)
    if isinstance(value, type) or not hasattr(value, "call") or not known:
        raise ArgumentError(
            f"expected a cell, which has call(x, states) and state_size, as LSTMCell(4) has; got {value!r}."
        )
    return value


def cells_of(value: object) -> list[Any]:
    if not isinstance(value, (list, tuple)) or not value:
        raise ArgumentError(f"expected a list of cells, as in [LSTMCell(4), LSTMCell(4)], got {value!r}.")
    return [cell_of(cell) for cell in value]


class StackedRNNCells(Holder, Layer):
    """Several cells used as one: each takes the output of the one before.

    >>> from lamina.layers import GRUCell
    >>> cell = StackedRNNCells([GRUCell(4), GRUCell(5)])
    >>> y, states = cell(jnp.ones((2, 3)), cell.get_initial_state(2))
    >>> y.shape
    (2, 5)

    Args:
        cells: the list of cells.
    """

    cells: Converted[Sequence[CellLike | Config], list[Any]] = setting(cells_of)

    @property
    def state_size(self) -> list[Any]:
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size: int | None = None) -> list[list[Array]]:
        """A list of states for each cell."""
        return [initial_states(cell, batch_size, self.compute_dtype) for cell in self.cells]

    def build(self, input_shape: Shape) -> None:
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
            input_shape = (input_shape[0], output_size(cell))

    def call(self, x: Array, states: Sequence[Any], training: bool = False) -> tuple[Array, list[Any]]:
        after = []
        for cell, state in zip(self.cells, states, strict=True):
            x, new = step_of(cell, training)(x, state)
            after.append(new)
        return x, after


def output_size(cell: CellLike) -> int:
    size = getattr(cell, "output_size", None) or cell.state_size
    return int(size[0] if isinstance(size, (list, tuple)) else size)


def initial_states(cell: CellLike, batch: int | None, dtype: str) -> list[Any]:
    """The states before the first step, always as a list."""
    if hasattr(cell, "get_initial_state"):
        states = cell.get_initial_state(batch_size=batch)
    else:
        sizes = cell.state_size if isinstance(cell.state_size, (list, tuple)) else [cell.state_size]
        states = [jnp.zeros((batch, size), dtype) for size in sizes]
    states = list(states) if isinstance(states, (list, tuple)) else [states]
    return jax.tree.map(lambda state: jnp.asarray(state, dtype), states)  # type: ignore[no-any-return]


def step_of(cell: CellLike | Layer, training: bool) -> Callable[[Any, Any], tuple[Array, Any]]:
    """`cell` as a function of x and states; `training` is passed on if its `call` has that parameter."""
    if not isinstance(cell, Layer):
        return cell.call
    return partial(cell, training=training) if "training" in cell._lamina_call_arguments else cell
