"""What a callback assigns holds, and Ctrl-C loses no weight."""

import signal

import numpy as np
import pytest
from small_models import X, Y, both, dense, ours

from lamina._programs import programs


@ours
@pytest.mark.parametrize("verb", ["fit", "train_on_batch"])
def test_ctrl_c_pressed_twice_during_a_compiled_step_loses_no_weight(keras, verb, monkeypatch):
    model, ready = dense(keras, optimizer="adam"), programs.Program.ready
    model.train_on_batch(X, Y)
    before = model.get_weights()

    def pressed(program):
        def run(*arguments):
            result = ready(program)(*arguments)
            for _ in range(2 if len(arguments) > 1 else 0):  # a program of one argument copies the weights
                signal.raise_signal(signal.SIGINT)
            return result

        return run

    monkeypatch.setattr(programs.Program, "ready", pressed)
    with pytest.raises(KeyboardInterrupt):
        getattr(model, verb)(X, Y)
    monkeypatch.undo()
    after = model.get_weights()
    assert not np.array_equal(before[0], after[0]) and int(model.optimizer.iterations) >= 2
    assert model.train_on_batch(X, Y) > 0


@both
def test_what_a_callback_assigns_before_the_first_batch_holds(keras):
    class Sets(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if batch == 0:
                self.model.layers[0].kernel.assign(np.zeros((4, 3), "float32"))
                self.model.optimizer.learning_rate = 0.0

    model = dense(keras)
    model.fit(X, Y, verbose=0, callbacks=[Sets()])
    assert not np.asarray(model.layers[0].kernel).any()


@both
def test_what_a_callback_assigns_after_the_last_batch_holds(keras):
    class Clips(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            for weight in self.model.weights:
                weight.assign(np.clip(np.asarray(weight), -0.01, 0.01))
            self.model.optimizer.learning_rate = 0.25

    model = dense(keras)
    model.fit(X, Y, verbose=0, callbacks=[Clips()])
    assert max(np.abs(w).max() for w in model.get_weights()) <= 0.01
    assert float(model.optimizer.learning_rate) == 0.25
    model.fit(X, Y, batch_size=64, verbose=0, callbacks=[Clips()])
    assert max(np.abs(w).max() for w in model.get_weights()) <= 0.01


@both
def test_an_input_says_the_shape_with_the_batch_axis(keras):
    assert keras.Input((3, 4)).shape == (None, 3, 4)
    assert keras.Input(batch_shape=(2, 3)).shape == (2, 3)
