"""Keras 2's estimators in a cross-validation of scikit-learn."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential
from keras.wrappers.scikit_learn import KerasClassifier, KerasRegressor
from sklearn.model_selection import StratifiedKFold, cross_val_score


def create_model():
    model = Sequential()
    model.add(Dense(16, input_dim=8, kernel_initializer="normal", activation="relu"))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


X, Y = np.random.rand(64, 8), np.arange(64) % 2
estimator = KerasClassifier(build_fn=create_model, epochs=2, batch_size=32, verbose=0)
kfold = StratifiedKFold(n_splits=2, shuffle=True, random_state=7)
results = cross_val_score(estimator, X, Y, cv=kfold)
print("%.2f%% (%.2f%%)" % (results.mean() * 100, results.std() * 100))
assert len(results) == 2

from scikeras.wrappers import KerasClassifier as Later

assert Later(model=create_model, epochs=1, verbose=0).fit(X, Y).predict(X).shape == (64,)
