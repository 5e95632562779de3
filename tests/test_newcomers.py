"""What people type in their first hour and gets an error: the message says what to type."""

import numpy as np
import pytest

import lamina as keras
from lamina import layers
from lamina.errors import ShapeError, UnknownAttributeError, UnknownImportError

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


def made():
    model = keras.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    ("module", "name", "home"),
    [
        (keras, "Dense", "layers.Dense"),
        (keras, "load_model", "models.load_model or saving.load_model"),
        (keras.optimizers, "ExponentialDecay", "optimizers.schedules.ExponentialDecay"),
    ],
)
def test_a_name_of_another_module_is_said_to_be_there(module, name, home):
    with pytest.raises(UnknownAttributeError, match=rf"no attribute '{name}'. Use instead: {home}\."):
        getattr(module, name)


def test_a_name_of_another_module_in_a_from_import_is_said_to_be_there():
    with pytest.raises(UnknownImportError, match=r"Use instead: layers\.Dense"):
        from lamina import Dense  # noqa: F401


def test_a_vector_may_be_one_sample_or_a_column():
    with pytest.raises(ShapeError, match=r"use x\[:, None\], of shape \(rows, 1\). If x is one sample, use x\[None\]"):
        made().predict(X[0], verbose=0)


def test_a_generator_that_ends_says_that_the_training_ends():
    with pytest.warns(keras.errors.LaminaWarning, match="1 of 2 in this epoch. .* so the training ends here"):
        made().fit(((X, X[:, :1]) for _ in range(3)), epochs=5, steps_per_epoch=2, verbose=0)
