"""All digits in the plane

A layer of two numbers in the middle of a classifier shows how the model sorts digits.

Task: images
Picture: Ten groups of points in the plane, one for each digit
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
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(2, name="plane"),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
model.fit(x, y, epochs=40, verbose=0)

places = keras.Sequential(model.layers[:3]).predict(x, verbose=0)
plt.figure(figsize=(5, 4))
plt.scatter(places[:, 0], places[:, 1], c=y, s=4, cmap="tab10")
plt.colorbar(label=f"digit, of {len(np.unique(y))}")
