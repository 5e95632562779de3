"""A model that draws

Transposed convolutions draw an image for each of the numbers 0 to 9.

Task: images
Picture: Ten blurred digits, which the model has drawn
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
        layers.Embedding(10, 16),
        layers.Flatten(),
        layers.Dense(2 * 2 * 16, activation="relu"),
        layers.Reshape((2, 2, 16)),
        layers.Conv2DTranspose(16, 3, strides=2, padding="same", activation="relu"),
        layers.Conv2DTranspose(1, 3, strides=2, padding="same", activation="sigmoid"),
    ]
)
model.compile(keras.optimizers.Adam(0.01), "mse")
model.fit(y[:, None], x, epochs=20, verbose=0)

figure, places = plt.subplots(1, 10, figsize=(7, 1))
for place, image in zip(places, model.predict(np.arange(10)[:, None], verbose=0), strict=True):
    place.imshow(image[..., 0], cmap="gray_r")
    place.axis("off")
