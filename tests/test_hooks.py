"""Every callback is called with the hooks, the order and the logs of Keras, in fit, evaluate and predict."""

import keras
import numpy as np
import pytest

import lamina
from lamina.callbacks import Callback, LambdaCallback
from lamina.callbacks.callback import HOOKS

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(20, 3)).astype("float32"), rng.normal(size=(20, 1)).astype("float32")


def dense(library):
    model = library.Sequential([library.layers.Input((3,)), library.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


MODELS = {library: dense(library) for library in (lamina, keras)}
START = MODELS[lamina].get_weights()


def recorder(library):
    """A callback of the library, and the list of its calls: the method, where it was called, and its logs."""
    seen = []

    def noting(name):
        def at_a_place(self, place, logs=None):
            seen.append((name, place, {key: np.asarray(value) for key, value in (logs or {}).items()}))

        return (
            at_a_place if "batch" in name or "epoch" in name else lambda self, logs=None: at_a_place(self, None, logs)
        )

    methods = {name: noting(name) for name in HOOKS}
    methods["set_params"] = lambda self, params: seen.append(("set_params", None, dict(params)))
    methods["set_model"] = lambda self, model: seen.append(("set_model", None, {}))
    return type("Recorder", (library.callbacks.Callback,), methods)(), seen


def batches(labelled=True):
    while True:
        yield (X[:8], Y[:8]) if labelled else (X[:8],)


VERBS = {
    "fit": lambda model, calls: model.fit(X, Y, callbacks=calls, epochs=2, batch_size=8, shuffle=False, verbose=0),
    "fit with validation": lambda model, calls: model.fit(
        X, Y, callbacks=calls, epochs=2, batch_size=8, shuffle=False, verbose=0, validation_data=(X[:10], Y[:10])
    ),
    "fit with validation in some epochs": lambda model, calls: model.fit(
        X,
        Y,
        callbacks=calls,
        epochs=3,
        initial_epoch=1,
        batch_size=8,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y),
        validation_freq=2,
    ),
    "fit on a stream": lambda model, calls: model.fit(
        batches(),
        callbacks=calls,
        epochs=2,
        steps_per_epoch=2,
        verbose=0,
        shuffle=False,
        validation_data=batches(),
        validation_steps=1,
    ),
    "evaluate": lambda model, calls: model.evaluate(X, Y, callbacks=calls, batch_size=8, verbose=0),
    "evaluate a stream": lambda model, calls: model.evaluate(batches(), callbacks=calls, steps=2, verbose=0),
    "predict": lambda model, calls: model.predict(X, callbacks=calls, batch_size=8, verbose=0),
    "predict one batch": lambda model, calls: model.predict(X, callbacks=calls, verbose=0),
    "predict a stream": lambda model, calls: model.predict(batches(False), callbacks=calls, steps=2, verbose=0),
}


@pytest.mark.parametrize("verb", VERBS)
def test_hooks_are_called_as_keras_calls_them(verb):
    calls = []
    for library, model in MODELS.items():
        model.set_weights(START)
        callback, seen = recorder(library)
        VERBS[verb](model, [callback])
        calls.append(seen)
    ours, theirs = calls
    assert [call[:2] for call in ours] == [call[:2] for call in theirs]
    assert len(ours) > 4
    for (name, place, logs), (*_, kept) in zip(ours, theirs, strict=True):
        assert list(logs) == list(kept) if name != "set_params" else logs == kept, (name, place)
        for key in kept:
            np.testing.assert_allclose(logs[key], kept[key], rtol=1e-4, atol=1e-6, err_msg=f"{name} {place} {key}")


@pytest.mark.parametrize("stops", ["on_epoch_end", "on_train_batch_end"])
def test_a_training_that_a_callback_ends_calls_the_hooks_of_keras(stops):
    calls = []
    for library, model in MODELS.items():
        callback, seen = recorder(library)
        stop = library.callbacks.LambdaCallback(
            **{stops: lambda place, logs, m=model: setattr(m, "stop_training", True)}
        )
        model.fit(X, Y, epochs=3, batch_size=8, verbose=0, callbacks=[stop, callback], validation_data=(X, Y))
        calls.append([call[:2] for call in seen])
    assert calls[0] == calls[1]


def test_lambda_callback_takes_every_method():
    calls = []
    for library, model in MODELS.items():
        seen = []
        functions = {name: lambda *given, name=name, seen=seen, logs=None: seen.append(name) for name in HOOKS}
        functions |= {
            name: lambda *given, name=name, seen=seen: seen.append(name) for name in ("set_params", "set_model")
        }
        each = library.callbacks.LambdaCallback(**functions)
        model.fit(X, Y, batch_size=8, verbose=0, callbacks=[each], validation_data=(X, Y))
        model.predict(X, verbose=0, callbacks=[each])
        calls.append(seen)
    assert calls[0] == calls[1] and "set_params" in calls[0] and len(set(calls[0])) == 16


def test_a_callback_may_have_any_attribute_and_argument():
    class Mine(Callback):
        def __init__(self, model, params, history, steps, callbacks, append, verbose):
            super().__init__()
            self.model = model  # as in Keras 2; what is trained takes its place
            self.given = model
            self.history, self.steps, self.callbacks, self.append, self.verbose = (
                history,
                steps,
                callbacks,
                append,
                verbose,
            )
            self.seen = []

        def helper(self, epoch):
            self.seen.append((epoch, self.model, self.steps))

        def on_epoch_end(self, epoch, logs=None):
            self.helper(epoch)

    mine = Mine("another model", {}, [], 3, [], print, True)
    assert mine.model == "another model"
    MODELS[lamina].fit(X, Y, verbose=0, callbacks=mine)
    assert mine.seen == [(0, MODELS[lamina], 3)] and mine.given == "another model"

    class Own(Callback):
        @property
        def model(self):
            return "its own"

        def on_epoch_end(self, epoch, logs=None):
            logs["own"] = len(self.model)

    assert MODELS[lamina].fit(X, Y, verbose=0, callbacks=Own()).history["own"] == [7]
    assert LambdaCallback(set_model=print).set_model is print
