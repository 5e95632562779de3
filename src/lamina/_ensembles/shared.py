"""Shares programs among models that differ in numbers: dropout rates, factors of regularizers, momenta, seeds.

Usually such numbers are constants in the programs of a model. Here the numbers in which models differ are arguments.
A program is traced with a `Number` in place of each one (`_kernels/numbers.py`). If the trace compares a `Number`, such
as `rate > 0`, the program serves only models with the same result. So a dropout rate of 0 needs another program.
Numbers in the user's own classes stay constants.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax

from lamina._arrays.nested import children
from lamina._kernels.numbers import Readings
from lamina._programs import programs
from lamina._programs.programs import Program
from lamina._settings.origin import of_library
from lamina._settings.settings import Configured
from lamina._training.model import compiled_of
from lamina._training.trainer import trainer_for
from lamina._weights.weight import Weight
from lamina.models.sequential import Sequential

Place = tuple[Hashable, ...]
"""The path of attributes to a number."""


class Held(NamedTuple):
    """A number, and the attribute that holds it."""

    owner: object
    name: str
    value: float

    @property
    def printed(self) -> tuple[str, object]:
        """The text of the number in the key of a program."""
        return self.name, (type(self.value), str(self.value) if isinstance(self.value, float) else self.value)


class SharedPrograms:
    """The programs of `models`, which may be trained in several threads."""

    def __init__(self, models: Sequence[Sequential]) -> None:
        self.models = models
        kinds: dict[frozenset[Place], list[dict[Place, Held]]] = defaultdict(list)
        for model in models:
            found = _numbers_of(model, compiled_of(model).optimizer)
            kinds[frozenset(found)].append(found)
        self.places = {
            kind: [place for place in kind if len({each[place].value for each in held}) > 1]
            for kind, held in kinds.items()
        }
        """For models that have numbers at the same places, those of them at which they differ."""
        self.known: dict[Hashable, list[tuple[Readings, Program]]] = defaultdict(list)
        self.lock = threading.RLock()

    @contextmanager
    def used_by(self, model: Sequential) -> Iterator[None]:
        """Use the shared programs for `model` in this thread, during the block."""

        def make(
            key: Hashable, function: Callable[..., Any], arguments: tuple[Any, ...], *,
            donate: tuple[int, ...] = (), ahead: bool = False,
        ) -> Future[Program]:  # fmt: skip
            token = programs.instead.set(None)
            try:
                return self._program(model, key, function, arguments, donate, ahead)
            finally:
                programs.instead.reset(token)

        token = programs.instead.set(make)
        try:
            yield
        finally:
            programs.instead.reset(token)

    def _program(
        self, model: Sequential, key: Hashable, function: Callable[..., Any], arguments: tuple[Any, ...],
        donate: tuple[int, ...], ahead: bool,
    ) -> Future[Program]:  # fmt: skip
        found = _numbers_of(model, trainer_for(model).spec.optimizer)
        held = [found[place] for place in self.places.get(frozenset(found), ())]
        without = _without({number.printed for number in held}, key)
        if not held or (key is not None and without == key):
            return programs.compiled(key, function, arguments, donate=donate, ahead=ahead)
        values = [number.value for number in held]
        leaves, tree = jax.tree.flatten(arguments)
        shapes = tree, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves)
        with self.lock:
            known = self.known[without, shapes] if key is not None else []
            for readings, program in known:
                if readings.hold_for(values):
                    theirs = readings.weights_for(values)
                    return _done(program._replace(outside=tuple(theirs.get(each, each) for each in program.outside)))
            readings = Readings(values)
            try:
                with _standing_in(held, readings):
                    program = programs.compiled(None, function, arguments, donate=donate).result()
            except Exception:  # something that takes a number only: these models share no program with others
                return programs.compiled(key, function, arguments, donate=donate)
            known.append((readings, program))
            return _done(program)


def _numbers_of(model: Sequential, optimizer: object) -> dict[Place, Held]:
    """The numbers that a model's programs may read."""
    compiled = compiled_of(model)
    return dict(_numbers([model, compiled.loss, optimizer], (), set()))


def _numbers(value: object, place: Place, seen: set[int]) -> Iterator[tuple[Place, Held]]:
    if id(value) in seen:
        return
    items = children(value)
    if isinstance(value, Weight):
        items = [("regularizer", value.regularizer), ("constraint", value.constraint)]
    if isinstance(value, Configured):
        seen.add(id(value))
        items = value._lamina.compiled_in()
        for name, item in vars(value).items():
            if of_library(type(value)) and (type(item) is float or (name == "seed" and type(item) is int)):
                yield (*place, name), Held(value, name, item)
            elif name != "_lamina":
                items.append((name, item))
    for name, item in items or ():
        yield from _numbers(item, (*place, name), seen)


def _without(numbers: set[tuple[str, object]], key: Hashable) -> Hashable:
    """The key of a program, with the names of these numbers instead of their values."""
    if not isinstance(key, tuple):
        return key
    if len(key) == 2 and isinstance(key[0], str) and key in numbers:
        return key[0]
    return tuple([_without(numbers, part) for part in key])


@contextmanager
def _standing_in(held: list[Held], readings: Readings) -> Iterator[None]:
    """Replace each number by a `Number` during the block."""
    try:
        for each, number in zip(held, readings.numbers(), strict=True):
            vars(each.owner)[each.name] = number
        yield
    finally:
        for each in held:
            vars(each.owner)[each.name] = each.value


def _done(program: Program) -> Future[Program]:
    future: Future[Program] = Future()
    future.set_result(program)
    return future
