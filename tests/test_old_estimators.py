"""The estimators of Keras 2 and of scikeras, which programs import through `lamina run`."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score

import lamina
from lamina import layers
from lamina.compat.estimators import KerasClassifier, KerasRegressor
from lamina.compat.scikeras import wrappers
from lamina.errors import ArgumentError, NotCompiledError

X, Y = load_iris(return_X_y=True)
X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype("float32")
ONE_HOT = np.eye(3)[Y]


def create_model(units=8, rate=0.02):
    model = lamina.Sequential([layers.Dense(units, "relu", input_dim=4), layers.Dense(3, "softmax")])
    model.compile(lamina.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
    return model


def uncompiled(meta, compile_kwargs, units=5):
    kind = "sigmoid" if meta["target_type_"] == "binary" else "softmax" if "n_classes_" in meta else None
    last = layers.Dense(meta.get("n_classes_", meta["n_outputs_"]), kind)
    assert set(compile_kwargs) == {"optimizer", "loss", "metrics"}
    return lamina.Sequential([layers.Input((meta["n_features_in_"],)), layers.Dense(units), last])


def test_keras_2_gives_the_history_and_keeps_the_model():
    estimator = KerasClassifier(build_fn=create_model, epochs=15, verbose=0)
    history = estimator.fit(X, ONE_HOT, epochs=16)
    assert len(history.history["loss"]) == 16 and estimator.model.count_params() == 67
    assert estimator.predict(X[:2], batch_size=1).shape == (2,) and estimator.predict_proba(X, verbose=0).shape == (
        150,
        3,
    )
    assert estimator.score(X, ONE_HOT) == estimator.score(X, Y) > 0.9
    assert KerasClassifier(create_model, verbose=0).fit(X, Y + 5).params["epochs"] == 1


def test_arguments_go_where_their_names_say():
    estimator = KerasClassifier(build_fn=create_model, units=4, epochs=2, verbose=0)
    assert estimator.get_params() == {"build_fn": create_model, "units": 4, "epochs": 2, "verbose": 0}
    assert clone(estimator).set_params(units=6).get_params()["units"] == 6
    search = GridSearchCV(estimator, {"units": [3, 7], "batch_size": [50]}, cv=2, error_score="raise").fit(X, Y)
    assert search.best_estimator_.model.layers[0].units == search.best_params_["units"]
    assert np.isfinite(cross_val_score(estimator, X, ONE_HOT, cv=2)).all()
    for wrong, said in [
        (
            lambda: KerasClassifier(build_fn=create_model, eopchs=3),
            "eopchs is not an argument of create_model, compile or",
        ),
        (lambda: KerasClassifier(), "KerasClassifier takes a function that returns a model, as in build_fn=make."),
        (lambda: estimator.set_params(depth=3), "depth is not an argument of create_model"),
    ]:
        with pytest.raises(ArgumentError, match=said):
            wrong()
    assert estimator.get_params()["units"] == 4


def test_a_subclass_makes_the_model_when_it_is_called():
    class Own(KerasClassifier):
        def __call__(self, units=3):
            return create_model(units)

    fitted = Own(units=9, verbose=0)
    fitted.fit(X, Y)
    assert fitted.model.layers[0].units == 9


def test_numbers_are_scored_by_the_loss():
    def network():
        model = lamina.Sequential([layers.Dense(1)])
        model.compile("sgd", "mse", metrics=["mae"])
        return model

    estimator = KerasRegressor(build_fn=network, verbose=0)
    estimator.fit(X, X[:, 0])
    loss, _ = estimator.model.evaluate(X, X[:, 0], verbose=0)
    assert estimator.score(X, X[:, 0]) == -loss and estimator.predict(X, verbose=0).shape == (150,)


def test_scikeras_compiles_and_hands_prefixed_arguments_on():
    estimator = wrappers.KerasClassifier(
        model=uncompiled, loss="sparse_categorical_crossentropy", optimizer="adam", optimizer__learning_rate=0.03,
        model__units=6, fit__shuffle=False, epochs=8, verbose=0, random_state=4,
    )  # fmt: skip
    names = np.array(["a", "b", "c"])[Y]
    fitted = estimator.fit(X, names, sample_weight=np.ones(150))
    assert fitted is estimator and len(fitted.history_["loss"]) == 8 and fitted.classes_.tolist() == ["a", "b", "c"]
    assert fitted.model_.layers[0].units == 6 and float(fitted.model_.optimizer.learning_rate) == np.float32(0.03)
    assert fitted.score(X, names) > 0.8 and fitted.random_state == 4
    again = pickle.loads(pickle.dumps(clone(fitted).fit(X, names)))
    twin = clone(fitted).fit(X, names, sample_weight=np.ones(150))
    np.testing.assert_array_equal(twin.predict_proba(X), fitted.predict_proba(X))
    assert again.predict(X).shape == (150,)
    with pytest.raises(AttributeError, match="KerasClassifier has no attribute 'unit'"):
        fitted.unit  # noqa: B018
    warm = wrappers.KerasRegressor(model=uncompiled, loss="mse", optimizer="sgd", warm_start=True, verbose=0)
    assert warm.fit(X, X[:, :2]).fit(X, X[:, :2]).n_iter_ == 2 and warm.predict(X).shape == (150, 2)
    given = wrappers.KerasClassifier(model=create_model(), epochs=1, verbose=0).fit(X, Y)
    assert given.predict(X).shape == (150,)
    with pytest.raises(NotCompiledError, match="needs a loss and an optimizer"):
        wrappers.KerasRegressor(model=uncompiled, verbose=0).fit(X, X[:, 0])
