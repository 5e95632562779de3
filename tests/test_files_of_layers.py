"""Every layer in a file: saved here and opened by real Keras, and the other way round, over the rows of cases.py."""

import keras
import numpy as np
import pytest
from cases import one_of_each
from test_layers import ROWS, assert_alike, data
from test_weight_names import REFUSED_BY_KERAS

import lamina
from lamina import layers
from lamina.models import load_model

REFUSED = REFUSED_BY_KERAS | {
    "MelSpectrogram sequence_length": "received input with shape",  # it says a wrong shape of the output
    "RandomShear": "could not be deserialized",  # it refuses the factors that its own configs have
}
"""Rows that real Keras cannot open, whoever saved them, and a word of its error."""
pytestmark = pytest.mark.no_cover  # as in test_layers.py
Y = np.linspace(-1, 1, ROWS, dtype="float32")[:, None]


def stack(case):
    """The row's layer with weights that are not at their tidy start, and where it can be a loss after it."""
    model = lamina.Sequential([layers.Input(case.shape), case.make(layers), layers.Flatten(), layers.Dense(1)])
    rng = np.random.default_rng(3)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape).astype(w.dtype) for w in model.weights])
    model.compile(lamina.optimizers.SGD(0.001, momentum=0.9), "mean_squared_error")
    model.optimizer.build(model.trainable_variables)
    return model


def step(model, case):
    return np.asarray(model.train_on_batch(data(case), Y))


def output(model, case):
    return model.predict_on_batch(data(case))


def assert_weights(ours, theirs, exactly):
    for mine, its in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        (np.testing.assert_array_equal if exactly else assert_alike)(mine, its)


@pytest.mark.parametrize("case", one_of_each())
@pytest.mark.filterwarnings("ignore:.*flatten.*mask", "ignore:Model doesn't support:UserWarning")
def test_to_keras_and_back(case, tmp_path):
    ours = stack(case)
    ours.save(tmp_path / "ours.keras")
    if refused := [said for row, said in REFUSED.items() if {case.name, *case.settings} >= set(row.split())]:
        with pytest.raises((ValueError, TypeError), match=refused[0]):
            keras.models.load_model(tmp_path / "ours.keras")
        assert_weights(ours, load_model(tmp_path / "ours.keras"), exactly=True)
        return
    steps = not case.random and not case.divides  # Keras's fit on JAX loses what `call` assigns to a trained weight
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    assert_weights(ours, theirs, exactly=True)
    assert_alike(output(ours, case), output(theirs, case))
    if steps:
        assert_alike(step(ours, case), step(theirs, case))
        assert_weights(ours, theirs, exactly=False)
    theirs.save(tmp_path / "theirs.keras")
    again = load_model(tmp_path / "theirs.keras")
    assert_weights(again, theirs, exactly=True)
    for mine, its in zip(again.optimizer.variables, theirs.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, np.asarray(its))
    assert_alike(output(again, case), output(theirs, case))
    if steps:
        assert_alike(step(again, case), step(theirs, case))
        assert_weights(again, theirs, exactly=False)
