"""`metrics=["acc"]`: the history has `acc`, as in every Keras."""

import numpy as np
from keras import layers, models

model = models.Sequential()
model.add(layers.Dense(16, activation="relu", input_shape=(8,)))
model.add(layers.Dense(1, activation="sigmoid"))
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["acc"])
assert model.metrics_names == ["loss", "acc"]
x, y = np.random.rand(64, 8), np.arange(64) % 2
history = model.fit(x, y, epochs=2, batch_size=32, validation_data=(x, y), verbose=0)
assert sorted(history.history) == ["acc", "loss", "val_acc", "val_loss"]
epochs = range(1, len(history.history["acc"]) + 1)
