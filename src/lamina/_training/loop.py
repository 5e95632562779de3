"""The one readable loop: chunks of data, each a run of compiled steps, then logs, callbacks, history."""

from __future__ import annotations

from typing import Any

from lamina._layer.forward import seed_of
from lamina._layer.structure import Snapshot
from lamina._training.feeds import ChunkLength, Feed
from lamina._training.inputs import measuring_feed, require_compiled, training_feeds, whole_batch
from lamina._training.interrupt import interruptible
from lamina._training.model import Model, compiled_of
from lamina._training.request import DataRequest, RunPlan, evaluate_request, fit_request
from lamina._training.trainer import Trainer
from lamina.callbacks import History
from lamina.callbacks.callback_list import CallbackList, handles_nan, wants_each_batch
from lamina.errors import NonFiniteError

Logs = dict[str, Any]


def fit(model: Model, data: DataRequest, plan: RunPlan) -> History:
    """Train, as `Sequential.fit` says."""
    require_compiled(model, "fit")
    data, plan = fit_request(data, plan)
    feed, validation = training_feeds(model, data, plan)
    trainer, state = trainer_for(model), model._lamina
    callbacks = _callbacks(model, plan, feed, add_history=True)
    history = state.history = callbacks.history
    state.stop_training = False
    assert history is not None
    logs: Logs = {}
    with callbacks, interruptible() as interrupted:
        callbacks.on_train_begin()
        trainer.prepare(feed, validation)
        length = ChunkLength(compiled_of(model).steps_per_execution if wants_each_batch(callbacks, "train") else None)
        for epoch in range(plan.initial_epoch, plan.epochs):
            callbacks.on_epoch_begin(epoch)
            logs = _train(trainer, epoch, feed, length, callbacks, interrupted)
            if validation is not None and plan.validates_after(epoch):
                measured = _measure(trainer, validation, callbacks, interrupted)
                logs |= {f"val_{name}": value for name, value in measured.items()}
            callbacks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        trainer.finalize()
        callbacks.on_train_end(logs)
    return history


def _train(
    trainer: Trainer, epoch: int, feed: Feed, length: ChunkLength, callbacks: CallbackList, interrupted: list[int]
) -> Logs:
    """One epoch: chunks of the data, each a run of compiled steps."""
    model, hooked, done = trainer.model, wants_each_batch(callbacks, "train"), 0
    state = trainer.open()
    logs: Logs = {}
    for chunk in feed.chunks((seed_of(model), model._lamina.steps_trained), length):
        if hooked:
            callbacks.on_train_batch_begin(done)
            state = trainer.reread(state) if done else trainer.open()
        length.start()
        state, logs, bad_step = trainer.train(state, chunk)
        length.done(int(chunk.steps))
        done += int(chunk.steps)
        if bad_step is not None and not handles_nan(callbacks):
            trainer.restore()
            raise _not_finite(epoch, bad_step, logs["loss"])
        if hooked:
            trainer.close(state)
        callbacks.on_train_batch_end(done - 1, logs)
        if interrupted:
            trainer.close(state)
            raise KeyboardInterrupt
        if model.stop_training:
            break
    trainer.close(state)
    return logs


def evaluate(model: Model, data: DataRequest, plan: RunPlan, return_dict: bool) -> Any:
    """Measure the loss and the metrics, as `Sequential.evaluate` says."""
    require_compiled(model, "evaluate")
    data, plan = evaluate_request(data, plan)
    feed = measuring_feed(model, data)
    with _callbacks(model, plan, feed) as callbacks, interruptible() as interrupted:
        logs = _measure(trainer_for(model), feed, callbacks, interrupted)
    return logs if return_dict else _listed(logs)


def _measure(trainer: Trainer, feed: Feed, callbacks: CallbackList, interrupted: list[int]) -> Logs:
    """One pass over a feed that changes nothing."""
    callbacks.on_test_begin()
    length = ChunkLength(1 if wants_each_batch(callbacks, "test") else None)
    sums, done = trainer.no_sums, 0
    logs: Logs = {}
    for chunk in feed.chunks((0, 0), length):
        callbacks.on_test_batch_begin(done)
        length.start()
        sums, logs = trainer.test(sums, chunk)
        length.done(int(chunk.steps))
        done += int(chunk.steps)
        callbacks.on_test_batch_end(done - 1, logs)
        if interrupted:
            raise KeyboardInterrupt
    callbacks.on_test_end(logs)
    return logs


def _callbacks(model: Model, plan: RunPlan, feed: Feed, add_history: bool = False) -> CallbackList:
    return CallbackList(
        plan.callbacks, add_history=add_history, add_progbar=plan.verbose != 0, model=model,
        verbose=plan.verbose, epochs=plan.epochs, steps=feed.steps,
    )  # fmt: skip


def train_on_batch(model: Model, data: DataRequest, return_dict: bool) -> Any:
    """One step on all rows."""
    require_compiled(model, "train_on_batch")
    chunk = whole_batch(model, data)
    trainer = trainer_for(model)
    state, logs, bad_step = trainer.train(trainer.open(), chunk)
    if bad_step is not None:
        raise _not_finite(0, 0, logs["loss"])
    trainer.close(state)
    return logs if return_dict else _listed(logs)


def test_on_batch(model: Model, data: DataRequest, return_dict: bool) -> Any:
    """Measure on all rows."""
    require_compiled(model, "test_on_batch")
    chunk = whole_batch(model, data)
    trainer = trainer_for(model)
    _, logs = trainer.test(trainer.no_sums, chunk)
    return logs if return_dict else _listed(logs)


def _listed(logs: Logs) -> Any:
    return list(logs.values()) if len(logs) > 1 else logs["loss"]


def trainer_for(model: Model) -> Trainer:
    """The model's trainer, made anew when it was compiled again or a layer was changed."""
    kept = model._lamina.kept.get("trainer")
    if kept is None or kept[0] is not model._lamina.compiled or not kept[1].is_current():
        compiled = compiled_of(model)
        kept = model._lamina.kept["trainer"] = compiled, Snapshot(model), Trainer(model, compiled.metrics or [])
    trainer: Trainer = kept[2]
    return trainer


def _not_finite(epoch: int, step: int, loss: float) -> NonFiniteError:
    return NonFiniteError(
        f"the loss became {loss} in epoch {epoch + 1}, at step {step + 1}.\n"
        "The weights are back to where that epoch began. Usual causes: a learning rate that is too high,\n"
        "inputs that are not scaled, a log or a division in a loss or a layer of your own.\n"
        "Try a smaller learning_rate, clipnorm=1.0 in the optimizer, or standardized inputs.\n"
        "With callbacks=[TerminateOnNaN()] training just stops there."
    )
