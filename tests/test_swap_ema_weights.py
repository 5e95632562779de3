"""SwapEMAWeights measures, predicts and saves with the averages, as Keras's does from equal weights."""

import keras
import numpy as np
import pytest

import lamina
from lamina import callbacks
from lamina.callbacks import SwapEMAWeights
from lamina.errors import ArgumentError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(24, 3)).astype("float32"), rng.normal(size=(24, 1)).astype("float32")


def dense(library):
    model = library.Sequential([library.layers.Input((3,)), library.layers.Dense(4, "tanh"), library.layers.Dense(1)])
    model.compile(library.optimizers.SGD(0.2, use_ema=True, ema_momentum=0.9), "mse")
    return model


OURS, KERAS = dense(lamina), dense(keras)
START = OURS.get_weights()


class Weights:
    """A callback of either library that notes the weights at the end of each epoch."""

    def __new__(cls, library):
        made = library.callbacks.LambdaCallback()
        made.seen = []
        made.on_epoch_end = lambda epoch, logs: made.seen.append(made.model.get_weights())
        return made


def fitted(library, model, *callback, epochs=2, **arguments):
    """A run from the start.  -> (history, the weights that a later callback sees after each epoch)"""
    model.compile(library.optimizers.SGD(0.2, use_ema=True, ema_momentum=0.9), "mse")
    model.set_weights(START)
    watch = Weights(library)
    arguments = {"batch_size": 8, "shuffle": False, "verbose": 0, **arguments}
    history = model.fit(X, Y, epochs=epochs, callbacks=[*callback, watch], **arguments)
    return history.history, watch.seen


def assert_equal(ours, theirs):
    for each, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(each, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_a_training_is_that_of_keras(swap_on_epoch):
    data = {"validation_data": (X[:8], Y[:8])}
    runs = [
        fitted(library, model, library.callbacks.SwapEMAWeights(swap_on_epoch), **data)
        for library, model in ((lamina, OURS), (keras, KERAS))
    ]
    (ours, seen), (theirs, seen_there) = runs
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5, err_msg=name)
    for each, other in zip(seen, seen_there, strict=True):
        assert_equal(each, other)
    assert_equal(OURS.get_weights(), KERAS.get_weights())
    plain, _ = fitted(lamina, OURS, **data)
    assert plain["loss"] == ours["loss"] and plain["val_loss"] != ours["val_loss"]


def test_the_checkpoint_behind_it_has_the_averages(tmp_path):
    seen = {}
    for library, model in ((lamina, OURS), (keras, KERAS)):
        file = str(tmp_path / f"{library.__name__}.weights.h5")
        saving = library.callbacks.ModelCheckpoint(file, save_weights_only=True)
        fitted(library, model, library.callbacks.SwapEMAWeights(True), saving, epochs=1)
        model.set_weights(START)
        model.load_weights(file)
        seen[library] = model.get_weights()
    assert_equal(seen[lamina], seen[keras])


def test_evaluate_and_predict_use_the_averages_and_put_the_weights_back():
    measured = []
    for library, model in ((lamina, OURS), (keras, KERAS)):
        inside = library.callbacks.LambdaCallback()
        swap = library.callbacks.SwapEMAWeights()

        def measure(epoch, logs, model=model, swap=swap, here=measured):
            before = model.get_weights()
            here.append(model.evaluate(X, Y, verbose=0, callbacks=[swap]))
            assert_equal(before, model.get_weights())
            here.append(model.predict(X, verbose=0, callbacks=[swap]))

        inside.on_epoch_end = measure
        fitted(library, model, inside, epochs=1)
    np.testing.assert_allclose(measured[0], measured[2], rtol=1e-5)
    np.testing.assert_allclose(measured[1], measured[3], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(measured[1], OURS.predict(X, verbose=0), rtol=1e-4, atol=1e-6)  # with which fit ends


def test_predict_puts_the_weights_back():
    seen = []
    swap = SwapEMAWeights()
    watch = callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.extend(
            [
                OURS.get_weights(),
                OURS.predict(X, verbose=0, callbacks=[swap]),
                OURS.predict(X, verbose=0),
                OURS.get_weights(),
            ]
        )
    )
    fitted(lamina, OURS, watch, epochs=1)
    before, averaged, plain, after = seen
    assert_equal(before, after)
    assert not np.allclose(averaged, plain, rtol=1e-3)


def test_a_training_that_a_callback_ends_has_the_averages():
    """Keras gives the last weights here."""
    stop = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(OURS, "stop_training", True))
    fitted(lamina, OURS, SwapEMAWeights(True), stop, epochs=5)
    ended = OURS.get_weights()
    fitted(lamina, OURS, epochs=1)
    assert_equal(ended, OURS.get_weights())
    again = SwapEMAWeights(True)
    histories = [OURS.fit(X, Y, epochs=2, verbose=0, shuffle=False, callbacks=again).history["loss"] for _ in range(2)]
    assert histories[1][0] < histories[0][0]  # the second one goes on from the averages of the first


@pytest.mark.parametrize("dies_at", [("epoch", 1), ("batch", 1)])
def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path, dies_at):
    def run(folder, dies):
        def die(place, logs):
            if dies and (seen or dies_at[0] == "epoch") and place == dies_at[1]:
                raise KeyboardInterrupt

        seen = []
        stop = callbacks.LambdaCallback(**{f"on_{dies_at[0].replace('batch', 'train_batch')}_begin": die})
        note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
        swap, keep = SwapEMAWeights(True), callbacks.Checkpoint(tmp_path / folder, every=1)
        history, _ = fitted(lamina, OURS, swap, note, stop, epochs=3, checkpoint=keep, validation_data=(X[:8], Y[:8]))
        return history, OURS.get_weights()

    expected, weights = run("whole", dies=False)
    with pytest.raises(KeyboardInterrupt):
        run("stopped", dies=True)
    history, ended = run("stopped", dies=False)
    assert history == expected
    for mine, other in zip(ended, weights, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_before_the_first_step_there_are_no_averages():
    OURS.compile(lamina.optimizers.SGD(0.2, use_ema=True), "mse")
    OURS.set_weights(START)
    assert OURS.evaluate(X, Y, verbose=0, callbacks=SwapEMAWeights()) == OURS.evaluate(X, Y, verbose=0)


def test_under_a_loss_scale_it_finds_the_averages():
    inner = lamina.optimizers.SGD(0.2, use_ema=True, ema_momentum=0.9)
    OURS.compile(lamina.optimizers.LossScaleOptimizer(inner), "mse")
    OURS.set_weights(START)
    scaled = OURS.fit(
        X, Y, batch_size=8, shuffle=False, verbose=0, validation_data=(X, Y), callbacks=SwapEMAWeights()
    ).history  # fmt: skip
    plain, _ = fitted(lamina, OURS, SwapEMAWeights(), epochs=1, validation_data=(X, Y))
    np.testing.assert_allclose(scaled["val_loss"], plain["val_loss"], rtol=1e-5)


def test_an_optimizer_without_averages_is_refused_before_the_first_step():
    OURS.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match=r"use_ema=True\), \.\.\.\)\. Got SGD"):
        OURS.fit(X, Y, verbose=0, callbacks=SwapEMAWeights())
    assert int(OURS.optimizer.iterations) == 0
    with pytest.raises(ArgumentError, match="True or False"):
        SwapEMAWeights(1)
