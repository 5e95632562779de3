"""The inner module of TensorFlow that editors completed to."""

import numpy as np
from tensorflow.python.keras import Sequential
from tensorflow.python.keras.layers import Dense
from tensorflow.python.keras.optimizer_v2.adam import Adam

model = Sequential()
model.add(Dense(16, activation="relu", input_shape=(8,)))
model.add(Dense(1, activation="sigmoid"))
model.compile(optimizer=Adam(lr=0.001), loss="binary_crossentropy", metrics=["accuracy"])
model.fit(np.random.rand(64, 8), np.arange(64) % 2, epochs=1, verbose=0)

# What it is told:
# > python_keras.py:6: tensorflow.python.keras.optimizer_v2 is now tensorflow.python.keras.optimizers.
# > python_keras.py:6: tensorflow.python.keras.optimizer_v2.adam is now tensorflow.python.keras.optimizers.
# > python_keras.py:11: Adam(lr=) is now Adam(learning_rate=).
