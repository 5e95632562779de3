"""The one readable loop: batches, a run of compiled steps, logs, callbacks, history."""

from __future__ import annotations

from typing import Any

from lamina import _display as display
from lamina._base.converters import checked, integer, one_of, positive
from lamina._layer.forward import seed_of
from lamina._layer.structure import Snapshot
from lamina._training.feeds import Feed, Pace
from lamina._training.interrupt import interruptible
from lamina._training.prepare import fit_feeds, measuring_feed, require_compiled, whole_batch
from lamina._training.trainer import Trainer
from lamina.callbacks import CallbackList, TerminateOnNaN
from lamina.errors import NonFiniteError

Logs = dict[str, Any]


def fit(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    epochs: int,
    verbose: int | str,
    callbacks: Any,
    validation_split: float,
    validation_data: Any,
    shuffle: bool | str,
    class_weight: Any,
    sample_weight: Any,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_batch_size: int | None,
    validation_freq: Any,
) -> Any:
    """Train; the arguments are those of `Sequential.fit`."""
    require_compiled(model, "fit")
    epochs = checked("fit", "epochs", positive, epochs)
    initial_epoch = checked("fit", "initial_epoch", integer, initial_epoch)
    validation_freq = checked("fit", "validation_freq", _frequency, validation_freq)
    shuffle = checked("fit", "shuffle", one_of(True, False, "batch"), shuffle)
    feed, validation = fit_feeds(
        model, x, y, sample_weight, class_weight, batch_size, steps_per_epoch, shuffle, epochs,
        validation_split, validation_data, validation_steps, validation_batch_size,
    )  # fmt: skip
    trainer = trainer_for(model)
    tell = CallbackList(callbacks, add_history=True, model=model, verbose=verbose, epochs=epochs, steps=feed.steps)
    pace = Pace(model._lamina.compiled.steps_per_execution if tell.wants_train_batches else None)
    shown = 0 if tell.progbar else verbose  # a ProgbarLogger among the callbacks draws a bar of its own
    progress = display.progress.Progress(shown, epochs=epochs, steps=feed.steps, initial_epoch=initial_epoch)
    model.stop_training, model.history = False, tell.history
    logs: Logs = {}
    with progress, interruptible() as interrupted:
        tell.on_train_begin()
        trainer.prepare(feed, validation)
        for epoch in range(initial_epoch, epochs):
            tell.on_epoch_begin(epoch)
            progress.begin(epoch)
            logs = _train(trainer, epoch, feed, pace, tell, progress, interrupted)
            if validation is not None and _is_due(epoch, validation_freq):
                measured = _measure(trainer, validation, tell, interrupted)
                logs |= {f"val_{name}": value for name, value in measured.items()}
            tell.on_epoch_end(epoch, logs)
            progress.end(logs)
            if model.stop_training:
                break
        trainer.finalize()
        tell.on_train_end(logs)
    return model.history


def _train(
    trainer: Trainer,
    epoch: int,
    feed: Feed,
    pace: Pace,
    tell: CallbackList,
    progress: Any,
    interrupted: list[int],
) -> Logs:
    """One epoch: pieces of the data, each a run of compiled steps."""
    model, hooked, done = trainer.model, tell.wants_train_batches, 0
    stops_on_nan = any(isinstance(callback, TerminateOnNaN) for callback in tell)
    state = trainer.open()
    logs: Logs = {}
    for piece in feed.pieces((seed_of(model), model._lamina.steps_trained), pace):
        if hooked:
            tell.on_train_batch_begin(done)
            state = trainer.reread(state) if done else trainer.open()
        pace.start()
        state, logs, bad_step = trainer.train(state, piece)
        pace.done(int(piece.steps))
        done += int(piece.steps)
        if bad_step is not None and not stops_on_nan:
            trainer.restore()
            raise _not_finite(epoch, bad_step, logs["loss"])
        if hooked:
            trainer.close(state)
        tell.on_train_batch_end(done - 1, logs)
        progress.update(done, logs)
        if interrupted:
            trainer.close(state)
            raise KeyboardInterrupt
        if model.stop_training:
            break
    trainer.close(state)
    return logs


def evaluate(
    model: Any,
    x: Any,
    y: Any,
    batch_size: int | None,
    verbose: int | str,
    sample_weight: Any,
    steps: int | None,
    callbacks: Any,
    return_dict: bool,
) -> Any:
    """Measure the loss and the metrics; the arguments are those of `Sequential.evaluate`."""
    require_compiled(model, "evaluate")
    feed = measuring_feed(model, x, y, sample_weight, batch_size, steps)
    tell = CallbackList(callbacks, model=model, verbose=verbose, epochs=1, steps=feed.steps)
    with display.progress.Progress(verbose, steps=feed.steps) as progress, interruptible() as interrupted:
        progress.begin()
        logs = _measure(trainer_for(model), feed, tell, interrupted, progress)
        progress.end(logs)
    return logs if return_dict else _listed(logs)


def _measure(trainer: Trainer, feed: Feed, tell: CallbackList, interrupted: list[int], progress: Any = None) -> Logs:
    """One pass over a feed that changes nothing."""
    tell.on_test_begin()
    pace = Pace(1 if tell.wants_test_batches else None)
    sums, done = trainer.no_sums, 0
    logs: Logs = {}
    for piece in feed.pieces((0, 0), pace):
        tell.on_test_batch_begin(done)
        pace.start()
        sums, logs = trainer.test(sums, piece)
        pace.done(int(piece.steps))
        done += int(piece.steps)
        tell.on_test_batch_end(done - 1, logs)
        if progress:
            progress.update(done, logs)
        if interrupted:
            raise KeyboardInterrupt
    tell.on_test_end(logs)
    return logs


def train_on_batch(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool) -> Any:
    """One step on all rows of `x`."""
    require_compiled(model, "train_on_batch")
    piece = whole_batch(model, x, y, sample_weight, class_weight)
    trainer = trainer_for(model)
    state, logs, bad_step = trainer.train(trainer.open(), piece)
    if bad_step is not None:
        raise _not_finite(0, 0, logs["loss"])
    trainer.close(state)
    return logs if return_dict else _listed(logs)


def test_on_batch(model: Any, x: Any, y: Any, sample_weight: Any, return_dict: bool) -> Any:
    """Measure on all rows of `x`."""
    require_compiled(model, "test_on_batch")
    piece = whole_batch(model, x, y, sample_weight)
    trainer = trainer_for(model)
    _, logs = trainer.test(trainer.no_sums, piece)
    return logs if return_dict else _listed(logs)


def _listed(logs: Logs) -> Any:
    return list(logs.values()) if len(logs) > 1 else logs["loss"]


def trainer_for(model: Any) -> Trainer:
    """The model's trainer, made anew when it was compiled again or a layer was changed."""
    kept = model._lamina.kept.get("trainer")
    if kept is None or kept[0] is not model._lamina.compiled or not kept[1].is_current():
        compiled = model._lamina.compiled
        kept = model._lamina.kept["trainer"] = compiled, Snapshot(model), Trainer(model, compiled.metrics)
    trainer: Trainer = kept[2]
    return trainer


def _is_due(epoch: int, frequency: Any) -> bool:
    return (epoch + 1) % frequency == 0 if isinstance(frequency, int) else epoch + 1 in frequency


def _frequency(value: Any) -> Any:
    return [positive(epoch) for epoch in value] if isinstance(value, (list, tuple, set)) else positive(value)


def _not_finite(epoch: int, step: int, loss: float) -> NonFiniteError:
    return NonFiniteError(
        f"the loss became {loss} in epoch {epoch + 1}, at step {step + 1}.\n"
        "The weights are back to where that epoch began. Usual causes: a learning rate that is too high,\n"
        "inputs that are not scaled, a log or a division in a loss or a layer of your own.\n"
        "Try a smaller learning_rate, clipnorm=1.0 in the optimizer, or standardized inputs.\n"
        "With callbacks=[TerminateOnNaN()] training just stops there."
    )
