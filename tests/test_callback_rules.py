"""What callbacks may do: end what is under way, take their logs as they like, and raise errors."""

import resource

import keras
import numpy as np
import pytest

import lamina
from lamina import callbacks

X, Y = np.ones((32, 2), "float32"), np.zeros((32, 1), "float32")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def stack(library=lamina, units=1):
    model = library.Sequential([library.layers.Input((2,)), library.layers.Dense(units), library.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    return model


def stopped(library, hook, after, what):
    """How many batches a run has whose callback sets `stop_...`, and what it says and gives then."""
    seen = []

    class Stop(library.callbacks.Callback):
        pass

    def stop(self, batch=0, logs=None):
        if batch >= after:
            setattr(self.model, f"stop_{what}", True)

    def count(self, batch, logs=None):
        seen.append(batch)

    ends = "on_predict_batch_end" if what == "predicting" else "on_test_batch_end"
    setattr(Stop, hook, (lambda self, logs=None: stop(self, after)) if hook.endswith("_begin") else stop)
    counting = type("Count", (library.callbacks.Callback,), {ends: count})
    told, model = {"batch_size": 4, "verbose": 0, "callbacks": [Stop(), counting()]}, stack(library)
    if what == "predicting":
        given = model.predict(X, **told).shape
    elif what == "evaluating":
        given = np.shape(model.evaluate(X, Y, **told))
    first = list(seen), getattr(model, f"stop_{what}"), given
    if what == "evaluating":
        model.fit(X, Y, epochs=2, validation_data=(X, Y), **told)
    return first, seen, getattr(model, "history", None) is None


@pytest.mark.parametrize("what", ["evaluating", "predicting"])
@pytest.mark.parametrize("when", ["batch_end", "begin"])
def test_a_callback_ends_evaluate_and_predict_as_in_keras(what, when):
    hook = f"on_{'test' if what == 'evaluating' else 'predict'}_{when}"
    assert stopped(lamina, hook, 2, what)[:2] == stopped(keras, hook, 2, what)[:2]


def test_what_was_stopped_once_is_not_stopped_the_next_time():
    model = stack()
    assert (model.stop_evaluating, model.stop_predicting) == (False, False)
    model.stop_evaluating = model.stop_predicting = True
    counted = []
    count = callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: counted.append(batch))
    model.evaluate(X, Y, batch_size=4, verbose=0, callbacks=[count])
    assert len(counted) == 8 and len(model.predict(X, batch_size=4, verbose=0)) == 32
    batches = ((X[:4],) for _ in range(5))
    stop = callbacks.LambdaCallback(on_predict_batch_end=lambda b, logs: setattr(model, "stop_predicting", b == 1))
    assert len(model.predict(batches, verbose=0, callbacks=[stop])) == 8


def test_hooks_get_their_logs_as_in_keras():
    """Those of batches by name, the others by position, where both are possible."""

    def seen(library):
        notes = []

        class Notes(library.callbacks.Callback):
            def on_train_begin(self, *args, **named):
                notes.append(("begin", args, named))

            def on_epoch_end(self, *args, **named):
                notes.append(("epoch", args[0], sorted(args[1]), named))

            def on_train_batch_end(self, *args, **named):
                notes.append(("batch", args, sorted(named), sorted(named["logs"])))

            def on_test_batch_end(self, batch, **named):
                notes.append(("test", batch, sorted(named), sorted(named["logs"])))

            def on_batch_begin(self, batch, **named):
                notes.append(("older", batch, named))

            def on_predict_batch_end(self, batch, *, logs):
                notes.append(("predict", batch, sorted(logs)))

        model, told = stack(library), {"batch_size": 16, "verbose": 0, "callbacks": [Notes()]}
        model.fit(X, Y, validation_data=(X, Y), **told)
        model.predict(X, **told)
        return notes

    assert seen(lamina) == seen(keras)


def test_hooks_that_take_the_logs_by_name_alone_are_called():
    notes = []

    class Named(callbacks.EarlyStopping):
        def on_train_begin(self, **kwargs):
            super().on_train_begin(**kwargs)
            notes.append(sorted(kwargs))

        def on_epoch_end(self, epoch, **kwargs):
            super().on_epoch_end(epoch, **kwargs)
            notes.append((epoch, sorted(kwargs["logs"])))

        def on_train_end(self, *, logs):
            notes.append(sorted(logs))

    told = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, **kwargs: notes.append(kwargs))
    stack().fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[Named(), told])
    assert notes == [["logs"], {"logs": {}}, (0, ["loss", "val_loss"]), ["loss", "val_loss"]]


def test_a_hook_without_logs_is_refused_with_what_to_write():
    class Short(callbacks.Callback):
        def on_epoch_end(self, epoch):
            pass

    with pytest.raises(ValueError, match=r"Write def on_epoch_end\(self, epoch, logs\)"):
        stack().fit(X, Y, verbose=0, callbacks=[Short()])


def test_an_error_in_a_callback_leaves_the_history_as_keras_does():
    def failing(library, hook, at):
        class Fails(library.callbacks.Callback):
            pass

        def fail(self, place=at, logs=None):
            if place == at:
                raise RuntimeError("boom")

        setattr(Fails, hook, fail)
        return Fails()

    for hook, at, epochs in (("on_epoch_end", 2, 2), ("on_train_batch_end", 0, 0), ("on_epoch_begin", 1, 1)):
        for library in (lamina, keras):
            model = stack(library)
            model.fit(X, Y, verbose=0)
            with pytest.raises(RuntimeError, match="boom") as caught:
                model.fit(X, Y, epochs=4, verbose=0, callbacks=[failing(library, hook, at)])
            assert model.history.epoch == list(range(epochs)), (library, hook)
            assert len(model.history.history.get("loss", ())) == epochs
        assert caught.value is not None
    model = stack()
    with pytest.raises(RuntimeError) as caught:
        model.fit(X, Y, epochs=4, verbose=0, callbacks=[failing(lamina, "on_epoch_end", 2)])
    assert caught.value.history is model.history and model.history.epoch == [0, 1]


def test_what_is_refused_before_the_first_epoch_leaves_the_earlier_history():
    model = stack()
    earlier = model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match="the logs have no such number"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping(monitor="val_acc")])
    assert model.history is earlier


@pytest.fixture
def disk():
    """Lets no file get longer than so many bytes, as on a full disk; None lifts it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRITERS = {
    "model": lambda folder: callbacks.ModelCheckpoint(folder / "model.keras"),
    "weights": lambda folder: callbacks.ModelCheckpoint(folder / "a.weights.h5", save_weights_only=True),
    "batches": lambda folder: callbacks.ModelCheckpoint(folder / "model.keras", save_freq=1),
    "rows": lambda folder: callbacks.CSVLogger(folder / "log.csv"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_on_a_full_disk_the_history_stands_on_the_error_and_the_model_works(tmp_path, disk, kind):
    epochs = []

    def fill(epoch, logs):
        epochs.append(epoch)
        disk(60 if epoch == 2 else None)

    model = stack(units=64)
    with pytest.raises(OSError, match="File too large") as caught:
        model.fit(
            X, Y, epochs=9, batch_size=16, verbose=0,
            callbacks=[callbacks.LambdaCallback(on_epoch_begin=fill), WRITERS[kind](tmp_path)],
        )  # fmt: skip
    disk(None)
    assert epochs == [0, 1, 2]
    assert caught.value.history is model.history and model.history.epoch == [0, 1]
    assert len(model.history.history["loss"]) == 2
    assert caught.value.__notes__ == ["error.history and model.history hold the history of the 2 epochs before."]
    assert int(model.optimizer.iterations) == (5 if kind == "batches" else 6)
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2


@pytest.mark.filterwarnings("ignore:(?s)cannot write.*The training continues")
@pytest.mark.parametrize("every", ["epoch", 1])
def test_on_a_full_disk_a_run_that_keeps_states_is_trained_to_its_end(tmp_path, disk, every):
    model = stack(units=64)
    full = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: disk(60) if epoch == 2 else None)
    how = {"callbacks": [full], "checkpoint": callbacks.Checkpoint(tmp_path, every)}
    with pytest.raises(OSError, match="cannot write") as caught:
        model.fit(X, Y, epochs=5, batch_size=16, verbose=0, **how)
    disk(None)
    assert caught.value.history is model.history and model.history.epoch == [0, 1, 2, 3, 4]
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2
