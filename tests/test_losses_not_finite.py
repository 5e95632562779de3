"""Data and losses that are not finite: what the callbacks and the setting of the process make of them."""

import contextlib
import re
import warnings

import numpy as np
import pytest
from small_models import X, Y, both, dense, ours

import lamina


@ours
def test_labels_of_yes_and_no_that_are_not_finite_reach_terminate_on_nan(keras):
    y = np.arange(64) % 2.0
    y[40] = np.nan
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    history = model.fit(X, y, epochs=3, verbose=0, callbacks=keras.callbacks.TerminateOnNaN())
    assert history.epoch == [0]


@ours
def test_without_such_a_callback_data_that_are_not_finite_are_refused(keras):
    y = Y.copy()
    y[40] = np.inf
    for callbacks in (None, [keras.callbacks.EarlyStopping("loss")]):
        with pytest.raises(keras.errors.LabelError, match=r"y\[40, 0\] is inf"):
            dense(keras).fit(X, y, verbose=0, callbacks=callbacks)
    numbers = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    numbers.compile("sgd", "sparse_categorical_crossentropy")
    for bad in (np.inf, np.nan):  # Keras takes NaN for class 0
        with pytest.raises(keras.errors.LabelError, match="class labels are whole numbers"):
            numbers.fit(X, np.where(np.arange(64) == 40, bad, 0.0), callbacks=keras.callbacks.TerminateOnNaN())


def not_finite(keras, **compiled):
    """A model whose first step makes its weights so large that the second loss is infinite."""
    return dense(keras, optimizer=keras.optimizers.SGD(1e30), **compiled)


@both
def test_training_goes_on_with_a_loss_that_is_not_finite(keras):
    lamina.config.set_non_finite("warn")
    model = not_finite(keras)
    with pytest.warns(lamina.errors.LaminaWarning) if keras is lamina else contextlib.nullcontext() as seen:
        history = model.fit(X, Y, epochs=3, batch_size=16, verbose=0).history
    assert len(history["loss"]) == 3 and not np.isfinite(history["loss"]).any()
    assert np.isnan(model.get_weights()[0]).all()
    assert model.optimizer.iterations == 12
    if keras is lamina:
        [said] = seen
        assert re.match(r"the loss became (inf|nan) in epoch 1, at step 2; training goes on\.$", str(said.message))
        assert said.filename == __file__


@both
def test_train_on_batch_goes_on_with_a_loss_that_is_not_finite(keras):
    lamina.config.set_non_finite("warn")
    model = not_finite(keras)
    with pytest.warns(lamina.errors.LaminaWarning) if keras is lamina else contextlib.nullcontext():
        losses = [model.train_on_batch(X, Y) for _ in range(4)]
    assert np.isfinite(losses[0]) and not np.isfinite(losses[1:]).any()
    assert np.isnan(model.get_weights()[0]).all()


@both
def test_terminate_on_nan_ends_training_without_an_error(keras, capsys):
    model = not_finite(keras)
    stop = keras.callbacks.TerminateOnNaN()
    history = model.fit(X, Y, epochs=3, batch_size=16, verbose=0, callbacks=[stop]).history
    assert len(history["loss"]) == 1 and not np.isfinite(history["loss"]).any()
    assert "Batch 1: " in capsys.readouterr().out
    assert model.optimizer.iterations == (1 if keras is lamina else 2)  # ours undoes the second step


@ours
def test_stop_ends_training_with_the_weights_from_before(keras):
    for config in ("stop", "warn", "raise"):  # another setting is read when the next fit begins
        keras.config.set_non_finite(config)
        model, kept = not_finite(keras), []
        hear = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: lamina.config.set_non_finite("raise"))
        if config == "raise":
            with pytest.raises(keras.errors.NonFiniteError, match=r"in epoch 1, at step 2\."):
                model.fit(X, Y, batch_size=16, verbose=0, callbacks=[hear])
        else:
            with pytest.warns(keras.errors.LaminaWarning, match="epoch 1, at step 2; training"):
                kept = model.fit(X, Y, epochs=2, batch_size=16, verbose=0, callbacks=[hear]).epoch
        assert kept == {"stop": [0], "warn": [0, 1], "raise": []}[config]
        assert np.isfinite(model.get_weights()[0]).all() == (config != "warn")
    keras.config.set_non_finite("stop")
    model = not_finite(keras)
    model.train_on_batch(X, Y)
    before = model.get_weights()
    with pytest.warns(keras.errors.LaminaWarning, match=r"in train_on_batch; training stops \(model.stop_training\)"):
        model.train_on_batch(X, Y)
    assert model.stop_training and all(map(np.array_equal, before, model.get_weights()))


@ours
def test_a_callback_that_deals_with_such_a_loss_may_go_on(keras):
    class Recover(keras.callbacks.Callback):
        handles_nan = True

        def on_train_begin(self, logs=None):
            self.start, self.ends = self.model.get_weights(), []

        def on_epoch_end(self, epoch, logs=None):
            self.ends.append(np.isfinite(logs["loss"]))
            if not self.ends[-1]:
                self.model.set_weights(self.start)
                self.model.optimizer.learning_rate = 0.01
                self.model.stop_training = False

    model, recover = not_finite(keras), Recover()
    model.fit(X, Y, epochs=3, batch_size=16, verbose=0, callbacks=[recover])
    assert recover.ends == [False, True, True]


@both
def test_where_such_a_loss_is_only_said_so_are_data_that_are_not_finite(keras):
    lamina.config.set_non_finite("warn")
    x, model = X.copy(), dense(keras)
    x[3, 2] = np.nan
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        history = model.fit(x, Y, epochs=2, shuffle=False, verbose=0)
        loss = model.evaluate(x, Y, verbose=0)
        model.fit(((x[:9], Y[:9]) for _ in range(4)), steps_per_epoch=2, epochs=2, verbose=0)
    assert np.isnan([*history.history["loss"], loss]).all()
    words = [str(each.message)[:12] for each in shown if each.category is lamina.errors.LaminaWarning]
    data, loss = "x[3, 2] is N", "the loss bec"
    assert words == ([data, loss, data, data, loss] if keras is lamina else [])


@ours
def test_set_non_finite_takes_three_words(keras):
    assert keras.config.non_finite() == "raise"
    with pytest.raises(
        ValueError, match=r"set_non_finite\(does='wran'\).*'raise', 'warn', 'stop'.*Did you mean 'warn'"
    ):
        keras.config.set_non_finite("wran")
    assert keras.config.non_finite() == "raise"


@ours
def test_lr_is_learning_rate_and_says_so(keras):
    model = dense(keras, optimizer=keras.optimizers.Adam(0.5))
    with pytest.warns(keras.errors.LaminaWarning, match="^lr is Keras 2's name of learning_rate, which it sets.$"):
        model.optimizer.lr = 0.25
    assert model.optimizer.learning_rate == model.optimizer.lr == 0.25
    with pytest.raises(TypeError, match=r"Adam has no argument 'lr'\. Type learning_rate="):
        keras.optimizers.Adam(lr=0.5)
