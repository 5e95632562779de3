"""Calls the hooks of callbacks, which take their logs by position or by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_ways: WeakKeyDictionary[Any, dict[str, bool | None]] = WeakKeyDictionary()
"""For functions that were called before, by the name of the hook, whether they take the logs by name."""


def tell(callback: Any, hook: str, *where: Any, logs: dict[str, Any] | None) -> None:
    """Call a hook with its logs."""
    called = getattr(callback, hook)
    if logs_by_name(called, hook, len(where)):
        called(*where, logs=logs)
    else:
        called(*where, logs)


def logs_by_name(called: Callable[..., Any], hook: str, count: int) -> bool | None:
    """Whether a hook gets the logs by name, after `count` other arguments; None for a hook that takes no logs.

    If both ways are possible, hooks of batches get the logs by name and others by position, as in Keras.
    """
    function = getattr(called, "__func__", called)
    try:
        known = _ways.setdefault(function, {})
    except TypeError:  # what can have no weak reference
        known = {}
    if hook not in known:
        known[hook] = _way(called, "batch" in hook, count)
    return known[hook]


def _way(called: Callable[..., Any], name_first: bool, count: int) -> bool | None:
    try:
        signature = inspect.signature(called)
    except ValueError:  # a function in C, which does not tell
        return False
    for by_name in (name_first, not name_first):
        try:
            signature.bind(*range(count), *() if by_name else (None,), **{"logs": None} if by_name else {})
        except TypeError:
            continue
        return by_name
    return None
