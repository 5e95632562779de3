"""The variables of an optimizer: a weight for each of its arrays, in nested dicts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeAlias

import jax

from lamina._arrays.arrays import Array
from lamina._arrays.nested import tree_map
from lamina._weights.weight import Weight, unflatten

if TYPE_CHECKING:
    from lamina.optimizers.state import Stateful

State: TypeAlias = dict[str, Any]
"""The arrays of an optimizer: `iteration`; `learning_rate`, unless a schedule gives it; `slots` by path and name; `own`
by name, for added variables that belong to no weight; `average` and `accumulator` by path, if they are used."""
Variables: TypeAlias = dict[str, Any]
"""The weights that hold these arrays, at the same places."""


class Variable(Weight):
    """The weight that holds one array of an optimizer. It does not refer to the optimizer, so both can be freed."""

    of_pass = True  # a step puts its arrays into the variables of a copy of the optimizer

    def __init__(self, optimizer: Stateful, place: tuple[str, ...], array: Array) -> None:
        part, *of = place
        if part == "own":
            name = of[0]
        else:
            last = of[1:] or ["gradient_accumulator" if part == "accumulator" else part]
            name = "_".join([*(path.replace("/", "_") for path in of[:1]), *last])
        blank = jax.ShapeDtypeStruct(array.shape, array.dtype)
        super().__init__(blank, name=name, path=f"{optimizer.name}/{name}", trainable=False, autocast=False)
        self.array, self.shown, self.home = array, False, optimizer._lamina.home
        self.of = "" if part == "own" or not of else of[0]
        """The path of the weight that the array belongs to, if there is one."""


jax.tree_util.register_pytree_node(Variable, lambda each: ((each.value,), each.name), unflatten)  # type: ignore[arg-type]


def twin_of(variable: Variable, _: str = "") -> Variable:
    """Return another variable with the same array, for a copy of the optimizer that no thread has trained with."""
    twin = object.__new__(Variable)
    vars(twin).update(vars(variable), home=None)
    return twin


def put(optimizer: Stateful, variables: Variables, arrays: State, *place: str) -> None:
    """Put arrays into the variables at their places, and add the variables that do not exist yet."""
    for key, array in arrays.items():
        if isinstance(array, dict):
            put(optimizer, variables.setdefault(key, {}), array, *place, key)
        elif key in variables:
            variables[key].array, variables[key].shown = array, False
        else:
            variables[key] = Variable(optimizer, (*place, key), array)


def arrays_of(variables: Variables) -> State:
    """Return the arrays of variables."""
    return {key: arrays_of(each) if isinstance(each, dict) else each.array for key, each in variables.items()}


def arrays_like(arrays: State, variables: Variables, names: dict[str, str]) -> State:
    """Return the arrays of the variables at the places of `arrays`, in which weights have other names."""
    found = {key: (array, variables[names.get(key, key)]) for key, array in arrays.items()}
    return {
        key: arrays_like(array, held, names) if isinstance(array, dict) else held.array
        for key, (array, held) in found.items()
    }


def renamed(tree: Any, names: dict[str, str], without: Collection[str] = ()) -> Any:
    """Copy the dicts of arrays or variables, with other names of the weights, and without the weights in `without`."""
    if not isinstance(tree, dict):
        return tree
    return {names.get(key, key): renamed(value, names, without) for key, value in tree.items() if key not in without}


def replace(optimizer: Stateful, change: Callable[[Variable, str], Variable]) -> None:
    """Put `change(variable, place)` in the place of each variable, in the optimizer's attributes as well."""
    state, changed = optimizer._lamina, dict[int, Variable]()

    def noted(variable: Variable, place: str) -> Variable:
        changed[id(variable)] = change(variable, place)
        return changed[id(variable)]

    def looked_up(leaf: object, place: str) -> object:
        return changed.get(id(leaf), leaf)

    before = state.variables  # keeps the variables alive, so that each has its own id
    state.variables = tree_map(noted, before)
    state.added = [changed[id(variable)] for variable in state.added]
    for attribute, value in vars(optimizer).items():
        if attribute != "_lamina":
            vars(optimizer)[attribute] = tree_map(looked_up, value)
