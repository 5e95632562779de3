"""Estimators of scikit-learn: its own checks, and what its users do with them."""

import copy
import importlib
import pickle
import sys
from collections import Counter

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, check_regressor_multioutput

import lamina
from lamina import Sequential, layers
from lamina._programs import programs
from lamina.errors import ArgumentError, MissingPackageError, NotCompiledError
from lamina.wrappers import LaminaClassifier, LaminaRegressor, SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

QUIET = {"epochs": 30, "verbose": 0}
IRIS, KINDS = load_iris(return_X_y=True)
IRIS = StandardScaler().fit_transform(IRIS).astype("float32")
NAMES = load_iris().target_names[KINDS]


def network(X, y, loss="categorical_crossentropy", activation="softmax", rate=0.01):
    outputs = y.shape[1] if y.ndim > 1 else 1
    model = Sequential([layers.Input(X.shape[1:]), layers.Dense(20, "relu"), layers.Dense(outputs, activation)])
    model.compile(lamina.optimizers.Adam(rate), loss)
    return model


def line(X, y, units=20, last="softmax"):
    return [layers.Dense(units, "relu"), layers.Dense(y.shape[1], last)]


NUMBERS = {"loss": "mse", "activation": None}
ESTIMATORS = {
    "SKLearnClassifier": SKLearnClassifier(network, fit_kwargs=QUIET),
    "SKLearnRegressor": SKLearnRegressor(network, model_kwargs=NUMBERS, fit_kwargs=QUIET),
    "SKLearnTransformer": SKLearnTransformer(network, model_kwargs=NUMBERS, fit_kwargs=QUIET),
    "LaminaClassifier": LaminaClassifier(line, learning_rate=0.01),
    "LaminaRegressor": LaminaRegressor(line, layers_kwargs={"last": None}, learning_rate=0.01),
}
KERAS = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]
EQUIVALENCE = {"check_sample_weight_equivalence_on_dense_data", "check_sample_weight_equivalence_on_sparse_data"}


@pytest.mark.parametrize("name", ["SKLearnRegressor", "LaminaRegressor"])
@pytest.mark.filterwarnings("ignore")
def test_regressors_of_several_outputs_pass_the_check_of_scikit_learn(name):
    check_regressor_multioutput(name, ESTIMATORS[name])


NIGHTLY = "SKLearnRegressor", "LaminaRegressor"


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.nightly) if each in NIGHTLY else each for each in ESTIMATORS]
)
@pytest.mark.filterwarnings("ignore")
def test_all_checks_of_scikit_learn(name):
    """Two rows of weight 1 and one row of weight 2 make other batches, which is all that may differ."""
    results = check_estimator(ESTIMATORS[name], on_fail=None)
    failed = {
        result["check_name"]: str(result["exception"])[:500] for result in results if result["status"] == "failed"
    }
    assert len(results) > 40 and failed.keys() <= (set() if name in KERAS else EQUIVALENCE), failed
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}


def test_the_arguments_are_keras_s():
    for name in KERAS:
        ours, theirs = ESTIMATORS[name], getattr(keras.wrappers, name)(None)
        assert ours.get_params().keys() == theirs.get_params().keys()
        assert {k: getattr(type(ours)(None), k) for k in theirs.get_params()} == theirs.get_params()


@pytest.mark.parametrize("name", ["SKLearnClassifier", "LaminaClassifier"])
def test_classes_that_are_names_come_back(name):
    fitted = clone(ESTIMATORS[name]).fit(pd.DataFrame(IRIS, columns=list("abcd")), NAMES)
    frame = pd.DataFrame(IRIS, columns=list("abcd"))
    assert fitted.classes_.tolist() == sorted(set(NAMES)) and fitted.feature_names_in_.tolist() == list("abcd")
    assert fitted.score(frame, NAMES) > 0.93 and set(fitted.predict(frame)) == set(NAMES)
    shares = fitted.predict_proba(frame)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_array_equal(fitted.classes_[shares.argmax(1)], fitted.predict(frame))
    assert fitted.n_iter_ == len(fitted.history_.history["loss"]) == fitted.get_params().get("epochs", 30)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))], ids=["deep", "pickle"]
)
def test_a_fitted_estimator_is_copied(copied):
    fitted = clone(ESTIMATORS["LaminaClassifier"]).set_params(epochs=2).fit(IRIS, NAMES)
    twin = copied(fitted)
    np.testing.assert_array_equal(twin.predict_proba(IRIS), fitted.predict_proba(IRIS))
    assert twin.history_.history == fitted.history_.history
    assert not hasattr(clone(fitted), "model_")


def test_a_model_given_as_it_is_is_not_trained():
    """Each fit trains a copy of it, of equal first weights; with warm_start, it itself."""
    model = network(IRIS, np.eye(3)[KINDS])
    before = model.get_weights()
    estimator = SKLearnClassifier(model, fit_kwargs={"verbose": 0})
    first = estimator.fit(IRIS, NAMES).model_.get_weights()
    np.testing.assert_array_equal(estimator.fit(IRIS, NAMES).model_.get_weights()[0], first[0])
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    warm = SKLearnClassifier(model, warm_start=True, fit_kwargs={"verbose": 0})
    assert warm.fit(IRIS, NAMES).model_ is model and warm.fit(IRIS, NAMES).model_ is model and warm.n_iter_ == 2
    assert not np.array_equal(model.get_weights()[0], before[0])


def test_each_loss_gets_the_targets_that_it_takes():
    two, kinds = IRIS[:100], NAMES[:100]
    ends = [
        ("sparse_categorical_crossentropy", layers.Dense(2, "softmax")),
        ("categorical_crossentropy", layers.Dense(2, "softmax")),
        (lamina.losses.SparseCategoricalCrossentropy(from_logits=True), layers.Dense(2)),
        ("binary_crossentropy", layers.Dense(1, "sigmoid")),
        (lamina.losses.BinaryCrossentropy(from_logits=True), layers.Dense(1)),
        ("hinge", layers.Dense(1, "tanh")),
        ("mse", layers.Dense(1)),
        (None, layers.Dense(1)),
        (None, layers.Dense(2, "softmax")),
    ]
    for loss, end in ends:
        stack = [layers.Dense(8, "relu"), end]
        fitted = LaminaClassifier(stack, loss=loss, learning_rate=0.02, random_state=0).fit(two, kinds)
        assert fitted.score(two, kinds) > 0.97, loss
        chances = fitted.predict_proba(two)
        assert chances.shape == (100, 2)
        if loss not in ("hinge", "mse"):
            np.testing.assert_array_equal(fitted.classes_[chances.argmax(axis=1)], fitted.predict(two))


def test_a_search_over_learning_rates_compiles_one_fit_and_one_predict():
    made = []

    class Counted(dict):
        def __setitem__(self, key, value):
            made.append(key)
            super().__setitem__(key, value)

        def move_to_end(self, key):
            pass

    kept, programs._compiled = programs._compiled, Counted()
    try:
        folds = StratifiedKFold(3)
        one = clone(ESTIMATORS["LaminaClassifier"]).set_params(epochs=2)
        for rows, held in folds.split(IRIS, KINDS):
            one.fit(IRIS[rows], NAMES[rows]).predict(IRIS[held])
        alone = Counter(map(str, made))
        search = GridSearchCV(one, {"learning_rate": list(np.geomspace(1e-4, 1, 20))}, cv=folds, refit=False)
        search.fit(IRIS, NAMES)
    finally:
        programs._compiled = kept
    assert alone and Counter(map(str, made)) == alone
    assert search.best_params_["learning_rate"] > 0.001 and len(search.cv_results_["params"]) == 20


def test_processes_of_joblib_and_pipelines():
    estimator = LaminaClassifier(line, epochs=2, random_state=1)
    with joblib.parallel_config(backend="loky", n_jobs=2):
        apart = cross_val_predict(estimator, IRIS, NAMES, cv=2, method="predict_proba")
    together = cross_val_predict(estimator, IRIS, NAMES, cv=2, method="predict_proba")
    np.testing.assert_allclose(apart, together, atol=1e-5)
    X, y = load_diabetes(return_X_y=True)
    made = make_pipeline(
        StandardScaler(), LaminaRegressor(line, layers_kwargs={"last": None}, learning_rate=0.02, random_state=0)
    )
    assert cross_val_score(made, X, y, cv=3).mean() > 0.4
    X, y = load_breast_cancer(return_X_y=True)
    made = make_pipeline(StandardScaler(), LaminaClassifier(line, epochs=20, random_state=0))
    assert cross_val_score(made, X, y, cv=3, scoring="roc_auc").mean() > 0.98


def test_metrics_are_measured_beside_the_loss():
    fitted = LaminaClassifier(line, metrics=["accuracy"], epochs=2, random_state=0).fit(IRIS, NAMES)
    assert set(fitted.history_.history) == {"accuracy", "loss"}


def test_partial_fit_and_warm_start():
    estimator = LaminaClassifier(line, random_state=0, epochs=3)
    for rows in (slice(0, 60), slice(60, 150)):
        estimator.partial_fit(IRIS[rows], NAMES[rows], classes=np.unique(NAMES))
    assert estimator.n_iter_ == 2 and estimator.predict_proba(IRIS).shape == (150, 3)
    with pytest.raises(ArgumentError, match="class that is not among those of the first fit: 'oak'"):
        estimator.partial_fit(IRIS[:2], ["oak", "oak"])
    warm = LaminaRegressor(line, layers_kwargs={"last": None}, warm_start=True, random_state=0, epochs=3)
    assert warm.fit(IRIS, KINDS).partial_fit(IRIS, KINDS).fit(IRIS, KINDS).n_iter_ == 7


def test_weights_of_classes_and_of_rows():
    rows = np.r_[0:50, 50:55]
    X, y = IRIS[rows] * 0.05, NAMES[rows]
    stack = [layers.Dense(1, "sigmoid")]
    plain, balanced, weighted = (
        LaminaClassifier(stack, random_state=0, class_weight=told, learning_rate=0.02).fit(X, y, sample_weight=weights)
        for told, weights in ((None, None), ("balanced", None), (None, np.where(y == "setosa", 0.55, 5.5)))
    )
    assert plain.predict(X).tolist() == ["setosa"] * 55 and set(balanced.predict(X)) == {"setosa", "versicolor"}
    np.testing.assert_allclose(balanced.predict_proba(X), weighted.predict_proba(X), atol=1e-6)


def test_images_and_several_outputs():
    images = np.random.default_rng(0).normal(size=(40, 6, 6, 1)).astype("float32")
    stack = [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]
    targets = images.reshape(40, -1)[:, :3]
    fitted = LaminaRegressor(stack, epochs=1).fit(images, targets)
    assert fitted.predict(images).shape == (40, 3)
    features = SKLearnTransformer(network(IRIS, targets, **NUMBERS), fit_kwargs={"verbose": 0})
    named = features.set_output(transform="pandas").fit_transform(IRIS[:40], targets)
    assert list(named.columns) == [f"sklearntransformer{i}" for i in range(3)]


def test_routed_arguments():
    estimator = SKLearnClassifier(network, fit_kwargs={"verbose": 0})
    with pytest.raises(RuntimeError, match="enable_metadata_routing=True"):
        estimator.set_fit_request(epochs=True)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(estimator.set_fit_request(epochs=True), {"model_kwargs": [{"rate": 0.1}]}, cv=2)
        assert search.fit(IRIS, NAMES, epochs=3).best_estimator_.n_iter_ == 3


def test_what_is_refused(monkeypatch):
    uncompiled = Sequential([layers.Dense(3)])
    for model, kind, said in [
        (uncompiled, NotCompiledError, "the model needs a loss and an optimizer"),
        (lambda X, y: 3, ArgumentError, "returned 3; expected a Sequential"),
        ("net", ArgumentError, "model is a Sequential or a function that returns one, got 'net'"),
    ]:
        with pytest.raises(kind, match=said):
            SKLearnClassifier(model).fit(IRIS, NAMES)
    with pytest.raises(ArgumentError, match="layers is a list of layers, or a function that returns one; got 3"):
        LaminaRegressor(3).fit(IRIS, KINDS)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "lamina.wrappers.estimator")
    monkeypatch.delitem(sys.modules, "lamina.wrappers.stacks")
    with pytest.raises(MissingPackageError, match=r"pip install scikit-learn"):
        importlib.import_module("lamina.wrappers.stacks")
