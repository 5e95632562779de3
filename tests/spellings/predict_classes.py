"""Classes and probabilities of a classifier."""

import numpy as np
from keras.layers import Dense
from keras.models import Sequential

x, y = np.random.rand(64, 8), np.arange(64) % 2
model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy")
model.fit(x, y, epochs=1, verbose=0)
proba = model.predict_proba(x, batch_size=32)
classes = model.predict_classes(x)
assert classes.shape == (64, 1) and classes.dtype == "int32"
assert ((proba > 0.5) == classes).all()

several = Sequential([Dense(3, activation="softmax", input_shape=(8,))])
found = several.predict_classes(x, verbose=0)
assert found.shape == (64,)
assert (found == several.predict(x, verbose=0).argmax(axis=-1)).all()

# What it is told:
# > predict_classes.py:11: predict_proba(x) is now predict(x).
