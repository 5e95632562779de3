"""What a callback changes while `fit` runs and only the next fit takes: a warning says so once."""

import warnings

import numpy as np
import pytest

import lamina
from lamina import callbacks, layers
from lamina.errors import LaminaWarning

X, Y = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")


def stack():
    model = lamina.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(lamina.optimizers.SGD(0.01), "mse")
    return model


@pytest.mark.parametrize("changed", ["compile", "trainable"])
def test_what_a_callback_changes_too_late_is_said_once(changed):
    model = stack()

    def change(epoch, logs):
        if epoch == 1:
            model.compile("adam", "mae") if changed == "compile" else setattr(model.layers[0], "trainable", False)

    with pytest.warns(LaminaWarning, match=rf"{changed} during fit.*next fit") as said:
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_begin=change)])
    assert len(said) == 1 and "initial_epoch=5" in str(said[0].message)


def test_what_is_put_back_or_changed_at_the_end_is_not_said():
    model = stack()

    class Toggles(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            model.trainable = False
            model.trainable = True

        def on_train_end(self, logs=None):
            model.trainable = False
            model.compile("adam", "mae")

    with warnings.catch_warnings():
        warnings.simplefilter("error", LaminaWarning)
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[Toggles()])
