"""The package that keeps Keras 2 beside TensorFlow 2.16."""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy as np
import tf_keras as keras
from tf_keras import layers

model = keras.Sequential([layers.Dense(16, activation="relu", input_shape=(8,)), layers.Dense(1, activation="sigmoid")])
model.compile(keras.optimizers.legacy.SGD(lr=0.1, decay=1e-4), "binary_crossentropy")
model.fit(np.random.rand(64, 8), np.arange(64) % 2, epochs=1, verbose=0)

# What it is told:
# > tf_keras_package.py:11: tf_keras.optimizers.legacy is now tf_keras.optimizers.
# > tf_keras_package.py:11: SGD(lr=) is now SGD(learning_rate=).
# > tf_keras_package.py:11: SGD(decay=) is now SGD(learning_rate=InverseTimeDecay(learning_rate, 1, decay)).
