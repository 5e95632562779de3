"""Handwritten digits

Two convolutions read digits of 8 by 8 pixels. The picture shows which digits are taken for which.

Task: images
Picture: A table of true and predicted digits; nearly all counts are on the diagonal
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
images, y = load_digits(return_X_y=True)
x = images.reshape(-1, 8, 8, 1).astype("float32") / 16

model = keras.Sequential(
    [
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy")
model.fit(x[:1400], y[:1400], epochs=15, verbose=0)

counts = np.zeros((10, 10), int)
np.add.at(counts, (y[1400:], model.predict(x[1400:], verbose=0).argmax(1)), 1)
plt.figure(figsize=(4, 4))
plt.imshow(counts, cmap="Blues")
plt.xlabel("predicted")
plt.ylabel("true")
