"""A grid search over a network by the estimators of the package scikeras, with its prefixes (2022)."""

import numpy as np
from scikeras.wrappers import KerasClassifier, KerasRegressor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tensorflow import keras


def network(hidden, meta, compile_kwargs):
    model = keras.Sequential([keras.layers.Input(shape=(meta["n_features_in_"],))])
    model.add(keras.layers.Dense(hidden, activation="relu"))
    model.add(keras.layers.Dense(meta["n_classes_"], activation="softmax"))
    model.compile(loss="sparse_categorical_crossentropy", optimizer=compile_kwargs["optimizer"])
    return model


def line():
    return keras.Sequential([keras.layers.Dense(1)])


x = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
y = np.where(x[:, 0] > 0, "high", "low")
classifier = KerasClassifier(
    model=network, model__hidden=4, optimizer="adam", optimizer__learning_rate=0.05, epochs=8, verbose=0, random_state=1
)
pipeline = make_pipeline(StandardScaler(), classifier)
search = GridSearchCV(pipeline, {"kerasclassifier__model__hidden": [3, 4]}, cv=2, error_score="raise").fit(x, y)
best = search.best_estimator_[-1]
assert search.best_score_ > 0.7 and best.classes_.tolist() == ["high", "low"] and best.random_state == 1
assert len(best.history_["loss"]) == 8 and best.model_.layers[0].units == best.model__hidden

regressor = KerasRegressor(model=line, loss="mse", optimizer="sgd", epochs=1, verbose=0)
assert regressor.fit(x, x[:, 1]).predict(x).shape == (60,)
