"""Sweeps: each setting as its own fit would train it, in as few programs as there are shapes."""

import itertools
import math
import signal
import threading

import jax
import jax.numpy as jnp
import keras as real
import numpy as np
import pytest
from quick import USUAL_FUSIONS, quick_compiler

import lamina
from lamina import callbacks, layers, optimizers, regularizers
from lamina._ensembles.halving import rungs
from lamina._kernels.numbers import Readings, constant
from lamina._programs import programs
from lamina.errors import (
    ArgumentError,
    CallError,
    DataError,
    LaminaWarning,
    MissingPackageError,
    NonFiniteError,
    NotCompiledError,
    StackError,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 6)).astype("float32")
Y = (X[:, :1] * X[:, 1:2] > 0).astype("float32")
TOLD = {"epochs": 3, "validation_split": 0.2, "verbose": 0}


@pytest.fixture(autouse=True)
def _quickly():
    """A model within a program for many computes the same to the last bit, which holds of the usual fusions."""
    with quick_compiler(**USUAL_FUSIONS):
        yield


@pytest.fixture
def compiles(monkeypatch):
    """A list that gets an entry for each program that is compiled."""
    made, compile_one = [], programs._for_this_device
    monkeypatch.setattr(programs, "_for_this_device", lambda traced: made.append(1) or compile_one(traced))
    programs.clear()
    return made


def stack(*body, optimizer="adam", last=None):
    model = lamina.Sequential([layers.Input((6,)), *body, last or layers.Dense(1, "sigmoid")])
    model.compile(optimizer, "mse" if last else "binary_crossentropy", metrics=["accuracy"])
    return model


def make_model(learning_rate=0.01, rate=0.3, l2=0.01, units=8):
    body = [layers.BatchNormalization(), layers.Dense(units, "relu", kernel_regularizer=regularizers.L2(l2))]
    return stack(*body, layers.BatchNormalization(), layers.Dropout(rate), optimizer=optimizers.Adam(learning_rate))


def alone(make, setting, seed, **told):
    lamina.utils.set_random_seed(seed)
    model = make(**setting)
    return model, model.fit(X, Y, **TOLD | told)


def require_as_alone(make, found, **told):
    """Each setting is what its separate fit is, bit for bit, up to the epoch at which it was dropped."""
    for setting, row, model, history in zip(found.settings, found.rows, found.models, found.histories, strict=True):
        one, expected = alone(make, setting, found.seed, **told | {"epochs": row["epochs"]})
        assert history.history == expected.history
        for mine, theirs in zip(model.get_weights(), one.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_settings_that_differ_in_numbers_share_one_program(compiles):
    grid = {"learning_rate": np.logspace(-3, -1, 3), "rate": [0.1, 0.5], "l2": (0.001, 0.1)}
    found = lamina.sweep(make_model, grid, X, Y, seed=3, **TOLD)
    # one to train, and one to validate
    assert len(compiles) == 2 and len(found) == 12
    assert len({row["val_loss"] for row in found.rows}) == 12
    require_as_alone(make_model, found)


NUMBERS = {
    "momentum": lambda v: stack(layers.Dense(8, "relu"), optimizer=optimizers.SGD(0.1, momentum=v)),
    "betas": lambda v: stack(layers.Dense(8), optimizer=optimizers.Adam(0.01, beta_1=v, beta_2=v, epsilon=v / 1e3)),
    "decay": lambda v: stack(layers.Dense(8, "relu"), optimizer=optimizers.AdamW(0.01, weight_decay=v / 10)),
    "l1": lambda v: stack(layers.Dense(8, kernel_regularizer=regularizers.L1L2(v / 100, v / 10))),
    "seed": lambda v: stack(layers.Dense(8, "relu"), layers.Dropout(0.4, seed=int(100 * v))),
    "noise": lambda v: stack(layers.GaussianNoise(v), layers.Dense(8, "relu"), layers.GaussianDropout(v)),
    "alpha": lambda v: stack(layers.Dense(8, "selu"), layers.BatchNormalization(), layers.AlphaDropout(v)),
    "recurrent": lambda v: stack(layers.Reshape((3, 2)), layers.LSTM(3, dropout=v, recurrent_dropout=v)),
    "channels": lambda v: stack(layers.Reshape((3, 2)), layers.SpatialDropout1D(v), layers.Flatten()),
    "schedule": lambda v: stack(layers.Dense(8), optimizer=optimizers.SGD(optimizers.schedules.CosineDecay(v, 9))),
}


ALWAYS = "betas", "l1", "noise", "seed"


@pytest.mark.parametrize(
    "name", [each if each in ALWAYS else pytest.param(each, marks=pytest.mark.nightly) for each in NUMBERS]
)
def test_what_varies_within_one_program(name, compiles):
    found = lamina.sweep(lambda v: NUMBERS[name](v), {"v": [0.15, 0.3, 0.45]}, X, Y, seed=1, **TOLD)
    assert len(compiles) == 2
    assert len({row["loss"] for row in found.rows}) == 3
    require_as_alone(lambda v: NUMBERS[name](v), found)


def test_seeds_vary_too(compiles):
    def seeded(seed):
        lamina.utils.set_random_seed(seed)
        return make_model()

    found = lamina.sweep(seeded, {"seed": [1, 2, 3]}, X, Y, seed=9, **TOLD)
    assert len(compiles) == 2 and len({row["val_loss"] for row in found.rows}) == 3
    require_as_alone(seeded, found)


def test_shapes_and_zeros_have_programs_of_their_own(compiles):
    found = lamina.sweep(make_model, {"units": [4, 8], "rate": [0.0, 0.1, 0.2]}, X, Y, seed=3, **TOLD)
    trained = 2 * 2  # shapes, times with and without dropout
    assert len(compiles) <= trained + 2 * 2 + 2
    require_as_alone(make_model, found)


class Own(layers.Layer):
    """A layer that reads its rate, and that of a layer of ours, as Python numbers."""

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate, self.inner = rate, layers.Dropout(rate)

    def call(self, x):
        assert type(self.rate) is float
        if self.rate == 0.2:
            return x
        return self.inner(x) * (2 if self.inner.rate > 0.35 else 1) * float(self.inner.rate)


def test_a_layer_of_ones_own_reads_its_numbers():
    def own(rate):
        return stack(layers.Dense(8), Own(rate))

    found = lamina.sweep(own, {"rate": [0.2, 0.3, 0.4]}, X, Y, seed=3, **TOLD)
    require_as_alone(own, found)


def test_a_number_while_a_program_is_traced():
    readings = Readings([0.3, 2.0])
    rate, other = readings.numbers()
    with jax.ensure_compile_time_eval():
        x = jnp.array([1.0, 2.0])
        np.testing.assert_allclose((1 - rate) * x, 0.7 * x)
        np.testing.assert_allclose(x / rate + x**other - abs(-rate), x / 0.3 + x**2 - 0.3, rtol=1e-6)
        np.testing.assert_array_equal(x > rate, [True, True])
        assert constant(round(rate * 10), "uint32") == 3 and constant(0.5, "float32") == 0.5
    assert readings.answers == {}  # nothing that another number would change
    assert readings.hold_for([0.9, 1.0])
    assert rate < 0.5 and other > rate and f"{rate:.1f} {rate}" == "0.3 0.3" and {rate: 1}[0.3] == 1
    assert not readings.hold_for([0.4, 2.0]) and readings.hold_for([0.3, 2.0])
    assert (float(other), int(other), np.sqrt(np.asarray(other))) == (2.0, 2, math.sqrt(2))
    assert not readings.hold_for([0.3, 2.5])
    with pytest.raises(TypeError):
        rate + "text"
    (weight, new), *_ = readings.weights_for([0.4, 2.0]).items()
    assert weight.numpy() == np.float32(0.7) and new.numpy() == np.float32(0.6)


def test_the_oracle():
    """A setting of a sweep beside Keras, from the same weights and with the rows in their order."""

    def make(learning_rate, l2, library=lamina):
        body = [
            library.layers.Dense(8, "tanh", kernel_regularizer=library.regularizers.L2(l2)),
            library.layers.Dense(1),
        ]
        model = library.Sequential([library.layers.Input((6,)), *body])
        model.compile(library.optimizers.SGD(learning_rate, momentum=0.9), "mse", metrics=["mae"])
        return model

    told = TOLD | {"shuffle": False}
    found = lamina.sweep(make, {"learning_rate": [0.1, 0.01], "l2": [0.1, 0.01]}, X, Y, seed=4, **told)
    for setting, history in zip(found.settings, found.histories, strict=True):
        lamina.utils.set_random_seed(4)
        keras_model = make(**setting, library=real)
        keras_model.set_weights(make(**setting).get_weights())
        expected = keras_model.fit(X, Y, **told).history
        assert history.history.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_allclose(history.history[name], values, rtol=1e-4, atol=1e-5)


def test_halving_drops_the_worst():
    grid = {"learning_rate": [0.1, 0.03, 0.01, 0.003, 0.001], "rate": [0.1, 0.5]}
    found = lamina.sweep(make_model, grid, X, Y, epochs=9, halving=3, seed=2, validation_split=0.2, verbose=0)
    assert [row["epochs"] for row in found.rows] == [9, 9] + 2 * [3] + 6 * [1]
    assert [row["ended"] for row in found.rows] == ["trained"] * 2 + ["dropped"] * 8
    require_as_alone(make_model, found)
    after = [[history.history["val_loss"][:epochs] for history in found.histories] for epochs in (1, 3)]
    firsts = [losses[0] for losses in after[0]]
    assert max(firsts[:4]) <= min(firsts[4:])
    assert max(losses[2] for losses in after[1][:2]) <= min(losses[2] for losses in after[1][2:4])
    again = lamina.sweep(make_model, grid, X, Y, epochs=9, halving=3, seed=2, validation_split=0.2, verbose=0)
    assert again.rows == found.rows
    by_accuracy = lamina.sweep(make_model, grid, X, Y, epochs=2, halving=2, monitor="accuracy", seed=2, verbose=0)
    values = [row["accuracy"] for row in by_accuracy.rows if row["ended"] == "trained"]
    assert len(values) == 5 and values == sorted(values, reverse=True)


def test_when_it_drops():
    assert rungs(9, 0, 9, 3) == [1, 3] and rungs(9, 5, 14, 3) == [6, 8]
    assert rungs(2, 0, 100, 3) == [] and rungs(8, 0, 16, 2) == [2, 4, 8]
    for settings in (1, 7, 60, 500):
        for epochs in range(1, 40):
            found = rungs(settings, 0, epochs, 3)
            assert sorted(set(found)) == found and all(0 < each < epochs for each in found)


def test_a_loss_that_becomes_nan_is_marked():
    grid = {"learning_rate": [1e30, 0.01, 0.02], "rate": [0.1]}
    told = {"validation_split": 0.2, "verbose": 0}
    found = lamina.sweep(
        lambda learning_rate, rate: stack(
            layers.Dense(4), layers.Dropout(rate), optimizer=optimizers.SGD(learning_rate), last=layers.Dense(1)
        ),
        grid, X, Y, epochs=4, halving=2, **told,
    )  # fmt: skip
    assert found.rows[-1]["learning_rate"] == 1e30 and "the loss became" in found.rows[-1]["ended"]
    assert found.rows[0]["ended"] == "trained" and math.isfinite(found.rows[0]["val_loss"])
    broken = lamina.sweep(
        lambda learning_rate: stack(optimizer=optimizers.SGD(learning_rate)),
        {"learning_rate": [1e30, 1e31]}, X * np.nan, Y, callbacks=[callbacks.TerminateOnNaN()], **told,
    )  # fmt: skip
    assert broken.rows[0]["ended"] == "val_loss became nan"
    with pytest.raises(NonFiniteError, match="no best setting"):
        broken.best_model  # noqa: B018


def test_callbacks_are_copies_or_made_for_each():
    stopping = callbacks.EarlyStopping(min_delta=0.02, patience=1, restore_best_weights=True)
    grid = {"learning_rate": [0.3, 0.03, 0.001]}
    told = {"epochs": 12, "validation_data": (X[:50], Y[:50]), "seed": 1, "verbose": 0}
    found = lamina.sweep(make_model, grid, X[50:], Y[50:], callbacks=stopping, halving=3, **told)
    for model, row in zip(found.models, found.rows, strict=True):
        assert model.evaluate(X[:50], Y[:50], verbose=0)[0] == pytest.approx(row["val_loss"], rel=1e-5)
    assert found.rows[0]["epochs"] < 12
    seen = []

    def record(setting):
        return callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append((setting["learning_rate"], epoch)))

    lamina.sweep(make_model, grid, X, Y, epochs=2, callbacks=record, monitor="loss", verbose=0)
    assert sorted(seen) == [(rate, epoch) for rate in (0.001, 0.03, 0.3) for epoch in (0, 1)]


def test_ctrl_c_keeps_the_table():
    presses = itertools.count()

    class Interrupting(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2 and next(presses) == 0:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    with pytest.warns(LaminaWarning, match="the sweep was interrupted"):
        found = lamina.sweep(
            make_model, {"rate": [0.1, 0.2, 0.3, 0.4]}, X, Y, epochs=100_000, callbacks=Interrupting(),
            validation_split=0.2, halving=2, verbose=0,
        )  # fmt: skip
    assert found.rows[0]["ended"] == "interrupted"
    assert 3 <= max(row["epochs"] for row in found.rows) < 100_000
    assert found.best_model.predict(X, verbose=0).shape == (160, 1)


def test_what_it_found(capsys, monkeypatch):
    pairs = [{"learning_rate": 0.01, "rate": 0.1}, {"learning_rate": 0.02, "rate": 0.4}]
    found = lamina.sweep(make_model, pairs, X, Y, batch_size=16, monitor="loss", epochs=2, verbose=2)
    assert "best loss: " in capsys.readouterr().out
    assert repr(found).startswith("<Sweep of 2 settings by loss, best: learning_rate=0.0")
    assert len(str(found).splitlines()) == 6 and "learning_rate" in str(found)
    assert [column.header for column in found.table().columns][:4] == ["learning_rate", "rate", "epochs", "ended"]
    assert found.frame()["loss"].is_monotonic_increasing and list(found.frame()["ended"]) == ["trained"] * 2
    assert found.best_settings in pairs and found.histories[0] is found.best_model.history
    best = found.best_model
    assert best.layers[3].rate == found.best_settings["rate"] and type(best.layers[3].rate) is float
    best.fit(X, Y, epochs=3, initial_epoch=2, verbose=0)  # it goes on as any other model
    assert type(best.layers[3].get_config()["rate"]) is float
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingPackageError, match="pip install pandas"):
        found.frame()


def test_frames_and_class_weights():
    import pandas

    told = {"monitor": "loss", "verbose": 0, "class_weight": {0: 1.0, 1: 3.0}, "seed": 5}
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    named = lamina.sweep(make_model, {"rate": [0.1, 0.2]}, frame, Y, **told)
    plain = lamina.sweep(make_model, {"rate": [0.1, 0.2]}, X.astype("float64"), Y, **told)
    assert named.rows == plain.rows
    right = named.best_model.predict(X, verbose=0)
    np.testing.assert_array_equal(named.best_model.predict(frame[list("fedcba")], verbose=0), right)
    with pytest.raises(DataError, match="lacks the columns 'a'"):
        named.best_model.predict(frame.rename(columns={"a": "z"}), verbose=0)


def test_what_a_sweep_refuses():
    shared, layer = make_model(), layers.Dense(3)
    rates = {"rate": [0.1, 0.2]}

    def call(make=make_model, settings=rates, *, x=X, **told):
        return lambda: lamina.sweep(make, settings, x, Y, **{"verbose": 0, "validation_split": 0.2} | told)

    def uncompiled(rate):
        return lamina.Sequential([layers.Dense(1)])

    for kind, said, wrong in [
        (CallError, "make_model has no argument 'rates'. Did you mean 'rate'?", call(settings={"rates": [0.1]})),
        (ArgumentError, "make_model: missing a required argument: 'a'", call(lambda a, rate: None)),
        (ArgumentError, "'rate' is an empty list", call(settings={"rate": []})),
        (ArgumentError, "'rate' is 0.1, and not a list of values", call(settings={"rate": 0.1})),
        (ArgumentError, "for each name a list of values", call(settings={})),
        (ArgumentError, "for each name a list of values", call(settings=[0.1])),
        (ArgumentError, "takes a function that makes a compiled model", call(shared)),
        (ArgumentError, "make_model returned None", call(lambda rate: None)),
        (NotCompiledError, "call compile before make_model returns it", call(uncompiled)),
        (StackError, "returned .* twice", call(lambda rate: shared)),
        (StackError, r"returned Dense\(3\) twice", call(lambda rate: stack(layer))),
        (ArgumentError, "needs validation", call(validation_split=0.0)),
        (ArgumentError, "no such number. Did you mean 'val_loss'", call(monitor="val_los")),
        (ArgumentError, r"mode='up'\): expected one of", call(mode="up")),
        (ArgumentError, r"halving=1\): expected a whole number of at least 2", call(halving=1)),
        (ArgumentError, "a checkpoint keeps", call(checkpoint="run")),
        (DataError, "a stream of batches", call(x=iter([(X, Y)]))),
        (CallError, "fit has no argument 'epoch'", call(epoch=3)),
    ]:  # fmt: skip
        with pytest.raises(kind, match=said):
            wrong()


def test_an_error_in_one_setting_ends_the_sweep():
    def failing(setting):
        def end(epoch, logs):
            if setting["rate"] == 0.2:
                raise RuntimeError("in the callback")

        return [callbacks.LambdaCallback(on_epoch_end=end)]

    with pytest.raises(RuntimeError, match="in the callback"):
        lamina.sweep(
            make_model, {"rate": [0.1, 0.2, 0.3]}, X, Y, epochs=10_000, callbacks=failing, halving=3, monitor="loss",
            verbose=0,
        )  # fmt: skip
