"""The order in which a compiled program takes the arrays of an optimizer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import jax
from jax.tree_util import PyTreeDef

from lamina._arrays.arrays import Array
from lamina.optimizers.state import State, Stateful, renamed


class Order:
    """The order in which a program takes an optimizer's arrays; `names` are the program's names of the weights.

    Args:
        without: weights of which the program does not take the arrays.
    """

    inside: PyTreeDef
    """The tree of the arrays that the program takes."""
    places: list[int]
    """The positions of these arrays among all arrays."""

    def __init__(self, arrays: State, names: dict[str, str], without: Collection[str]) -> None:
        leaves, outside = jax.tree.flatten(arrays)
        numbers = jax.tree.unflatten(outside, range(len(leaves)))
        self.places, self.inside = jax.tree.flatten(renamed(numbers, names, without))
        self.known: tuple[State, list[tuple[State, str]]] = {}, []
        """The latest tree, and for each array of the program the dict that holds it and its key."""

    def taken(self, optimizer: Stateful) -> list[Array]:
        """Return the arrays for the program."""
        arrays = optimizer._lamina_arrays or {}
        return [held[key] for held, key in self._spots(arrays)]

    def put_back(self, optimizer: Stateful, after: Sequence[Array]) -> None:
        """Store the arrays that the program returned in the optimizer; the others are kept."""
        for (held, key), array in zip(self._spots(optimizer._lamina.arrays), after, strict=True):
            held[key] = array

    def named(self, arrays: Sequence[Array]) -> State:
        """Return the program's arrays as a tree with names."""
        tree: State = self.inside.unflatten(arrays)
        return tree

    def listed(self, tree: State) -> list[Array]:
        """Return the arrays of a tree that `named` made."""
        arrays: list[Array] = self.inside.flatten_up_to(tree)
        return arrays

    def _spots(self, arrays: State) -> list[tuple[State, str]]:
        # Flattening and rebuilding the tree takes a twentieth of a step of a small deep stack.
        if arrays is not self.known[0]:
            spots = list(_spots(arrays))
            self.known = arrays, [spots[place] for place in self.places]
        return self.known[1]


class AsItIs:
    """The tree of an optimizer's arrays for custom steps; it has the methods of `Order`."""

    def taken(self, optimizer: Stateful) -> State | None:
        return optimizer._lamina_arrays

    def put_back(self, optimizer: Stateful, after: State | None) -> None:
        optimizer._lamina_arrays = after

    def named(self, arrays: State) -> State:
        return arrays

    def listed(self, tree: State) -> State:
        return tree


def _spots(tree: State) -> Iterator[tuple[State, str]]:
    """Return each array's dict and key, in the order in which JAX flattens a tree."""
    for key in sorted(tree):
        if isinstance(tree[key], dict):
            yield from _spots(tree[key])
        else:
            yield tree, key
