"""`Model` is imported, as in very many programs, and never used."""

import numpy as np
from keras.layers import Activation, Dense, Dropout, Flatten, Input, concatenate
from keras.models import Model, Sequential, load_model, model_from_json


def build() -> Model:
    model = Sequential()
    model.add(Dense(16, activation="relu", input_shape=(8,)))
    model.add(Dense(1, activation="sigmoid"))
    return model


model = build()
assert isinstance(model, Model)
model.compile("adam", "binary_crossentropy")
model.fit(np.random.rand(64, 8), np.arange(64) % 2, epochs=1, verbose=0)
