"""`config.set_max_epochs` and `set_max_steps_per_epoch` make every run short, as in Keras."""

import runpy

import keras
import numpy as np
import pytest

import lamina
from lamina import config
from lamina.errors import ArgumentError, LaminaWarning

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning", "ignore:Limiting:UserWarning",
    "ignore::lamina.errors.LaminaWarning",
)  # fmt: skip

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X[:, :1]


def dense(library):
    model = library.Sequential([library.layers.Input((3,)), library.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


OURS, KERAS = dense(lamina), dense(keras)


@pytest.fixture
def limits():
    """Sets both limits in both libraries, and takes them away after the test."""

    def set_both(epochs, steps):
        for library in (lamina, keras):
            library.config.set_max_epochs(epochs)
            library.config.set_max_steps_per_epoch(steps)

    yield set_both
    set_both(None, None)


def batches(labelled=True):
    while True:
        yield (X[:4], Y[:4]) if labelled else (X[:4],)


@pytest.mark.parametrize("source", ["arrays", "stream"])
@pytest.mark.parametrize(("epochs", "steps"), [(2, 2), (None, 5), (0, 0)])
def test_fit_evaluate_and_predict_end_where_keras_ends(limits, source, epochs, steps):
    limits(epochs, steps)
    start, seen = OURS.get_weights(), []
    for library, model in ((lamina, OURS), (keras, KERAS)):
        assert (library.config.max_epochs(), library.config.max_steps_per_epoch()) == (epochs, steps)
        model.set_weights(start)
        counts = {"epochs": 0, "train": 0, "test": 0, "predict": 0}

        def count(what, counts=counts):
            return lambda place, logs: counts.update({what: counts[what] + 1})

        counting = library.callbacks.LambdaCallback(
            on_epoch_end=count("epochs"), on_train_batch_end=count("train"), on_test_batch_end=count("test"),
            on_predict_batch_end=count("predict"),
        )  # fmt: skip
        told = {"verbose": 0, "callbacks": [counting]}
        if source == "arrays":
            model.fit(X, Y, epochs=4, batch_size=4, validation_data=(X, Y), shuffle=False, **told)
            model.evaluate(X, Y, batch_size=4, **told)
            outputs = model.predict(X, batch_size=4, **told)
        else:
            model.fit(batches(), epochs=4, steps_per_epoch=4, shuffle=False, **told)
            model.evaluate(batches(), steps=4, **told)
            outputs = model.predict(batches(False), steps=4, **told)
        seen.append((counts, len(outputs), model.get_weights()))
    (ours, rows, after), (theirs, rows_there, after_there) = seen
    assert (ours, rows) == (theirs, rows_there) and ours["epochs"] == (epochs or 4)
    for mine, other in zip(after, after_there, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


def test_an_endless_stream_ends_and_the_limit_is_said(limits):
    limits(2, 3)
    with pytest.warns(LaminaWarning) as warned:
        history = OURS.fit(batches(), epochs=5, verbose=0)
    said = [str(each.message) for each in warned]
    assert said == [
        "fit ends after epoch 2 of 5: config.max_epochs() is 2.",
        "3 steps are made of all: config.max_steps_per_epoch() is 3.",
    ]
    assert len(history.epoch) == 2
    assert len(OURS.predict(X, batch_size=4, verbose=0)) == 12
    assert len(OURS.predict(X[:8], batch_size=4, verbose=0)) == 8


def test_wrong_limits_are_refused_and_change_nothing(limits):
    limits(3, None)
    for wrong in (-1, 1.5, "3"):
        with pytest.raises(ArgumentError, match="set_max_epochs"):
            config.set_max_epochs(wrong)
        with pytest.raises(ArgumentError, match="set_max_steps_per_epoch"):
            config.set_max_steps_per_epoch(wrong)
    assert (config.max_epochs(), config.max_steps_per_epoch()) == (3, None)


def test_the_environment_sets_them(monkeypatch):
    from lamina._settings import run_limits as module

    monkeypatch.setenv("KERAS_MAX_EPOCHS", "2")
    monkeypatch.setenv("KERAS_MAX_STEPS_PER_EPOCH", "")
    assert runpy.run_path(module.__file__)["limits"] == {"epochs": 2, "steps": None}
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "two")
    with pytest.raises(ArgumentError, match="variable KERAS_MAX_EPOCHS is 'two'"):
        runpy.run_path(module.__file__)
