"""Losses by the name of the module that had them until Keras 2.2."""

import numpy as np
from keras import objectives
from keras.layers import Dense
from keras.layers.normalization import BatchNormalization
from keras.models import Sequential
from keras.objectives import mean_squared_error

model = Sequential([Dense(16, activation="relu", input_shape=(8,)), BatchNormalization(mode=0), Dense(1)])
model.compile("adam", loss=mean_squared_error)
model.fit(np.random.rand(64, 8), np.random.rand(64), epochs=1, verbose=0)
assert objectives.binary_crossentropy is not None

# What it is told:
# > objectives.py:4: keras.objectives is now keras.losses.
# > objectives.py:6: keras.layers.normalization is now keras.layers.
# > objectives.py:10: BatchNormalization(mode=) has no effect now.
