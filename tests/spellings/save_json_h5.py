"""The architecture as JSON, the weights as HDF5."""

import os
import tempfile

import numpy as np
from keras.layers import Dense
from keras.models import Sequential, model_from_json

folder = tempfile.mkdtemp()
model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
with open(os.path.join(folder, "model.json"), "w") as json_file:
    json_file.write(model.to_json())
model.save_weights(os.path.join(folder, "model.h5"))
with open(os.path.join(folder, "model.json")) as json_file:
    loaded_model = model_from_json(json_file.read())
loaded_model.load_weights(os.path.join(folder, "model.h5"))
x = np.random.rand(4, 8)
assert np.allclose(model.predict(x, verbose=0), loaded_model.predict(x, verbose=0))

# What it is told:
# > save_json_h5.py:15: save_weights('....h5') is now save_weights('....weights.h5'); here the file holds the layers too.
