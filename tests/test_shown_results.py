"""What a notebook shows of a cross-validation, and of a history of one epoch."""

import numpy as np

import lamina as keras
from lamina import layers

X = np.random.default_rng(0).normal(size=(30, 3)).astype("float32")


def made():
    model = keras.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_a_cross_validation_shows_the_curves_and_the_scores_of_its_folds():
    found = keras.cross_validate(made(), X, X[:, :1], folds=3, epochs=2, verbose=0)
    shown = found._repr_html_()
    assert "<svg" in shown and "3 folds - loss: " in shown
    for score in found.scores:
        assert f">{score['loss']:.4g}</td>" in shown
    assert shown.count("<tr>") == 4


def test_a_history_of_one_epoch_is_a_table_without_curves():
    one, two = (made().fit(X, X[:, :1], epochs=epochs, verbose=0)._repr_html_() for epochs in (1, 2))
    assert "History of 1 epoch<" in one and "<svg" not in one
    assert "History of 2 epochs<" in two and "<svg" in two
