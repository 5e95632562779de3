"""Trains several models of one stack together: each as `fit` would train it alone, with callbacks of its own."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lamina._data.arrays import HostArray
from lamina._data.source import Table
from lamina._ensembles import together
from lamina._kernels.native import portable
from lamina._layer.forward import seed_of
from lamina._training import programs
from lamina._training.feeds import ChunkLength, cut, on_device, order_of
from lamina._training.interrupt import Interrupt, interruptible
from lamina._training.model import Model
from lamina._training.non_finite import NonFinite
from lamina._training.request import DataRequest, RunPlan
from lamina._training.steps import TrainState
from lamina._training.trainer import GOOD, trainer_for
from lamina.callbacks import History
from lamina.callbacks.callback_list import CallbackList, handles_nan, wants_each_batch
from lamina.callbacks.monitor import require_known
from lamina.errors import ArgumentError, StackError

Logs = dict[str, Any]


class Job(NamedTuple):
    """What the models are trained on."""

    table: Table
    rows: Sequence[HostArray]
    """For each model the rows of the table that it is trained on, equally many."""
    validation: Table | None
    data: DataRequest
    plan: RunPlan


class Group:
    """Models of one stack with what holds them together while they are trained."""

    def __init__(self, models: Sequence[Model], job: Job) -> None:
        self.models, self.job, self.count = models, job, len(models)
        self.trainers = [trainer_for(model) for model in models]
        first = self.trainers[0]
        if first.own or first.model._lamina_own_steps:
            raise StackError("a train_step of one's own works on one model at a time: train the models one by one.")
        if first.spec.carried:
            raise StackError("a stateful recurrent layer keeps a state of one model: train the models one by one.")
        self.spec, self.ready = first.spec, dict[Any, Any]()
        self.batches = cut(len(job.rows[0]), job.data.batch_size or 32, first.fills[True])
        self.data = on_device(job.table, job.table.rows)
        self.active = [True] * self.count
        """Which models are still trained; the others go on in the program, but keep the weights that they had."""
        steps = self.batches.full + (self.batches.tail > 0)
        plan = job.plan
        self.callbacks = [
            CallbackList(
                copy.deepcopy(plan.callbacks), add_history=True, model=model, verbose=0, epochs=plan.epochs, steps=steps
            )
            for model in models
        ]
        if any(wants_each_batch(each, of) for each in self.callbacks for of in ("train", "test")):
            raise ArgumentError("callbacks with a method for each batch work on one model at a time: leave them out.")
        self.alone = all(type(each) is History for each in self.callbacks[0])
        """Whether nobody looks at the weights between two epochs."""
        self.shown = CallbackList(
            [], add_progbar=plan.verbose != 0, model=models[0], verbose=plan.verbose, epochs=plan.epochs, steps=steps
        )
        self.state: TrainState | None = None
        self.trained = [model._lamina.steps_trained for model in models]

    def open(self) -> TrainState:
        """What all models hold, with metrics that have seen nothing."""
        states = [trainer.open(trainer.starts) for trainer in self.trainers]
        run = programs.compiled(("stacked", self.count), together.stacked, (states,)).result()
        stacked: TrainState = run(states)
        return stacked

    def close(self) -> None:
        """Hand the arrays back to the models that are still trained."""
        if self.state is None:
            return
        held, self.state = self.state, None
        split = functools.partial(together.apart, count=self.count)
        run = programs.compiled(("apart", self.count), split, (held,)).result()
        for trainer, state, active in zip(self.trainers, run(held), self.active, strict=True):
            if active:
                trainer.close(state)

    def fit(self) -> list[History]:
        """Train all models to the end, and return the history of each."""
        plan, non_finite = self.job.plan, NonFinite(handles_nan(self.job.plan.callbacks))
        for trainer, model, callbacks in zip(self.trainers, self.models, self.callbacks, strict=True):
            trainer.begin(non_finite, fits=False)
            model.stop_training, model._lamina.history = False, callbacks.history
            require_known(callbacks, model, validates=self.job.validation is not None)
        with interruptible() as interrupted, self.shown:
            try:
                self._tell("on_train_begin")
                logs: list[Logs] = [{}] * self.count
                for epoch in range(plan.initial_epoch, plan.epochs):
                    self.shown.on_epoch_begin(epoch)
                    self._tell("on_epoch_begin", epoch)
                    logs = self._epoch(epoch, non_finite, interrupted)
                    if not any(self.active):
                        break
            finally:
                self.close()
            self.active = [True] * self.count
            for trainer in self.trainers:
                trainer.finalize()
            self._tell("on_train_end", logs=logs)
        return [callbacks.history for callbacks in self.callbacks]  # type: ignore[misc]

    def _tell(self, hook: str, *place: Any, logs: Sequence[Logs] | None = None) -> None:
        for index, callbacks in enumerate(self.callbacks):
            if self.active[index]:
                getattr(callbacks, hook)(*place, *([] if logs is None else [logs[index]]))
        if not place:
            getattr(self.shown, hook)()

    def _epoch(self, epoch: int, non_finite: NonFinite, interrupted: Interrupt) -> list[Logs]:
        plan, job = self.job.plan, self.job
        if self.state is None:
            self.state = self.open()
            starts = self.state.metrics
            self.starts = jax.tree.map(np.asarray, starts)
        else:
            self.state = self.state._replace(metrics=jax.device_put(self.starts))
        found = self._train(epoch, non_finite, interrupted)
        if job.validation is not None and plan.validates_after(epoch):
            measured = self._measure(job.validation)
            found |= {f"val_{name}": values for name, values in measured.items()}
        if not self.alone:
            self.close()
        logs = [{name: values[i] for name, values in found.items()} for i in range(self.count)]
        mean = {name: np.mean([each[name] for each in logs], axis=0) for name in found}
        for index, callbacks in enumerate(self.callbacks):
            if self.active[index]:
                callbacks.on_epoch_end(epoch, logs[index])
        for index, model in enumerate(self.models):
            self.active[index] = self.active[index] and not model.stop_training
        self.shown.on_epoch_end(epoch, mean)
        return logs

    def _train(self, epoch: int, non_finite: NonFinite, interrupted: Interrupt) -> dict[str, HostArray]:
        size, full, tail, fill = self.batches
        rows, length, done = self._orders(), ChunkLength(), 0
        logs: dict[str, HostArray] = {}
        while done < full + (tail > 0):
            count = 1 if done == full else min(length.most, full - done)
            counted = (np.arange(size) < tail).astype("float32") if done == full and fill else None
            self.shown.on_train_batch_begin(done)
            length.start()
            logs = self._step(rows, size if done < full or fill else tail, counted, done * size, count)
            length.done(count)
            done += count
            self._look(epoch, non_finite, logs)
            self.shown.on_train_batch_end(done - 1, {name: values.mean(axis=0) for name, values in logs.items()})
            if interrupted:
                interrupted.leave()
        self.trained = [before + done for before in self.trained]
        return logs

    def _orders(self) -> Any:
        """The rows that each model takes in this epoch, one after the other.  -> (models, rows) int32, on the device"""
        size, full, tail, fill = self.batches
        steps, shuffle, orders = full + (tail > 0), self.job.data.shuffle, []
        for model, rows, trained in zip(self.models, self.job.rows, self.trained, strict=True):
            order = order_of(len(rows), size, shuffle, (seed_of(model), trained, steps))
            orders.append(rows if order is None else rows[order])
        order = np.stack(orders).astype(np.int32)
        more = size - tail if tail and fill else 0
        return jax.device_put(np.pad(order, ((0, 0), (0, more)), mode="edge"))

    def _step(self, rows: Any, size: int, counted: Any, start: int, count: int) -> dict[str, HostArray]:
        state, undoes = self.state, self.trainers[0].undoes
        assert state is not None
        arguments = state[:3], state[3:], self.data, rows, counted, np.int32(start), np.int32(count)
        program = self._program(("train", size, undoes), together.train, arguments, (0,))
        after, logs = program(*arguments)
        self.state = after._replace(key=state.key, goes_on=state.goes_on)
        return {name: np.asarray(values) for name, values in logs.items()}

    def _measure(self, table: Table) -> dict[str, HostArray]:
        """The loss and the metrics of each model on the rows of a table."""
        state, trainer = self.state, self.trainers[0]
        assert state is not None
        size, full, tail, fill = cut(table.rows, self.job.plan.validation.batch_size or 32, trainer.fills[False])
        data, sums, logs = on_device(table, size * (full + (tail > 0))), jax.device_put(self.starts), {}
        for start, rows, count in ((0, size, full), (full * size, size if fill else tail, 1))[: 1 + (tail > 0)]:
            counted = (np.arange(size) < tail).astype("float32") if start and fill else None
            arguments = state.params, state.state, sums, data, counted, np.int32(start), np.int32(count)
            sums, logs = self._program(("test", rows), together.evaluate, arguments, ())(*arguments)
        return {name: np.asarray(values) for name, values in logs.items()}

    def _program(self, what: tuple[Any, ...], make: Any, arguments: Any, donate: tuple[int, ...]) -> programs.Program:
        """The program for arguments of these shapes. It has XLA's own operations: oneDNN's take one model at a time."""
        place = *what, str(jax.tree.map(np.shape, arguments))
        if place not in self.ready:
            key = self.spec.key and ("together", what, self.spec.key)
            with portable():
                made = programs.compiled(key, make(self.spec, *what[1:]), arguments, donate=donate)
                self.ready[place] = made.result()
        return self.ready[place]  # type: ignore[no-any-return]

    def _look(self, epoch: int, non_finite: NonFinite, logs: dict[str, HostArray]) -> None:
        """Deal with losses that are not finite, of the models that are still trained."""
        assert self.state is not None
        bad = np.asarray(self.state.bad)
        for index, step in enumerate(bad):
            if step >= 0 and self.active[index]:
                where = f"of member {index}, in epoch {epoch + 1}"
                if non_finite.does == "raise":
                    raise non_finite.error(where, float(logs["loss"][index]), "that step")
                non_finite.say(self.models[index], where, float(logs["loss"][index]))
        if (bad >= 0).any():
            self.state = self.state._replace(bad=jax.device_put(np.full(self.count, GOOD, np.int32)))
