"""Functions of nested structures: lists, tuples, named tuples and dicts, to any depth. Other values are leaves.

None is a leaf. A dict's leaves are in the order of its sorted keys; an OrderedDict's leaves keep its order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina._weights.weight import Weight
from lamina.errors import ArgumentError

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip

LEAF: Any = jax.tree.structure(0)
DIFFERENT = "the structures are not the same: {} and {}"


class MAP_TO_NONE:
    """A function given to `traverse` returns this to replace a part by None."""


def _is_leaf(x: object) -> bool:
    return x is None or isinstance(x, Weight)  # JAX would look inside both


def _structure(x: object) -> Any:
    return jax.tree.structure(x, is_leaf=_is_leaf)


def is_nested(structure: object) -> bool:
    """Whether the object is a list, tuple or dict; it may be empty.

    >>> is_nested([]), is_nested("text"), is_nested(None)
    (True, False, False)
    """
    return bool(_structure(structure) != LEAF)


def flatten(structure: object) -> list[Any]:
    """Returns the leaves in a list.

    >>> flatten({"b": [1, None], "a": (2,)})
    [2, 1, None]
    """
    return jax.tree.leaves(structure, is_leaf=_is_leaf)


def flatten_with_path(structure: object) -> list[tuple[tuple[Any, ...], Any]]:
    """Returns the leaves, each with the keys and indices that lead to it.

    >>> flatten_with_path({"a": [1, 2]})
    [(('a', 0), 1), (('a', 1), 2)]
    """
    found = jax.tree.leaves_with_path(structure, is_leaf=_is_leaf)
    return [(tuple(_keys(path, structure)), leaf) for path, leaf in found]


def _keys(path: Iterable[Any], part: Any) -> Iterator[Any]:
    """The keys and indices of a path. For a named tuple, JAX uses names in place of indices."""
    for step in path:
        if hasattr(step, "name"):
            yield part._fields.index(step.name)
            part = getattr(part, step.name)
        else:
            yield (key := step.key if hasattr(step, "key") else step.idx)
            part = part[key]


@user_facing
def map_structure(func: Callable[..., Any], *structures: object, none_is_leaf: bool = True) -> Any:
    """The same structure with each leaf replaced by `func(leaf, ...)`, of one structure or several equal ones.

    >>> map_structure(lambda a, b: a + b, [1, {"x": 2}], [10, {"x": 20}])
    [11, {'x': 22}]

    Args:
        none_is_leaf: whether func is also applied to None; if False, None stays None.
    """
    if not structures:
        raise ArgumentError("map_structure takes at least one structure.")
    for other in structures[1:]:
        assert_same_structure(structures[0], other)

    def mapped(*leaves: object) -> Any:
        return None if leaves[0] is None and not none_is_leaf else func(*leaves)

    return jax.tree.map(mapped, *structures, is_leaf=_is_leaf)


@user_facing
def map_structure_up_to(shallow_structure: object, func: Callable[..., Any], *structures: object) -> Any:
    """Like `map_structure`, but func receives the parts of `structures` at the leaves of `shallow_structure`.

    >>> map_structure_up_to([0, 0], len, [(1, 2), (3,)])
    [2, 1]
    """
    if not structures:
        raise ArgumentError("map_structure_up_to takes at least one structure.")
    return jax.tree.map(lambda _, *parts: func(*parts), shallow_structure, *structures, is_leaf=_is_leaf)


@user_facing
def assert_same_structure(a: object, b: object, check_types: bool | None = None) -> None:
    """Raise an error unless both structures have the same containers with the same keys.

    Args:
        check_types: accepted as in Keras; it has no effect.
    """
    first, second = _structure(a), _structure(b)
    if first != second:
        raise ArgumentError(DIFFERENT.format(first, second))


@user_facing
def assert_same_paths(a: object, b: object) -> None:
    """Raise an error unless the same keys and indices lead to the leaves of both; lists and tuples count as equal."""
    first, second = ({path for path, _ in flatten_with_path(each)} for each in (a, b))
    if first != second:
        raise ArgumentError(DIFFERENT.format(sorted(first - second, key=repr), sorted(second - first, key=repr)))


@user_facing
def pack_sequence_as(structure: object, flat_sequence: Iterable[object]) -> Any:
    """The same structure with other leaves, given in the order of `flatten`.

    >>> pack_sequence_as({"b": 0, "a": [0, 0]}, [1, 2, 3])
    {'a': [1, 2], 'b': 3}
    """
    shape, leaves = _structure(structure), list(flat_sequence)
    if len(leaves) != shape.num_leaves:
        raise ArgumentError(f"the structure has {shape.num_leaves} leaves, and the sequence has {len(leaves)}.")
    return jax.tree.unflatten(shape, leaves)


@user_facing
def traverse(func: Callable[[Any], object], structure: object, top_down: bool = True) -> Any:
    """The structure with each part, also a container, replaced by `func(part)`, unless that is None.

    Args:
        top_down: whether func sees a container before its parts; a replaced container's parts are skipped. If False,
            the parts come first.
    """

    def within() -> Any:
        parts, shape = jax.tree.flatten(structure, is_leaf=lambda x: x is not structure or _is_leaf(x))
        if shape == LEAF:
            return structure
        return jax.tree.unflatten(shape, [traverse(func, part, top_down) for part in parts])

    whole = structure if top_down else within()
    found = func(whole)
    if found is None:
        return within() if top_down else whole
    return None if found is MAP_TO_NONE else found


def lists_to_tuples(structure: object) -> Any:
    """The structure with lists replaced by tuples.

    >>> lists_to_tuples([1, {"a": [2, 3]}])
    (1, {'a': (2, 3)})
    """
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, top_down=False)


@user_facing
def map_shape_structure(func: Callable[[Any], object], structure: object) -> Any:
    """The structure with each shape, a tuple or a list of sizes, replaced by `func(shape)`.

    >>> map_shape_structure(len, {"x": (None, 3)})
    {'x': 2}
    """

    def is_shape(x: object) -> bool:
        return isinstance(x, (list, tuple)) and all(isinstance(size, (int, type(None))) for size in x)

    return jax.tree.map(func, structure, is_leaf=lambda x: _is_leaf(x) or is_shape(x))


public(__name__, __all__)
