"""TensorBoard with the arguments of Keras 2."""

import os
import tempfile

import numpy as np
from keras.callbacks import TensorBoard
from keras.layers import Dense
from keras.models import Sequential

folder = tempfile.mkdtemp()
model = Sequential([Dense(16, activation="relu", input_shape=(8,)), Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
board = TensorBoard(
    log_dir=folder, histogram_freq=0, batch_size=32, write_graph=True, write_grads=False, write_images=False
)
model.fit(np.random.rand(64, 8), np.arange(64) % 2, epochs=1, callbacks=[board], verbose=0)
assert os.listdir(folder)

# What it is told:
# > tensorboard_arguments.py:14: TensorBoard(write_grads=) has no effect now.
# > tensorboard_arguments.py:14: TensorBoard(batch_size=) has no effect now.
