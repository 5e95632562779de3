"""Walks over nested lists, tuples and dicts, which layers and metrics have in their attributes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any


def children(value: object) -> list[tuple[Any, Any]] | None:
    """The items of a list, tuple or dict, each with its index or key; None for anything else, which is a leaf.

    >>> children({"a": 1}), children((2, 3)), children("text")
    ([('a', 1)], [(0, 2), (1, 3)], None)
    """
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, (list, tuple)) else None


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every leaf, with the path of keys and indices that leads to it.

    >>> list(leaves({"a": [1, 2]}, "x"))
    [('x.a.0', 1), ('x.a.1', 2)]
    """
    items = children(value)
    if items is None:
        yield path, value
    else:
        for key, item in items:
            yield from leaves(item, f"{path}.{key}")


def tree_map(
    function: Callable[[Any, str], object], value: Any, path: str = "", is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """The same structure with `function(leaf, path)` in place of each leaf; containers keep their types.

    >>> tree_map(lambda leaf, path: leaf + 1, {"a": (1, [2])})
    {'a': (2, [3])}

    Args:
        is_leaf: whether a list, tuple or dict is a leaf.
    """
    items = None if is_leaf is not None and is_leaf(value) else children(value)
    if items is None:
        return function(value, path)
    mapped = {key: tree_map(function, item, f"{path}.{key}", is_leaf) for key, item in items}
    if isinstance(value, tuple):
        named = hasattr(value, "_fields")  # a namedtuple takes its items one by one
        return type(value)(*mapped.values()) if named else type(value)(mapped.values())
    twin = copy.copy(value)  # keeps the attributes of a subclass, such as the factory of a defaultdict
    if isinstance(value, dict):
        twin.update(mapped)
    else:
        twin[:] = mapped.values()
    return twin
