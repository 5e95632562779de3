"""A file every two epochs."""

import os
import tempfile

import numpy as np
from keras.callbacks import ModelCheckpoint
from keras.layers import Dense
from keras.models import Sequential, load_model

folder = tempfile.mkdtemp()
model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
checkpoint = ModelCheckpoint(os.path.join(folder, "model-{epoch:02d}.hdf5"), period=2, verbose=0)
x, y = np.random.rand(64, 8), np.arange(64) % 2
model.fit(x, y, epochs=5, batch_size=32, callbacks=[checkpoint], verbose=0)
assert sorted(os.listdir(folder)) == ["model-02.hdf5", "model-04.hdf5"]
best = ModelCheckpoint(
    os.path.join(folder, "weights.best.hdf5"), monitor="acc", save_best_only=True, mode="max", save_weights_only=True
)
model.fit(x, y, epochs=1, batch_size=32, callbacks=[best], verbose=0)
model.load_weights(os.path.join(folder, "weights.best.hdf5"))
assert load_model(os.path.join(folder, "model-04.hdf5")).input_shape == (None, 8)

# What it is told:
# > checkpoint_period.py:14: ModelCheckpoint(period=) is now save_freq=, the number of batches between two files.
# > checkpoint_period.py:21: monitor='acc' is now monitor='accuracy'.
# > checkpoint_period.py:21: save_weights('....h5') is now save_weights('....weights.h5'); here the file holds the layers too.
