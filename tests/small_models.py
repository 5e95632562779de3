"""Small models and data that several files of tests share, and which library a test runs with.

`both` runs a program with our import and, each night, with real Keras, which stays as it is; `ours` only with our
import, where Keras has no such thing or gives another answer.
"""

import contextlib

import keras as real_keras
import numpy as np
import pytest

import lamina

both = pytest.mark.parametrize(
    "keras", [pytest.param(lamina, id="lamina"), pytest.param(real_keras, id="keras", marks=pytest.mark.nightly)]
)
ours = pytest.mark.parametrize("keras", [lamina], ids=["lamina"])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype("float32")
Y = RNG.normal(size=(64, 3)).astype("float32")


def dense(keras, *units, **compiled):
    """A stack of Dense layers on four columns, compiled with plain gradient descent."""
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(n) for n in units or (3,))])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compiled})
    return model


def says(keras, message):
    """The warning that our import gives, and that real Keras does not have."""
    return pytest.warns(lamina.errors.LaminaWarning, match=message) if keras is lamina else contextlib.nullcontext()


def stack(keras, kind=None, regularizer="l2", **compiled):
    """A stack with moving averages, a regularizer and the same weights each time, of a subclass of Sequential."""
    layers = keras.layers
    model = (kind or keras.Sequential)(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="relu", kernel_regularizer=regularizer),
            layers.BatchNormalization(),
            layers.Dense(3),
        ]
    )
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) if w.ndim > 1 else np.abs(w) for w in model.get_weights()])
    model.compile(**{"optimizer": "sgd", "loss": "mse", "metrics": ["mae"], **compiled})
    return model
