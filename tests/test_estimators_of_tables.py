"""Estimators of scikit-learn whose stacks begin with a FeatureSpace: frames with text, gaps and dates."""

import numpy as np
import pandas as pd
import pytest

import lamina as keras
from lamina import layers

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from lamina.wrappers import LaminaClassifier, LaminaRegressor, SKLearnClassifier

RNG = np.random.default_rng(0)
TABLE = pd.DataFrame({"a": RNG.normal(size=90), "town": RNG.choice(["Rome", "Oslo"], 90)})
TABLE.loc[::9, "a"] = None
WORDS = np.where(TABLE["town"] == "Rome", "yes", "no")
KINDS = {"a": "float_normalized", "town": "string_categorical"}


def stack(last="softmax"):
    return [keras.utils.FeatureSpace(KINDS), layers.Dense(8, "relu"), layers.Dense(2, last)]


def test_a_classifier_takes_frames_of_text_and_a_clone_forgets_what_fit_learned():
    estimator = LaminaClassifier(stack(), epochs=30, learning_rate=0.05, random_state=0)
    estimator.fit(TABLE, WORDS)
    assert estimator.score(TABLE, WORDS) == 1.0
    assert estimator.predict(TABLE[["town", "a"]][:3]).tolist() == WORDS[:3].tolist()  # columns go by name
    assert estimator.predict_proba(TABLE).shape == (90, 2)
    assert list(estimator.feature_names_in_) == ["a", "town"] and estimator.n_features_in_ == 2
    again = clone(estimator)
    assert again.layers[0]._lamina_needs_adapting
    other = TABLE.assign(town=TABLE["town"].replace("Rome", "Bonn"))
    again.fit(other, WORDS)
    assert set(again.model_.layers[0].preprocessors["town"].get_vocabulary()) == {"[UNK]", "Oslo", "Bonn"}


def test_folds_of_scikit_learn_and_a_validation_split():
    estimator = LaminaClassifier(stack(), epochs=30, learning_rate=0.05, random_state=0, class_weight="balanced")
    assert cross_val_score(estimator, TABLE, WORDS, cv=3).min() == 1.0
    town = ["Rome", "Oslo"] * 30 + ["Bonn"] * 30
    estimator.set_params(validation_split=1 / 3, epochs=1).fit(TABLE.assign(town=town), WORDS)
    assert "Bonn" not in estimator.model_.layers[0].preprocessors["town"].get_vocabulary()


def test_a_regressor_and_a_function_that_makes_the_stack():
    regressor = LaminaRegressor([keras.utils.FeatureSpace(KINDS), layers.Dense(1)], epochs=60, learning_rate=0.1)
    y = (WORDS == "yes") * 2.0
    assert regressor.fit(TABLE, y).score(TABLE, y) > 0.9

    def network(X, y):
        model = keras.Sequential(stack())
        model.compile("adam", "categorical_crossentropy")
        return model

    estimator = SKLearnClassifier(network, fit_kwargs={"epochs": 2, "verbose": 0}).fit(TABLE, WORDS)
    assert set(estimator.predict(TABLE)) <= {"yes", "no"}
