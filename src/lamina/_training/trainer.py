"""Runs compiled programs on a model's arrays: takes the arrays, runs chunks of data, gives the arrays back."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

import numpy as np

from lamina._arrays import devices
from lamina._layer.structure import Snapshot, weights_beside, weights_by_path
from lamina._programs import programs
from lamina._training import steps as train
from lamina._training.claims import states_of
from lamina._training.compilation import Compiled
from lamina._training.feeds import Chunk
from lamina._training.filling import takes_more_rows
from lamina._training.fingerprint import fingerprint
from lamina._training.held_arrays import HeldArrays, scalar
from lamina._training.model import Model, compiled_of
from lamina._training.non_finite import NonFinite
from lamina._training.own_steps import Arrays, Sums
from lamina._training.spec import ProgramSpec, TrainState
from lamina._training.steps import Steps
from lamina._training.stream_feed import Feed
from lamina._weights.turns import Reading, making, this_thread
from lamina.errors import ArgumentError
from lamina.metrics.exact import places, with_room
from lamina.optimizers.optimizer import Optimizer, extend


class Trainer:
    """Trains and evaluates one model, with one set of loss, optimizer, metrics and trainable layers.

    It owns the `ProgramSpec` and the `HeldArrays`. The model keeps it until a layer changes or `compile` is called.
    """

    def __init__(self, model: Model, compiled: Compiled) -> None:
        self.model, self.optimizer, self.eager = model, compiled.optimizer, compiled.eager
        _claim(self.optimizer, model)
        weights = weights_by_path(model).values()
        built = set(self.optimizer._lamina.weights)  # a custom step may have built it for weights beside the stack
        every = [*(weight for weight, _ in weights), *(w for w in weights_beside(model).values() if w in built)]
        extend(self.optimizer, [weight for weight, trained in weights if trained], every)
        self.spec = ProgramSpec(model, compiled)
        self.metrics = self.spec.measures
        self.placement = devices.current()
        self.growing = places(self.metrics)
        """The metrics whose arrays grow with the data: those that keep every score."""
        self.steps = {kind: train.step_of(self.spec, kind) for kind in ("train", "test")}
        """The computation of one batch, built-in or custom, in training and in evaluation."""
        self.schedule = followed(self.optimizer)
        self.held = HeldArrays(self.spec, self.steps["train"].optimizers())
        self.claims = [
            model._lamina,
            *self.held.weights,
            *states_of([order.optimizer for order in self.held.optimizers]),
        ]
        """The states that training changes. While this model trains, no other thread may train one of them."""
        known = (self.spec.key or fingerprint([model, compiled.loss, compiled.metrics])) is not None
        self.fills = {training: known and takes_more_rows(model, compiled, training) for training in (False, True)}
        """Whether a short batch may be filled with rows that do not count. User code may need the exact rows."""
        self.checked = False
        """Whether the trained weights were checked. That happens once, before the first step."""
        self.ready: dict[Hashable, Future[programs.Program]] = {}
        """The programs that are compiled, or that a thread compiles now, by the shapes of their arguments."""
        self.non_finite = NonFinite()

    def train(self, chunk: Chunk, sums: Sums | None = None) -> tuple[dict[str, Any], int | None]:
        """Train on a chunk. Returns the logs, and the step of the chunk at which the loss was not finite, or None.

        The metrics continue from `sums`; if it is None, from the values that they hold. The new arrays go back into
        the model, and the old ones are freed, while the program still computes. This hides the time for both. Another
        thread that reads the weights then waits for the program.
        """
        state = self._taken(sums)
        if self.steps["train"].build_optimizers(state, chunk):
            state = self._taken(sums)
        metrics = with_room(self.growing, state.metrics, chunk)
        state = state._replace(metrics=metrics)
        run, before = self._train_program(state, chunk).result().ready(), self.model._lamina.steps_trained
        with this_thread() as home:
            if home.read:
                state = self._taken(sums)._replace(metrics=metrics)
            after, logs = run(state[:3], state[3:], chunk.data, scalar(chunk.start), scalar(chunk.steps))
            del state
            self.held.hand_back(after)
        bad = int(np.asarray(after.bad))
        self.held.count(after)
        return self._named(logs), bad - before if bad >= 0 else None

    def _taken(self, sums: Sums | None) -> TrainState:
        if not self.checked:
            self.steps["train"].check()
            self.checked = True
        return self.held.taken(sums, goes_on=self.non_finite.does == "warn")

    def test(self, sums: Sums, chunk: Chunk, reading: Reading) -> tuple[Sums, dict[str, Any]]:
        """Evaluate a chunk. Returns the states of the metrics, which continue from `sums`, and the logs."""
        sums = with_room(self.growing, sums, chunk)
        program = self._test_program(sums, chunk).result()
        sums, carried, logs = program(*reading(), sums, chunk.data, scalar(chunk.start), scalar(chunk.steps))
        if carried:
            reading.put(carried)
        return sums, self._named(logs)

    def prepare(self, feed: Feed, validation: Feed | None) -> None:
        """Compile in background threads the programs that are needed later: the short last batch, and validation."""
        if self.steps["train"].ahead:
            for chunk in feed.examples()[1:]:
                self._train_program(self._taken(self.held.starts), chunk, ahead=True)
        if self.steps["test"].ahead and validation:
            for chunk in validation.examples():
                self._test_program(self.held.starts, chunk, ahead=True)

    def _named(self, logs: Arrays) -> dict[str, Any]:
        """The logs as Python floats, in the order of `compile`. A metric whose result is a vector stays an array."""
        host = {name: np.asarray(value) for name, value in logs.items()}
        first = [metric.name for metric in self.metrics if metric.name in host]
        ordered = {name: host[name] for name in first} | host
        return {name: array if array.ndim else float(array) for name, array in ordered.items()}

    def completed(self, logs: dict[str, Any], kind: str, sums: Sums | None = None) -> dict[str, Any]:
        """The logs at the end of an epoch, with the metrics that are computed only then.

        They are computed from `sums`; if it is None, from the states that the metrics hold.
        """
        return self.steps[kind].completed(logs, self.held.sums if sums is None else sums)

    def _train_program(self, state: TrainState, chunk: Chunk, ahead: bool = False) -> Future[programs.Program]:
        make = functools.partial(train.train, undoes=self.non_finite.undoes)
        return self._program("train", make, chunk, (state[:3], state[3:], chunk.data), (0,), ahead)

    def _test_program(self, sums: Sums, chunk: Chunk, ahead: bool = False) -> Future[programs.Program]:
        return self._program("test", train.evaluate, chunk, (*self.held.of_weights(), sums, chunk.data), (), ahead)

    def _program(
        self, kind: str, make: Callable[..., Steps], chunk: Chunk, arrays: Any, donate: tuple[int, ...], ahead: bool
    ) -> Future[programs.Program]:
        shapes = [(name, array.shape, array.dtype) for name, array in chunk.data.items()]
        sums = arrays[1][0] if kind == "train" else arrays[2]
        room = [sums[number][scores].shape for number, _, scores in self.growing]
        size = chunk.size, kind == "train" and self.non_finite.undoes
        place = (kind, *size, *shapes, *room, programs.alone.get())
        if place not in self.ready:
            key = self.spec.key and (kind, self.spec.key, *size)
            arguments = (*arrays, scalar(chunk.start), scalar(chunk.steps))
            self.ready[place] = programs.compiled(
                key, make(self.steps[kind], chunk.size), arguments, donate=donate, ahead=ahead, eager=self.eager,
                shardings=self._shardings(kind),
            )  # fmt: skip
        return self.ready[place]

    def _shardings(self, kind: str) -> devices.Shardings | None:
        """How a program takes and returns the arrays that `train` and `test` hand to it, on several devices."""
        if (placement := self.placement) is None:
            return None
        whole, data = placement.whole, (placement.batches, placement.whole, placement.whole)
        params, state, optimizers = self.held.shardings(placement)
        if kind == "test":
            return devices.Shardings((params, state, whole, *data), whole, whole)
        after = TrainState(params, state, optimizers, *[whole] * 5)  # type: ignore[arg-type]
        return devices.Shardings(((params, state, optimizers), whole, *data), (after, whole), whole)


def trainer_for(model: Model) -> Trainer:
    """The model's trainer for the layers that are trainable now and the present learning rate schedule.

    The model keeps one trainer for each combination of these, and makes all of them again after a layer has changed.
    """
    with making:
        kept: tuple[Snapshot, dict[Hashable, Trainer]] | None = model._lamina.kept.get("trainers")
        if kept is None or not kept[0].is_current():
            kept = model._lamina.kept["trainers"] = Snapshot(model), {}
        snapshot, trainers = kept
        compiled = compiled_of(model)
        pattern = snapshot.trained(), followed(compiled.optimizer)
        if pattern not in trainers:
            trainers[pattern] = Trainer(model, compiled)
        return trainers[pattern]


def followed(optimizer: Optimizer) -> Hashable:
    """The learning rate schedule, which is compiled into the program; None if the learning rate is a number."""
    return getattr(optimizer, "inner_optimizer", optimizer)._lamina.schedule


def _claim(optimizer: Optimizer, model: Model) -> None:
    """Assign the optimizer's arrays to this model alone."""
    state = optimizer._lamina
    if optimizer.built and state.owner is not None and not state.is_of(model._lamina):
        raise ArgumentError(
            f"this {type(optimizer).__name__} holds the moments of another model's weights. "
            "Give each model its own optimizer: compile(optimizers.Adam(...), ...)."
        )
    state.owner = weakref.ref(model._lamina)
