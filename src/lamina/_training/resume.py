"""Exact resume: the state of a run is saved while it runs, and restored when the same program is started again.

The resumed run gives the same results as one that was never killed, because the state holds everything that decides
the next steps: the arrays of the step, the seed, the place in the data, and the state of the callbacks. The order of
the rows and all random numbers depend only on the seed and the number of steps, so no data is saved, only the place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Protocol, Self

import jax
import numpy as np

from lamina._arrays import devices
from lamina._arrays.arrays import Array, as_array, on_host
from lamina._arrays.packing import pack, unpack
from lamina._layer.host import learned_of, needs_adapting, table_layer
from lamina._layer.keys import seed_of
from lamina._messages.tracebacks import warn
from lamina._training.differences import Description, describe, rate_text, require_same
from lamina._training.model import Model
from lamina._training.spec import TrainState
from lamina._training.stream_feed import Feed, StreamFeed
from lamina._training.trainer import Trainer, followed, trainer_for
from lamina.callbacks.callback_list import CallbackList
from lamina.callbacks.states import CallbackStates
from lamina.errors import FileError
from lamina.random import key_of

Logs = dict[str, Any]
KEPT = ("params", "state", "optimizers", "metrics", "key", "step")
"""The parts of a TrainState that are saved; the others belong to one call."""


class Saved(NamedTuple):
    """The state of a run: facts that JSON can hold, and arrays by name."""

    facts: dict[str, Any]
    arrays: dict[str, Any]
    name: str = ""
    """The names of the states are in the order of time: a later state sorts after an earlier one."""


class Store(Protocol):
    """Saves and reads the states of one run."""

    where: str
    every: int | Literal["epoch"] | None
    """The number of steps between two saved states; None saves only at an interruption and at the end."""

    def newest(self, ended: bool = True) -> Saved | None:
        """The newest state that can be read; `ended=False`: the newest from before the end of the run."""

    goes_on: bool
    """Whether a resumed run continues if its stream gives other batches than before."""
    deletes: bool
    """Whether the states are removed when the run has ended."""

    def write(self, saved: Saved, best: bool = False, last: bool = False) -> None:
        """Keep a state. It is written while the training goes on.

        A state that still waits to be written is replaced by the next one. Only a better state replaces the best one,
        and no state replaces the last one.
        """

    def improves(self, logs: Logs) -> bool:
        """Whether an epoch with these logs is the best one so far."""

    def close(self, ended: bool, failed: bool) -> None:
        """Wait until all states are written. Raise an error for a failed write, unless the run itself has failed."""


class Place(NamedTuple):
    """The progress of a run."""

    epoch: int
    """The current epoch, or the next one between epochs; counted from 0."""
    done: int = 0
    """The number of its steps that are done."""
    firsts: tuple[int, ...] = ()
    """The model's number of trained steps at the start of each epoch, the current one included."""
    logs: Logs = {}  # noqa: RUF012 - never changed
    stops: bool = False
    """Whether a callback has ended the training."""
    ended: bool = False

    @property
    def said(self) -> str:
        return f"step {self.done} of epoch {self.epoch + 1}" if self.done else f"the end of epoch {self.epoch}"


class Run:
    """One call of `fit`: it owns the progress and, with a store, the saved states. It lives for that call."""

    def __init__(
        self, store: Store | None, trainer: Trainer, feed: Feed, validation: Feed | None, callbacks: CallbackList,
        epochs: range, validates_after: Callable[[int], bool],
    ) -> None:  # fmt: skip
        self.store, self._trainer, self.model = store, trainer, trainer.model
        self.feed, self.validation, self.validates_after = feed, validation, validates_after
        self.callbacks = callbacks
        self.states, self.verbose = CallbackStates(callbacks), (callbacks.params or {}).get("verbose", 0)
        self.place, self.last = Place(epochs.start), epochs.stop
        self.saved: Saved | None = None
        self.names: list[str] = []
        """The names of the arrays of a state; empty before the first one."""
        self.description: Description = {}
        self.learned: dict[str, Any] | None = None
        """What a FeatureSpace at the start of the stack has learned; None without one."""
        if store is not None:
            self.learned = learned_of(trainer.model)
            self.description = describe(trainer, feed, validation)
            self._find(store)

    def _find(self, store: Store) -> None:
        """Find the state to resume from. If an ended run gets more epochs, that is the state from before its end."""
        self.saved = store.newest()
        name, job = self.saved.name if self.saved else "none", devices.job()
        if name != (first := job.agreed("state", name)):
            raise FileError(
                f"{store.where!r}: the newest state is {first} on rank 0 and {name} on rank {job.rank}. "
                "Checkpoints need a folder that all processes see."
            )
        if self.saved is None:
            return
        _check(self.saved, store.where, self.feed, self.last)
        rate = self.saved.arrays.get("optimizers/0/learning_rate")
        if rate is not None and rate_text(rate) == self.description.get("learning_rate"):
            # The same optimizer in the same process: callbacks have changed its learning rate.
            self.description["learning_rate"] = self.saved.facts["run"].get("learning_rate", "")
        require_same(self.saved.facts["run"], self.description, store.where)
        self.place = _place(self.saved)
        if self.place.ended and not self.place.stops and self.place.epoch < self.last:
            self.saved = store.newest(ended=False) or self.saved
            _check(self.saved, store.where, self.feed, self.last)
            self.place = _place(self.saved)._replace(ended=False)

    @property
    def trainer(self) -> Trainer:
        """The model's trainer; a new one after a callback has set another function for the learning rate."""
        if followed(self._trainer.optimizer) is not self._trainer.schedule:
            non_finite, self._trainer, self.names = self._trainer.non_finite, trainer_for(self.model), []
            self._trainer.non_finite = non_finite
        return self._trainer

    @property
    def key(self) -> tuple[int, int]:
        """The key that decides the order of the rows in the current epoch."""
        return seed_of(self.model), self.place.firsts[-1]

    @property
    def every(self) -> int | None:
        """The number of steps after which a call of a program ends, so that the state can be saved."""
        return self.store.every if self.store is not None and isinstance(self.store.every, int) else None

    @property
    def steps(self) -> int:
        """How many steps the run has made."""
        return self.model._lamina.steps_trained - self.place.firsts[0] if self.place.firsts else 0

    # What `fit` calls, in this order.

    def restore(self) -> bool:
        """Restore the state, before any callback is called. Returns whether the run had already ended."""
        if self.saved is not None:
            self.trainer.steps["train"].build_optimizers(self.trainer.held.taken(), self.feed.example())
            self._put_back(self.saved)
            if self.verbose:
                print(f"{'This run already ended at' if self.place.ended else 'Resuming at'} {self.place.said}.")
        return self.place.ended

    def start(self) -> range:
        """Called after `on_train_begin`. Returns the epochs to train."""
        if self.store is not None:
            self.states.begin()
        if self.saved is not None:
            self._put_back(self.saved)
        if (self.place.stops and not self.place.done) or self.place.epoch >= self.last:
            return range(0)
        if self.saved is not None:
            self._go_to_place(self.saved)
        return range(self.place.epoch, self.last)

    def begin(self, epoch: int) -> None:
        """Called after `on_epoch_begin`. In a resumed epoch that hook ran twice, so the state is restored again."""
        if self.store is not None:
            self.states.begin_epoch()
        if self.place.done and self.saved is not None:
            self._put_back(self.saved)
        else:
            before = self.place.firsts if self.store is not None else ()
            self.place = Place(epoch, firsts=(*before, self.model._lamina.steps_trained))
        self.saved = None

    def reach(self, done: int, logs: Logs) -> None:
        """Called after some steps. Records how many steps of the epoch are done."""
        self.place = self.place._replace(done=done, logs=logs)

    def end_epoch(self, logs: Logs) -> None:
        """Called after `on_epoch_end`. A later `fit` with more epochs resumes from the state of the last epoch."""
        self.place = self.place._replace(epoch=self.place.epoch + 1, done=0, logs=logs)
        if self.store is not None:
            best = self.store.improves(logs)
            last = self.model.stop_training or self.place.epoch >= self.last
            if best or self.store.every == "epoch" or (last and not self.store.deletes):
                self.write(self.take(), best, last)

    def end(self) -> None:
        """Called after `on_train_end`, when the model has its final state."""
        self.place = self.place._replace(ended=True)
        if self.store is not None and not self.store.deletes:
            self.write(self.take(), last=True)

    def keep(self) -> None:
        """Save the current state."""
        self.write(self.take())

    def take(self) -> Saved | None:
        """The current state, in arrays that no step overwrites."""
        if self.store is None:
            return None
        held = self.trainer.held
        state, place = held.taken(), self.place._replace(stops=self.model.stop_training)
        position = self.feed.position(place.done)
        plain, values = pack({"place": place._asdict(), "callbacks": self.states.taken(), "position": position})
        named = held.by_name(state)
        self.names = self.names or [name for name, _ in _named(named)]
        leaves = jax.tree.leaves([getattr(named, part) for part in KEPT])
        arrays = dict(zip(self.names, on_host(leaves), strict=True))
        arrays |= {f"values/{number}": np.array(array) for number, array in enumerate(values)}
        epoch = "" if place.done else f"-epoch-{place.epoch:06}"
        name = f"step-{int(np.asarray(state.step)):010}{epoch}{'-end' * place.ended}"
        facts = {"run": self.description, "learned": self.learned, "seed": seed_of(self.model)}
        return Saved(facts | plain, arrays, name)

    def write(self, saved: Saved | None, best: bool = False, last: bool = False) -> None:
        if self.store is not None and saved is not None and devices.job().rank == 0:
            self.store.write(saved, best, last)

    @contextmanager
    def kept_as_it_is(self) -> Iterator[None]:
        """If Ctrl-C or SIGTERM ends the block, save the state from before it."""
        before = self.take()
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            self.write(before)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        """Wait until all states are written, however the run ends."""
        if self.store is not None:
            self.store.close(ended=self.place.ended, failed=kind is not None)

    # Putting a state back.

    def _put_back(self, saved: Saved) -> None:
        held = self.trainer.held
        now = held.by_name(held.taken())
        kinds = {name: (array.shape, array.dtype) for name, array in _named(now)}
        saved = saved._replace(arrays={**_rests(self.trainer), **saved.arrays})
        found = {name: (a.shape, a.dtype) for name, a in saved.arrays.items() if not name.startswith("values/")}
        if other := sorted(name for name in {**kinds, **found} if kinds.get(name) != found.get(name)):
            raise FileError(f"the checkpoint has other arrays than this run: {', '.join(other[:4])}.")
        self.model._lamina.seed = saved.facts["seed"]
        held.key = key_of(saved.facts["seed"])
        leaves = iter([as_array(saved.arrays[name]) for name in kinds])
        parts = {part: jax.tree.map(lambda _: next(leaves), getattr(now, part)) for part in KEPT}
        held.put(held.in_order(now._replace(**parts)))
        self.states.put_back(_value(saved, "callbacks"))
        self.model.stop_training = _place(saved).stops

    def _go_to_place(self, saved: Saved) -> None:
        """Set the data to the place where the run was."""
        place, seed, position = self.place, saved.facts["seed"], _value(saved, "position")
        keys = [(seed, first) for first in place.firsts]
        over = keys[:-1] if place.done else keys
        validations = [key for epoch, key in enumerate(over, place.epoch - len(over)) if self.validates_after(epoch)]
        self._say_if_replayed(self.feed, position)
        if isinstance(self.feed, StreamFeed) and self.store is not None:
            self.feed.goes_on = self.store.goes_on
        self.feed.go_to(over, position)
        if isinstance(self.validation, StreamFeed) and self.validation.stream.once:
            self._say_if_replayed(self.validation, None)
            self.validation.go_to(validations)

    def _say_if_replayed(self, feed: Feed, position: object) -> None:
        if isinstance(feed, StreamFeed) and feed.replays(position):
            kind = type(feed.stream.source).__name__
            warn(f"a {kind} has no positions: its batches are read again up to {self.place.said}.")


def recall(model: Model, store: Store | None) -> None:
    """Restore what a FeatureSpace at the start of the stack had learned before the interruption."""
    if store is None or not needs_adapting(model) or (saved := store.newest()) is None:
        return
    try:
        table_layer(model)._lamina_recall(saved.facts["learned"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise FileError(f"{store.where}: it cannot be read what {model.layers[0].name!r} had learned.") from None


def _rests(trainer: Trainer) -> dict[str, Array]:
    """The rounding errors of the sums of metrics, which are 0. States that earlier versions saved do not have them."""
    return {
        f"metrics/{number}/{place}": state[place]
        for number, (metric, state) in enumerate(zip(trainer.metrics, trainer.held.starts, strict=True))
        for place in range(len(metric.variables), len(state))
    }


def _named(state: TrainState) -> Iterator[tuple[str, Any]]:
    """The arrays of a state that are kept, by names such as `params/stack.0.kernel`."""
    for part in KEPT:
        for path, leaf in jax.tree_util.tree_flatten_with_path(getattr(state, part))[0]:
            yield f"{part}/{jax.tree_util.keystr(path, simple=True, separator='/')}".rstrip("/"), leaf


def _check(saved: Saved, where: str, feed: Feed, last: int) -> None:
    """Raise an error for a file that is not a valid state, before anything is changed."""
    try:
        place, seed, states = _place(saved), saved.facts["seed"], _value(saved, "callbacks")
        _value(saved, "position")
        step, rate = saved.arrays["step"], saved.arrays.get("optimizers/0/learning_rate", np.float32(0))
        begun = place.epoch + bool(place.done) - len(place.firsts)
        counts = (place.epoch, place.done, *place.firsts)
        good = [
            type(seed) is int and 0 <= seed < 2**32,
            (step.shape, step.dtype) == ((), np.int32) and rate.shape == () and rate.dtype.kind == "f",
            all(type(number) is int and 0 <= number < 2**31 for number in counts),
            0 <= begun < max(last, 1) and place.done <= (2**31 if feed.steps is None else feed.steps),
            # A step with a loss that is not finite was undone: the run has passed it, but the model does not count it.
            [*place.firsts] == sorted(place.firsts) and (0, *place.firsts)[-1] + place.done <= int(step) + 1,
            isinstance(place.firsts, tuple) and (place.firsts or not place.done) and int(step) >= 0,
            isinstance(place.logs, dict) and all(map(_is_log, place.logs.items())),
            type(place.stops) is bool and type(place.ended) is bool,
            all(isinstance(each["class"], str) and isinstance(each["attributes"], dict) for each in states),
            all(isinstance(name, str) for each in states for name in each["attributes"]),
            all(isinstance(text, str) for item in saved.facts["run"].items() for text in item),
        ]
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        good = [False]
    if not all(good):
        raise FileError(f"the newest file in {where!r} is not a state of a run.")


def _is_log(item: tuple[object, object]) -> bool:
    """Whether an entry of the logs has a name, and a number if it is a loss."""
    name, value = item
    number = isinstance(value, (int, float, np.number)) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
    )
    return isinstance(name, str) and (number or "loss" not in name)


def _value(saved: Saved, name: str) -> Any:
    """A nested value of a state by its name: the place, the states of the callbacks, or the position in the data."""
    count = sum(name.startswith("values/") for name in saved.arrays)
    return unpack(saved.facts[name], [saved.arrays[f"values/{number}"] for number in range(count)])


def _place(saved: Saved) -> Place:
    return Place(**_value(saved, "place"))
