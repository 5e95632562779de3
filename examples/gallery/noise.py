"""Taking noise away

A stack of convolutions learns to give the image without the noise.

Task: images
Picture: Three rows: noisy digits, what the model makes of them, and the true digits
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
images, y = load_digits(return_X_y=True)
x = images.reshape(-1, 8, 8, 1).astype("float32") / 16

noisy = x + np.random.default_rng(0).normal(0, 0.3, x.shape)
model = keras.Sequential(
    [
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(1, 3, padding="same"),
    ]
)
model.compile(keras.optimizers.Adam(0.003), "mse")
model.fit(noisy, x, epochs=10, verbose=0)

rows = np.concatenate([noisy[:8], model.predict(noisy[:8], verbose=0), x[:8]])
figure, places = plt.subplots(3, 8, figsize=(7, 2.7))
for place, image in zip(places.flat, rows, strict=True):
    place.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=1)
    place.axis("off")
