"""Lets other threads read the weights that one thread trains. They read the values at the end of a chunk of steps.

A program of `fit` overwrites the arrays that it gets. While these arrays are with a program, other threads wait. An
array that another thread has read is marked as `shown`, so that the next chunk overwrites a copy of it.

Each weight, and each state of an optimizer or a model, refers to the thread that trained it last as its `home`. It is
`busy` during that training. The home of a weight that was never trained is the thread that read it first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

making = threading.RLock()
"""Held while objects are made that all threads use: the weights of a stack, or a program."""
lock = threading.RLock()
"""Held only for moments: while a weight is read, or gets another thread or another array."""
_changed = threading.Condition(lock)


class Home:
    """A thread that trains weights. During a `with` block their arrays are with a program, and other threads wait."""

    def __init__(self) -> None:
        self.away, self.waiting, self.read = 0, 0, False
        """How many programs have the arrays, how many threads wait for them, and whether another one has read any."""

    def __enter__(self) -> Self:
        with lock:
            while self.waiting and not self.away:  # threads that wait for the last chunk read before the next one
                _changed.wait()
            self.away += 1
        return self

    def __exit__(self, *error: object) -> None:
        with lock:
            self.away -= 1
            if self.waiting:
                _changed.notify_all()


class _Thread(threading.local):
    def __init__(self) -> None:
        self.home = Home()


_thread = _Thread()


def this_thread() -> Home:
    """The `Home` of the thread that calls this function."""
    return _thread.home


_whole: ContextVar[Mapping[Hashable, Any]] = ContextVar("whole", default={})  # noqa: B039 - never changed
"""The arrays that a `whole` block has fixed, by the identity of their weights."""


def busy_elsewhere(things: Collection[Any]) -> Any:
    """The first of these objects that another thread trains now; None if there is none."""
    here = this_thread()
    return next((thing for thing in things if thing.busy and thing.home is not here), None)


def settle(things: Collection[Any]) -> list[Any]:
    """Wait, with `lock` held, until no other thread's program has the arrays. Returns the objects of other threads."""
    here = this_thread()
    while others := [thing for thing in things if thing.home is not here and thing.home is not None]:
        home = next((each.home for each in others if each.home.away), None)
        if home is None or here.away:  # two programs would wait for each other without end
            break
        home.waiting += 1
        try:
            _changed.wait()
        finally:
            home.waiting -= 1
            _changed.notify_all()
    for each in others:
        each.home.read = True
    return others


def latest(weights: Sequence[Any]) -> list[Any]:
    """The arrays of weights, all from the end of one chunk. A thread that trains them then overwrites copies."""
    with lock:
        _take_in(weights)
        if not (seen := _whole.get()):
            for weight in settle(weights):
                weight.shown = True
            return [weight.array for weight in weights]
        for weight in settle([weight for weight in weights if weight._lamina_place not in seen]):
            weight.shown = True
        return [seen.get(weight._lamina_place, weight.array) for weight in weights]


def _take_in(weights: Sequence[Any]) -> None:
    here = this_thread()
    for weight in weights:
        if weight.home is None and not weight.of_pass:
            weight.home = here


@contextmanager
def whole(weights: Sequence[Any]) -> Iterator[None]:
    """All reads of these weights in the block return the arrays that they had when it began."""
    before = _whole.set(dict(zip([weight._lamina_place for weight in weights], latest(weights), strict=True)))
    try:
        yield
    finally:
        _whole.reset(before)


class Reading:
    """Reads the arrays of weights for a call such as `evaluate`, which may run while another thread trains them.

    Args:
        trained, fixed: weights by name.
    """

    def __init__(self, trained: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        self.groups = trained, fixed
        self.weights = (*trained.values(), *fixed.values())
        self.arrays: list[dict[str, Any]] = []

    def __call__(self) -> list[dict[str, Any]]:
        """The present arrays, by name. If another thread trains the weights, the arrays of the first read are used."""
        here = this_thread()
        with lock:
            _take_in(self.weights)
            own = {weight.home for weight in self.weights} <= {here}
            if not (own or self.arrays):
                latest(self.weights)
            if own or not self.arrays:
                self.arrays = [{name: weight.array for name, weight in group.items()} for group in self.groups]
        return self.arrays

    def put(self, arrays: Mapping[str, Any]) -> None:
        """Use these results of a program for `fixed`. The weights get them too, unless another thread trains them."""
        with lock:
            self.arrays = [self.arrays[0], {**self.arrays[1], **arrays}]
            for name, array in arrays.items():
                weight = self.groups[1][name]
                if weight.home is this_thread():
                    weight.array, weight.shown = array, False


@contextmanager
def trained(things: Collection[Any], error: Callable[[Any], Exception]) -> Iterator[list[Any]]:
    """Reserve these objects for training in this thread. Yields those that another thread may have used before.

    Args:
        error: makes the error for an object that another thread trains now.
    """
    here = this_thread()
    with lock:
        if (other := busy_elsewhere(things)) is not None:
            raise error(other)
        begun = [thing for thing in things if not thing.busy]
        moved = [thing for thing in begun if thing.home not in (None, here)]
        for thing in begun:
            thing.home, thing.busy = here, True
    try:
        yield moved
    finally:
        for thing in begun:
            thing.busy = False
