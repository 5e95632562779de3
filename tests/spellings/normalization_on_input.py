"""A Normalization, and a TextVectorization, called on an Input before they have seen the data."""

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

x = np.random.rand(64, 3) * 5 + 2
y = x.sum(1)
normalizer = layers.Normalization(axis=-1)
inputs = keras.Input(shape=(3,))
outputs = layers.Dense(1)(layers.Dense(8, "relu")(normalizer(inputs)))
model = keras.Model(inputs, outputs)
normalizer.adapt(x)
model.compile("adam", "mse")
model.fit(x, y, epochs=1, verbose=0)
assert np.abs(normalizer(x).numpy().mean(0)).max() < 1e-5

texts = np.array(["a good film", "a bad film", "good", "bad"] * 8)
vectorize = layers.TextVectorization(max_tokens=10, output_sequence_length=4)
text_input = keras.Input(shape=(1,), dtype=tf.string, name="text")
h = vectorize(text_input)
h = layers.Embedding(10, 4)(h)
h = layers.GlobalAveragePooling1D()(h)
vectorize.adapt(texts)
model = keras.Model(text_input, layers.Dense(1, activation="sigmoid")(h))
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(texts, np.array([1, 0, 1, 0] * 8), epochs=1, verbose=0)
print(model.predict(np.array(["a good one"]), verbose=0).shape)
