"""Which pixels matter

The gradient of the output with respect to the image, by `jax.grad`.

Task: images
Picture: Digits in the upper row, and below them the pixels that change the output most
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
images, y = load_digits(return_X_y=True)
x = images.reshape(-1, 8, 8, 1).astype("float32") / 16

model = keras.Sequential(
    [layers.Conv2D(32, 3, activation="relu"), layers.Flatten(), layers.Dense(10, activation="softmax")]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, y, epochs=15, verbose=0)

gradient = jax.grad(lambda images: model(images).max(axis=1).sum())(x[:8])
figure, places = plt.subplots(2, 8, figsize=(7, 1.9))
for place, image in zip(places.flat, np.concatenate([x[:8], np.abs(gradient)]), strict=True):
    place.imshow(image[..., 0], cmap="gray_r")
    place.axis("off")
