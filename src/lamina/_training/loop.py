"""The training loop: for each chunk of data it runs compiled steps, then updates logs, callbacks and the history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from lamina._arrays import devices
from lamina._arrays.arrays import as_array
from lamina._data.checksums import checksum
from lamina._layer.keys import seed_of
from lamina._programs import heap
from lamina._training.changes import Changes
from lamina._training.claims import claims_of, training
from lamina._training.diagnosis import RunChecks
from lamina._training.differences import describe
from lamina._training.feeds import Chunk, ChunkLength
from lamina._training.inputs import measuring_feed, require_compiled, training_feeds, whole_batch
from lamina._training.interrupt import Interrupt, interruptible
from lamina._training.model import Model, compiled_of
from lamina._training.non_finite import NonFinite
from lamina._training.request import DataRequest, RunPlan, evaluate_request, fit_request
from lamina._training.resume import Run
from lamina._training.stream_feed import Feed
from lamina._training.together import together
from lamina._training.trainer import Trainer, trainer_for
from lamina.callbacks import History
from lamina.callbacks.callback_list import CallbackList, batches_left, handles_nan, wants_each_batch
from lamina.callbacks.monitor import require_known

Logs = dict[str, Any]


def fit(model: Model, data: DataRequest, plan: RunPlan) -> History:
    """Train the model, as `Sequential.fit` describes."""
    require_compiled(model, "fit")
    with together("fit"), training(model, claims_of(model)):
        return _fit(model, data, plan)


def _fit(model: Model, data: DataRequest, plan: RunPlan) -> History:
    data, plan = fit_request(data, plan)
    feed, validation = training_feeds(model, data, plan)
    trainer, state = trainer_for(model), model._lamina
    if devices.job().size > 1:
        devices.job().same("fit", describe(trainer, feed, validation) | {"seed": seed_of(model)})
        _require_equal_weights(trainer)
    earlier = state.history
    callbacks = _callbacks(model, plan, feed, add_history=True)
    with recorded(model, earlier, callbacks) as history:
        state.stop_training = False
        checks = RunChecks(model, feed, validation)
        trainer.non_finite = NonFinite(handles_nan(callbacks), trainer.held)
        require_known(callbacks, model, validates=validation is not None)
        epochs = range(plan.initial_epoch, plan.epochs)
        run = Run(plan.store, trainer, feed, validation, callbacks, epochs, plan.validates_after)
        interruption, claimed = interruptible(termination=run.store is not None), training(model, trainer.claims)
        with claimed, interruption as interrupted, heap.given_back_after(), run, callbacks:
            if not run.restore():
                _epochs(run, interrupted, checks)
        checks.end(history, callbacks)
    if interrupted.terminated:
        interrupted.leave()
    return history


def _epochs(run: Run, interrupted: Interrupt, checks: RunChecks) -> None:
    """Run all epochs, and call the callbacks."""
    model, callbacks, validation = run.model, run.callbacks, run.validation
    changes = Changes(model)
    callbacks.on_train_begin()
    run.trainer.prepare(run.feed, validation)
    epochs = run.start()
    steps = compiled_of(model).steps_per_execution if wants_each_batch(callbacks, "train") else None
    length = ChunkLength(steps, every=run.every, total=run.steps)
    for epoch in epochs:
        callbacks.on_epoch_begin(epoch)
        before = run.place
        run.begin(epoch)
        changes.say()
        logs = _train(run, length, callbacks, interrupted)
        if not run.place.done:  # a generator had no more batches
            run.place = before
            break
        if validation is not None and run.validates_after(epoch):
            with run.kept_as_it_is():
                measured = _measure(run.trainer, validation, callbacks, interrupted)
            logs |= {f"val_{name}": value for name, value in measured.items()}
        callbacks.on_epoch_end(epoch, logs)
        model.stop_training = interrupted.shared(model.stop_training, surely=True)
        _require_equal_weights(run.trainer)
        run.end_epoch(logs)
        checks.end_epoch(logs.get("loss"), callbacks)
        if model.stop_training or run.feed.over:
            break
    run.trainer.held.finalize()
    callbacks.on_train_end(run.place.logs)
    run.end()


def _require_equal_weights(trainer: Trainer) -> None:
    """Raise an error if a weight differs between the processes of a job, as after a callback that changed it in one."""
    if devices.job().size > 1:
        sums = {weight.path: checksum(weight.array) for weight in trainer.held.weights}
        devices.job().same("the checksums of the weights", sums)


@contextmanager
def recorded(model: Model, earlier: History | None, callbacks: CallbackList) -> Iterator[History]:
    """Add the history to an error that ends `fit`. An OSError, such as a full disk, says where the history is.

    If no epoch was completed, the model gets the `earlier` history again, unless a callback stopped the epoch.
    """
    history, steps = callbacks.history, model._lamina.steps_trained
    assert history is not None
    try:
        yield history
    except Exception as error:
        error.history = history  # type: ignore[attr-defined]
        trained = model._lamina.steps_trained > steps
        if not (history.epoch or (trained and callbacks._lamina_telling)):
            model._lamina.history = earlier
        elif isinstance(error, OSError) and history.epoch:
            many = len(history.epoch)
            error.add_note(f"error.history and model.history hold the history of the {many} epochs before.")
        raise


def _train(run: Run, length: ChunkLength, callbacks: CallbackList, interrupted: Interrupt) -> Logs:
    """Run one epoch, or the rest of it, chunk by chunk."""
    trainer, model, (epoch, done, *_) = run.trainer, run.model, run.place
    hooked, first, logs = wants_each_batch(callbacks, "train"), done, dict(run.place.logs)
    held, non_finite = trainer.held, trainer.non_finite
    backup = non_finite.backup(held.taken(None if done else held.starts))
    length.limit = batches_left(callbacks)
    for chunk in () if done and model.stop_training else run.feed.chunks(run.key, length, skip=done):
        if hooked:
            callbacks.on_train_batch_begin(done)
        if run.trainer is not trainer:
            trainer, first = run.trainer, done
            held, backup = trainer.held, non_finite.backup(trainer.held.taken())
        length.start()
        interrupted.has_weights = True
        logs, bad_step = trainer.train(chunk, None if done else held.starts)
        interrupted.has_weights = False
        length.done(chunk.steps)
        devices.job().at(f"step {done + chunk.steps} of epoch {epoch + 1}")
        if bad_step is not None:
            where = f"in epoch {epoch + 1}, at step {done + bad_step + 1}"
            if non_finite.does == "raise":
                before = f"step {first + 1} of that epoch" if first else "that epoch"
                if backup:
                    held.put(jax.tree.map(as_array, backup))
                raise non_finite.error(where, logs["loss"], before if backup else "that step")
            non_finite.say(model, where, logs["loss"])
        done += chunk.steps if bad_step is None or non_finite.does == "warn" else bad_step + 1
        callbacks.on_train_batch_end(done - 1, logs)
        model.stop_training = interrupted.shared(model.stop_training)
        length.limit = batches_left(callbacks)
        run.reach(done, logs)
        if length.due or interrupted:
            run.keep()
        if interrupted:
            interrupted.leave()
        if model.stop_training:
            break
    return trainer.completed(logs, "train") if done else logs


def evaluate(model: Model, data: DataRequest, plan: RunPlan, return_dict: bool) -> Any:
    """Compute the loss and the metrics, as `Sequential.evaluate` describes."""
    require_compiled(model, "evaluate")
    data, plan = evaluate_request(data, plan)
    with together("evaluate"):
        feed = measuring_feed(model, data, model._lamina.columns)
        with _callbacks(model, plan, feed) as callbacks, interruptible() as interrupted:
            return _given(_measure(trainer_for(model), feed, callbacks, interrupted), return_dict)


def _measure(trainer: Trainer, feed: Feed, callbacks: CallbackList, interrupted: Interrupt) -> Logs:
    """Run one pass over a feed without changing weights."""
    model = trainer.model
    model.stop_evaluating = False
    callbacks.on_test_begin()
    length = ChunkLength(1 if wants_each_batch(callbacks, "test") else None)
    sums, done, logs, reading = trainer.held.starts, 0, Logs(), trainer.held.reading()
    for chunk in feed.chunks((0, 0), length):
        callbacks.on_test_batch_begin(done)
        length.start()
        sums, logs = trainer.test(sums, chunk, reading)
        length.done(chunk.steps)
        done += chunk.steps
        trainer.held.keep(sums)
        callbacks.on_test_batch_end(done - 1, logs)
        model.stop_evaluating = interrupted.shared(model.stop_evaluating)
        if interrupted:
            interrupted.leave()
        if model.stop_evaluating:
            break
    logs = trainer.completed(logs, "test", sums) if done else logs
    callbacks.on_test_end(logs)
    return logs


def _callbacks(model: Model, plan: RunPlan, feed: Feed, add_history: bool = False) -> CallbackList:
    rows = {"rows": getattr(feed, "size", None)} if plan.verbose == "rich" else {}  # the size of a stream is unknown
    verbose = 0 if devices.job().rank else plan.verbose  # process 0 of a job prints
    return CallbackList(
        plan.callbacks, add_history=add_history, add_progbar=verbose != 0, model=model,
        verbose=verbose, epochs=plan.epochs, steps=feed.steps, **rows,
    )  # fmt: skip


def train_on_batch(model: Model, data: DataRequest, return_dict: bool) -> Any:
    """Run one training step on all rows."""
    require_compiled(model, "train_on_batch")
    with together("train_on_batch"):
        return _train_on_batch(model, whole_batch(model, data), return_dict)


def _train_on_batch(model: Model, chunk: Chunk, return_dict: bool) -> Any:
    trainer = trainer_for(model)
    non_finite = trainer.non_finite = NonFinite()
    with training(model, trainer.claims), interruptible() as interrupted:
        interrupted.has_weights = True
        logs, bad_step = trainer.train(chunk, trainer.held.starts)
    if interrupted:
        raise KeyboardInterrupt
    if bad_step is not None:
        if non_finite.does == "raise":
            raise non_finite.error("in train_on_batch", logs["loss"], "that step")
        non_finite.say(model, "in train_on_batch", logs["loss"])
    return _given(trainer.completed(logs, "train"), return_dict)


def test_on_batch(model: Model, data: DataRequest, return_dict: bool) -> Any:
    """Compute the loss and the metrics of all rows."""
    require_compiled(model, "test_on_batch")
    with together("test_on_batch"):
        chunk, trainer = whole_batch(model, data), trainer_for(model)
        sums, logs = trainer.test(trainer.held.starts, chunk, trainer.held.reading())
        trainer.held.keep(sums)
        return _given(trainer.completed(logs, "test", sums), return_dict)


def _given(logs: Logs, as_dict: bool) -> Any:
    return logs if as_dict else list(logs.values()) if len(logs) > 1 else next(iter(logs.values()))
