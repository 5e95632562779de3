"""Text labels and raw tables in cross_validate, sweep, Ensemble and the estimators."""

import numpy as np
import pandas as pd
import pytest

import lamina as keras
from lamina import layers

pytest.importorskip("sklearn")
X = np.random.default_rng(0).normal(size=(80, 3)).astype("float32")
WORDS = np.where(X[:, 0] > 0, "yes", "no")
TABLE = pd.DataFrame(
    {"a": X[:, 0], "b": X[:, 1], "town of a fold": np.array(["Rome", "Oslo"])[(X[:, 2] > 0).astype(int)]}
)
TABLE.loc[::7, "b"] = None


def stack(*first):
    model = keras.Sequential([*first, layers.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


def test_folds_of_names_equal_those_of_numbers():
    found = []
    for y in (WORDS, (WORDS == "yes").astype(int)):
        keras.utils.set_random_seed(0)
        found.append(keras.cross_validate(stack(), X, y, folds=3, epochs=2, verbose=0, class_weight="balanced"))
    assert found[0].scores == found[1].scores
    np.testing.assert_array_equal(found[0].predictions, found[1].predictions)
    assert found[0].models[0].classes_ == ("no", "yes")


def test_each_fold_learns_of_the_rows_that_it_trains_on():
    space = keras.utils.FeatureSpace.from_frame(TABLE)
    found = keras.cross_validate(stack(space), TABLE, WORDS, folds=4, epochs=2, verbose=0)
    assert found.predictions.shape == (80, 1) and np.isfinite(found.predictions).all()
    for model, (rows, _) in zip(found.models, found.folds, strict=True):
        mean = float(np.asarray(model.layers[0].preprocessors["a"].mean).ravel()[0])
        assert mean == pytest.approx(TABLE["a"].iloc[rows].mean(), abs=1e-5)
        np.testing.assert_array_equal(model.classes_, ["no", "yes"])
    with pytest.raises(keras.errors.NotAdaptedError):
        space(TABLE)  # the model that was given is as it was


def test_names_in_a_sweep_and_an_ensemble():
    def make_model(units):
        model = keras.Sequential([layers.Dense(units), layers.Dense(1, activation="sigmoid")])
        model.compile("adam", "binary_crossentropy")
        return model

    swept = keras.sweep(make_model, {"units": [2, 3]}, X, WORDS, validation_split=0.2, verbose=0)
    assert swept.best_model.classes_ == ("no", "yes")
    ensemble = keras.Ensemble(stack(), 2)
    ensemble.fit(X, WORDS, verbose=0)
    assert [model.classes_ for model in ensemble.members] == [("no", "yes")] * 2


def test_all_folds_have_one_vocabulary_and_medians_of_their_own():
    towns = np.array([f"t{i}" for i in range(8)], object)[np.arange(80) % 8]
    towns[:3] = ["only one", "only two", "only three"]
    heights = np.where(np.arange(80) == 5, np.nan, X[:, 1])
    table = pd.DataFrame({"town": towns, "tall": heights})
    space = keras.utils.FeatureSpace({"town": "string_categorical", "tall": "float_normalized"})
    found = keras.cross_validate(stack(space), table, WORDS, folds=4, verbose=0)
    spaces = [model.layers[0] for model in found.models]
    assert len({tuple(space.preprocessors["town"].get_vocabulary()) for space in spaces}) == 1
    assert {model.layers[0].output_shape for model in found.models} == {(None, 14)}  # 12 towns, a height and its flag
    for space, (rows, _) in zip(spaces, found.folds, strict=True):
        assert space.get_config()["learned"]["tall"]["median"] == pytest.approx(np.nanmedian(heights[rows]), abs=1e-6)
