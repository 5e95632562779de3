"""The order in which a compiled program takes the arrays of an optimizer."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import jax
from jax.tree_util import PyTreeDef

from lamina._arrays.arrays import Array
from lamina.optimizers.state import State, renamed


class Order:
    """The order in which a program, which calls the weights by other `names`, takes an optimizer's arrays.

    Args:
        without: weights whose arrays the program does not take.
    """

    inside: PyTreeDef
    """The tree of the arrays that the program takes."""
    places: list[int]
    """Where these stand among all."""

    def __init__(self, arrays: State, names: dict[str, str], without: Collection[str]) -> None:
        leaves, outside = jax.tree.flatten(arrays)
        numbers = jax.tree.unflatten(outside, range(len(leaves)))
        self.places, self.inside = jax.tree.flatten(renamed(numbers, names, without))
        self.known: tuple[State, list[tuple[State, str]]] = {}, []
        """The latest tree, and for each of the program's arrays the dict in it that holds it, and the key."""

    def taken(self, arrays: State) -> list[Array]:
        """The arrays for the program."""
        return [held[key] for held, key in self._spots(arrays)]

    def put_back(self, arrays: State, after: Sequence[Array]) -> None:
        """Let `arrays` hold those of the program after its steps; the others stay."""
        for (held, key), array in zip(self._spots(arrays), after, strict=True):
            held[key] = array

    def _spots(self, arrays: State) -> list[tuple[State, str]]:
        # To take a tree apart and to make one anew takes a twentieth of the step of a small deep stack.
        if arrays is not self.known[0]:
            spots = list(_spots(arrays))
            self.known = arrays, [spots[place] for place in self.places]
        return self.known[1]


def _spots(tree: State) -> Iterator[tuple[State, str]]:
    """Each array's dict and key, in the order in which JAX takes a tree apart."""
    for key in sorted(tree):
        if isinstance(tree[key], dict):
            yield from _spots(tree[key])
        else:
            yield tree, key
