"""Eager tensors: `.numpy()` on what a model returns."""

import numpy as np
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(16, activation="relu", input_shape=(8,)), tf.keras.layers.Dense(1)])
x = np.random.rand(4, 8).astype("float32")
predictions = model(x).numpy()
assert isinstance(predictions, np.ndarray) and predictions.shape == (4, 1)
probabilities = tf.nn.softmax(model(x[:1])).numpy()
assert model.trainable_variables[0].numpy().shape == (8, 16)
assert tf.reduce_mean(model(x)).numpy().dtype == "float32"
assert tf.constant([1, 2]).numpy().tolist() == [1, 2]

# What it is told:
# > numpy_of_result.py:10: LaminaWarning: softmax along axis -1 of shape (1, 1) has one element, so the result is always 1. For a single output take sigmoid.
