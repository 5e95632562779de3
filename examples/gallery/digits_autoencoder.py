"""Digits from eight numbers

An autoencoder presses 64 pixels into 8 numbers and back.

Task: images
Picture: Digits in the upper row, and nearly the same digits in the lower row
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
        layers.Dense(8),
        layers.Dense(64, activation="relu"),
        layers.Dense(64, activation="sigmoid"),
        layers.Reshape((8, 8, 1)),
    ]
)
model.compile(keras.optimizers.Adam(0.003), "mse")
model.fit(x, x, epochs=40, verbose=0)

figure, places = plt.subplots(2, 8, figsize=(7, 1.9))
for place, image in zip(places.flat, np.concatenate([x[:8], model.predict(x[:8], verbose=0)]), strict=True):
    place.imshow(image[..., 0], cmap="gray_r")
    place.axis("off")
