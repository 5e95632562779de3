"""The order in which a compiled program takes the arrays of an optimizer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import jax

from lamina._arrays.arrays import Array
from lamina.optimizers.optimizer import Optimizer
from lamina.optimizers.variables import State, Variable, renamed


class Order:
    """The variables of an optimizer in the order in which a program takes their arrays.

    Args:
        names: the program's names of the weights.
        without: weights of which the program does not take the arrays.
    """

    def __init__(self, optimizer: Optimizer, names: dict[str, str], without: Collection[str] = ()) -> None:
        self.optimizer, self.names, self.without = optimizer, names, without
        self.known: tuple[Any, list[Variable]] = None, []
        """The latest slots of the optimizer, and its variables in this order."""

    def variables(self) -> list[Variable]:
        """Return the variables."""
        held = self.optimizer._lamina_variables
        if self.known[0] is None or held.get("slots") is not self.known[0]:  # sorting takes a twentieth of a small step
            self.known = held.get("slots"), in_order(renamed(held, self.names, self.without))
        return self.known[1]

    def named(self, arrays: Sequence[Array]) -> State:
        """Return arrays in this order as a tree with the names of the program."""
        tree = renamed(self.optimizer._lamina_variables, self.names, self.without)
        named: State = jax.tree.unflatten(jax.tree.structure(tree, is_leaf=_is_variable), arrays)
        return named


def in_order(tree: State) -> list[Any]:
    """Return the variables or arrays of a tree in the order of a program, which is that of JAX."""
    return jax.tree.leaves(tree, is_leaf=_is_variable)


def _is_variable(leaf: object) -> bool:
    return isinstance(leaf, Variable)
