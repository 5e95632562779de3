"""`history.to_frame`, `classification_report` and `permutation_importance`, beside scikit-learn's."""

import numpy as np
import pandas as pd
import pytest

import lamina as keras
from lamina import layers
from lamina.errors import ArgumentError, DataError, LabelError

sklearn = pytest.importorskip("sklearn")
X = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
NAMES = np.array(["red", "green", "blue"])[np.digitize(X[:, 1] + 0.1 * X[:, 0], [-0.5, 0.5])]


def fitted(y, units=3):
    loss = "sparse_categorical_crossentropy" if units > 1 else "binary_crossentropy"
    model = keras.Sequential([layers.Dense(units, activation="softmax" if units > 1 else "sigmoid")])
    model.compile(keras.optimizers.Adam(0.05), loss)
    model.fit(X, y, epochs=5, validation_data=(X[:20], y[:20]), validation_freq=2, verbose=0)
    return model


def test_a_history_becomes_a_frame():
    history = fitted(NAMES).history
    frame = history.to_frame()
    assert frame.index.tolist() == [0, 1, 2, 3, 4] and frame.index.name == "epoch"
    np.testing.assert_array_equal(frame["loss"], history.history["loss"])
    assert frame["val_loss"].isna().tolist() == [True, False, True, False, True]


@pytest.mark.parametrize(
    "y", [NAMES, np.where(X[:, 0] > 0, "yes", "no"), (X[:, 0] > 0).astype(int)], ids=["3", "2", "numbers"]
)
def test_a_report_equals_that_of_scikit_learn(y, tmp_path):
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    model = fitted(y, 3 if y is NAMES else 1)
    report = keras.utils.classification_report(model, X, y, to_file=tmp_path / "confusion.png")
    told = model.predict_classes(X, verbose=0).reshape(-1)
    np.testing.assert_array_equal(report.confusion, confusion_matrix(y, told))
    wanted = np.transpose(precision_recall_fscore_support(y, told, zero_division=0))
    found = [[row[name] for name in ("precision", "recall", "f1", "rows")] for row in report.rows]
    np.testing.assert_allclose(found, wanted)
    assert report.accuracy == accuracy_score(y, told)
    assert str(report.rows[0]["class"]) in repr(report) and "<table" in report._repr_html_()
    assert len(report.frame()) == len(report.rows)
    assert (tmp_path / "confusion.png").read_bytes()[:4] == b"\x89PNG"


def test_one_hot_rows_and_what_is_refused():
    model = fitted(np.searchsorted(["blue", "green", "red"], NAMES))
    numbers = np.searchsorted(["blue", "green", "red"], NAMES)
    same = [keras.utils.classification_report(model, X, y).confusion for y in (numbers, np.eye(3)[numbers])]
    np.testing.assert_array_equal(*same)
    for wrong, said in ((numbers[:5], "one class"), (numbers + 7, "from 7 to 9"), (X[:, 0], "one class")):
        with pytest.raises(DataError, match=said):
            keras.utils.classification_report(model, X, wrong)
    with pytest.raises((DataError, LabelError), match="maybe"):
        keras.utils.classification_report(fitted(NAMES), X, np.where(NAMES == "red", "maybe", NAMES))


@pytest.mark.parametrize("framed", [False, True])
def test_the_column_that_the_target_comes_from_is_the_most_important(framed):
    model = keras.Sequential([layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.1), "mse")
    x = pd.DataFrame(X, columns=["a", "b", "c"]) if framed else X
    model.fit(x, 3 * X[:, 1] + X[:, 2], epochs=8, verbose=0)
    found = keras.utils.permutation_importance(model, x, 3 * X[:, 1] + X[:, 2], random_state=0)
    assert [row["column"] for row in found.rows] == (["b", "c", "a"] if framed else ["1", "2", "0"])
    assert found.rows[0]["importance"] > 10 * abs(found.rows[2]["importance"]) and "importance" in repr(found)
    with pytest.raises(ArgumentError, match="n_repeats"):
        keras.utils.permutation_importance(model, x, X[:, 0], n_repeats=0)
