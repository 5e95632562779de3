"""Searches, folds and pipelines of scikit-learn over stacks that take frames as they are."""

import numpy as np
import pandas as pd
import pytest

import lamina as keras
from lamina import layers
from lamina.errors import DataError, LabelError

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from lamina.wrappers import LaminaClassifier, LaminaRegressor

polars = pytest.importorskip("polars")
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {"a": RNG.normal(size=90), "town": ["Rome", "Oslo"] * 30 + ["Bonn"] * 30, "day": pd.date_range("2020", periods=90)}
)
TABLE.loc[::9, "a"] = None
WORDS = np.where(TABLE["town"] == "Rome", "yes", "no")
KINDS = {"a": "float_normalized", "town": "string_categorical", "day": "date"}
FOLDS, MIXED = KFold(3), KFold(3, shuffle=True, random_state=0)


def classifier(**settings):
    stack = [keras.utils.FeatureSpace(KINDS), layers.Dense(2, "softmax")]
    return LaminaClassifier(stack, **{"epochs": 20, "learning_rate": 0.1, "random_state": 0, **settings})


def as_given(table):
    return table


FRAMES = {"pandas": as_given, "polars": polars.from_pandas}


@pytest.mark.parametrize("kind", ["pandas", pytest.param("polars", marks=pytest.mark.nightly)])
def test_a_search_over_frames_names_the_classes_and_its_folds_learn_for_themselves(kind):
    table, estimator = FRAMES[kind](TABLE), classifier()
    search = GridSearchCV(estimator, {"epochs": [1, 20]}, cv=MIXED).fit(table, WORDS)
    assert search.best_params_ == {"epochs": 20} and search.best_score_ > 0.95
    assert search.classes_.tolist() == ["no", "yes"]
    assert (search.predict(table[["town", "day", "a"]]) == WORDS).mean() > 0.95  # columns go by name
    assert estimator.layers[0]._lamina_needs_adapting and clone(search.best_estimator_).layers[0]._lamina_needs_adapting
    folds = cross_validate(estimator, table, WORDS, cv=FOLDS, return_estimator=True)["estimator"]
    spaces = [fold.model_.layers[0] for fold in folds]
    assert [len(space.preprocessors["town"].get_vocabulary()) for space in spaces] == [4, 4, 3]  # the last lacks Bonn
    assert len({space._lamina.learned["a"].median for space in spaces}) == 3


@pytest.mark.nightly
@pytest.mark.parametrize("kind", FRAMES)
def test_pipelines_predictions_of_folds_processes_and_regressions(kind):
    table = FRAMES[kind](TABLE)
    line = Pipeline([("as it is", FunctionTransformer(as_given)), ("net", classifier())])
    search = GridSearchCV(line, {"net__epochs": [1, 20]}, cv=MIXED, n_jobs=2).fit(table, WORDS)
    assert search.best_params_ == {"net__epochs": 20} and search.score(table, WORDS) > 0.95
    assert cross_val_predict(line, table, WORDS, cv=FOLDS, method="predict_proba").shape == (90, 2)
    stacks = [[keras.utils.FeatureSpace(KINDS), layers.Dense(units, "relu"), layers.Dense(1)] for units in (1, 16)]
    regressor = LaminaRegressor(stacks[0], epochs=60, learning_rate=0.1, random_state=0)
    y = (WORDS == "yes") * 2.0
    assert GridSearchCV(regressor, {"layers": stacks}, cv=MIXED).fit(table, y).best_score_ > 0.9


def test_what_an_estimator_of_tables_refuses_is_said():
    with pytest.raises(DataError, match=r"X is a dict, and an estimator takes frames: pandas.DataFrame\(X\)"):
        classifier().fit(TABLE.to_dict("list"), WORDS)
    with pytest.raises(LabelError, match="y has no label in row 3: None"):
        classifier().fit(TABLE, np.where(np.arange(90) == 3, None, WORDS))
    fitted = classifier(epochs=1).fit(pd.DataFrame(TABLE.to_dict("list")), WORDS)
    with pytest.raises(DataError, match="needs the columns 'day'"):
        fitted.predict(TABLE[["a", "town"]])
