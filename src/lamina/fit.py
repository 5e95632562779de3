"""The one readable loop: batches, a run of compiled steps, logs, callbacks, history."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from lamina import display
from lamina.architecture import Watch
from lamina.callbacks import CallbackList, TerminateOnNaN
from lamina.checks import labels, values
from lamina.data.feed import ArrayFeed, Feed, Pace, Piece, StreamFeed, batch_size_for, on_device
from lamina.data.source import Table, arrays, is_stream
from lamina.data.stream import Stream
from lamina.data.weights import class_weights, split
from lamina.dtypes import floatx
from lamina.errors import ArgumentError, DataError, NonFiniteError, NotCompiledError
from lamina.layers.activations import Softmax
from lamina.settings import checked, integer, optional, positive
from lamina.trainer import Trainer


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
    validation: Feed | None = None
    feed, held_out = training_feed(
        model, x, y, sample_weight, class_weight, batch_size, steps_per_epoch, shuffle, validation_split, epochs
    )
    size = validation_batch_size or (feed.size if isinstance(feed, ArrayFeed) else batch_size)
    if validation_data is not None:
        validation = measuring_feed(model, *_unpacked(validation_data), size, validation_steps, names=_VALIDATION)
    elif held_out is not None:
        validation = ArrayFeed(held_out, size or 32, validation_steps, anew=True)
    trainer = trainer_for(model)

    tell = CallbackList(callbacks, add_history=True, model=model, verbose=verbose, epochs=epochs, steps=feed.steps)
    hooked = tell.wants_train_batches
    stops_on_nan = any(isinstance(callback, TerminateOnNaN) for callback in tell)
    pace = Pace(model.compiled_with.steps_per_execution if hooked else None)
    model.stop_training, model.history = False, tell.history
    shown = 0 if tell.progbar else verbose  # a ProgbarLogger among the callbacks draws a bar of its own
    progress = display.progress.Progress(shown, epochs=epochs, steps=feed.steps, initial_epoch=initial_epoch)
    logs: dict[str, Any] = {}
    with progress, interruptible() as interrupted:
        tell.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            tell.on_epoch_begin(epoch)
            progress.begin(epoch)
            state = trainer.open()
            step = 0
            for piece in feed.pieces((model._seed, model.steps_trained), pace):
                if step == 0 and epoch == initial_epoch:
                    trainer.prepare(state, feed, validation)
                if hooked:
                    tell.on_train_batch_begin(step)
                    state = trainer.reread(state) if step else trainer.open()
                pace.start()
                state, logs = trainer.train(state, piece)
                bad = int(state.bad)
                pace.done(int(piece.steps))
                step += int(piece.steps)
                if bad >= 0 and not stops_on_nan:
                    trainer.restore()
                    raise _not_finite(epoch, bad - int(trainer.kept.step), logs["loss"])  # type: ignore[union-attr]
                if hooked or bad >= 0:
                    trainer.close(state)
                tell.on_train_batch_end(step - 1, logs)
                progress.update(step, logs)
                if interrupted:
                    trainer.close(state)
                    raise KeyboardInterrupt
                if bad >= 0 or model.stop_training:
                    break
            trainer.close(state)
            if validation is not None and _is_due(epoch, validation_freq):
                logs |= {f"val_{name}": value for name, value in _measure(trainer, validation, tell).items()}
            tell.on_epoch_end(epoch, logs)
            progress.end(logs)
            if interrupted:
                raise KeyboardInterrupt
            if model.stop_training:
                break
        trainer.finalize()
        tell.on_train_end(logs)
    return model.history


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
    trainer = trainer_for(model)
    tell = CallbackList(callbacks, model=model, verbose=verbose, epochs=1, steps=feed.steps)
    with display.progress.Progress(verbose, steps=feed.steps) as progress, interruptible() as interrupted:
        progress.begin()
        logs = _measure(trainer, feed, tell, progress, interrupted)
        progress.end(logs)
    return logs if return_dict else _listed(logs)


def _measure(
    trainer: Trainer, feed: Feed, tell: CallbackList, progress: Any = None, interrupted: Any = ()
) -> dict[str, Any]:
    """One pass over a feed that changes nothing."""
    tell.on_test_begin()
    pace = Pace(1 if tell.wants_test_batches else None)
    sums, done = trainer.no_sums, 0
    logs: dict[str, Any] = {}
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
    table = _batch(model, x, y, sample_weight, class_weight)
    trainer = trainer_for(model)
    piece = _whole(table)
    state, logs = trainer.train(trainer.open(), piece)
    if int(state.bad) >= 0:
        raise _not_finite(0, 0, logs["loss"])
    trainer.close(state)
    return logs if return_dict else _listed(logs)


def test_on_batch(model: Any, x: Any, y: Any, sample_weight: Any, return_dict: bool) -> Any:
    """Measure on all rows of `x`."""
    require_compiled(model, "test_on_batch")
    table = _batch(model, x, y, sample_weight, None)
    trainer = trainer_for(model)
    _, logs = trainer.test(trainer.no_sums, _whole(table))
    return logs if return_dict else _listed(logs)


def _batch(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Table:
    table = arrays(x, y, sample_weight, floatx=floatx())
    check(model, table, class_weight)
    if class_weight is not None:
        table = table._replace(sample_weight=class_weights(class_weight, table.y, table.sample_weight))
    return table


def _whole(table: Table) -> Piece:
    order = np.arange(table.rows, dtype=np.int32)
    return Piece(on_device(table, table.rows), order, table.rows, np.int32(0), np.int32(1))


def _listed(logs: dict[str, Any]) -> Any:
    return list(logs.values()) if len(logs) > 1 else logs["loss"]


_VALIDATION = ("validation x", "validation y")


def training_feed(
    model: Any,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Any,
    batch_size: int | None,
    steps: int | None,
    shuffle: bool | str,
    validation_split: float,
    epochs: int,
) -> tuple[Feed, Table | None]:
    """The data of `fit`, checked against the model, and what `validation_split` holds out."""
    steps = checked("fit", "steps_per_epoch", optional(positive), steps)
    if is_stream(x):
        if validation_split:
            raise DataError("validation_split needs arrays; give a stream of batches its own validation_data.")
        stream = Stream(x, y, sample_weight, class_weight=class_weight, floatx=floatx())
        stream.expect(epochs, steps)
        feed = StreamFeed(stream, steps, shuffle)
        check(model, feed.first())
        return feed, None
    table = arrays(x, y, sample_weight, floatx=floatx())
    check(model, table, class_weight)
    held_out = None
    if class_weight is not None:
        table = table._replace(sample_weight=class_weights(class_weight, table.y, table.sample_weight))
    if validation_split:
        table, held_out = split(table, validation_split)
    size = batch_size_for(table.rows, batch_size, steps)
    return ArrayFeed(table, size, steps, shuffle), held_out


def measuring_feed(
    model: Any, x: Any, y: Any, sample_weight: Any, batch_size: int | None, steps: int | None, names: Any = ("x", "y")
) -> Feed:
    """The data of `evaluate` or of a validation, checked against the model."""
    if is_stream(x):
        feed = StreamFeed(Stream(x, y, sample_weight, name=names[0], floatx=floatx()), steps, anew=True)
        check(model, feed.first())
        return feed
    table = arrays(x, y, sample_weight, names=names, floatx=floatx())
    check(model, table)
    return ArrayFeed(table, batch_size_for(table.rows, batch_size, steps), steps, anew=True)


def check(model: Any, table: Table, class_weight: Any = None) -> None:
    """All that can be said of the data before the first step."""
    values.finite(table)
    model.build_for((None, *table.x.shape[1:]))
    compiled = model.compiled_with
    if compiled.loss is not None:
        labels.fit_loss(
            compiled.loss,
            table.y,
            model.output_shape,
            last_activation=_last_activation(model.stack[-1]),
            metrics=(*compiled.measures, *compiled.weighted_measures),
            class_weight=class_weight,
        )
    compiled.metrics_for(None if table.y is None else table.y.shape, model.output_shape)


def _last_activation(layer: Any) -> str | None:
    """The name of the function that the output comes from, where it is known."""
    if isinstance(layer, Softmax):
        return "softmax" if layer.axis == -1 else None
    return getattr(getattr(layer, "activation", None), "__name__", None)


def trainer_for(model: Any) -> Trainer:
    """The model's trainer, made anew when it was compiled again or a layer was changed."""
    kept = model.kept.get("trainer")
    if kept is None or kept[0] is not model.compiled_with or not kept[1].is_unchanged():
        compiled = model.compiled_with
        kept = model.kept["trainer"] = compiled, Watch(model), Trainer(model, compiled.metrics)
    trainer: Trainer = kept[2]
    return trainer


def require_compiled(model: Any, verb: str) -> None:
    if model.compiled_with is None:
        raise NotCompiledError(f"call compile before {verb}: model.compile('adam', loss='mse').")
    if not model.stack:
        model.build_for((None,))


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that is empty until the user presses Ctrl-C; a second press interrupts at once.

    Between two pieces the weights are whole, so that is where `fit` stops.
    """
    pressed: list[int] = []

    def note(number: int, frame: types.FrameType | None) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    if before is not signal.default_int_handler:  # somebody handles it already, or nobody can
        yield pressed
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _unpacked(validation_data: Any) -> tuple[Any, Any, Any]:
    if is_stream(validation_data):
        return validation_data, None, None
    if not isinstance(validation_data, (tuple, list)) or not 1 <= len(validation_data) <= 3:
        raise ArgumentError("validation_data is (x, y), (x, y, sample_weight), or a stream of batches.")
    x, y, weight = (*validation_data, None, None)[:3]
    return x, y, weight


def _is_due(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % positive(frequency) == 0
    return epoch + 1 in frequency


def _not_finite(epoch: int, step: int, loss: float) -> NonFiniteError:
    return NonFiniteError(
        f"the loss became {loss} in epoch {epoch + 1}, at step {step + 1}.\n"
        "The weights are back to where that epoch began. Usual causes: a learning rate that is too high,\n"
        "inputs that are not scaled, a log or a division in a loss or a layer of your own.\n"
        "Try a smaller learning_rate, clipnorm=1.0 in the optimizer, or standardized inputs.\n"
        "With callbacks=[TerminateOnNaN()] training just stops there."
    )
