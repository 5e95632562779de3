"""Two spirals

Dense layers find a border that winds twice.

Task: classification
Picture: The plane in two colours, which wind around each other like the two spirals of points
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

y = rng.integers(0, 2, 1000)
angle = 3 * np.pi * np.sqrt(rng.uniform(0.05, 1, 1000))
x = np.stack([np.cos(angle + np.pi * y), np.sin(angle + np.pi * y)], 1) * angle[:, None] / 10

model = keras.Sequential(
    [layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(1, activation="sigmoid")]
)
model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
model.fit(x, y, epochs=60, verbose=0)

grid = np.stack(np.meshgrid(np.linspace(-1, 1, 120), np.linspace(-1, 1, 120)), -1)
probability = model.predict(grid.reshape(-1, 2), verbose=0).reshape(120, 120)
plt.contourf(grid[..., 0], grid[..., 1], probability, cmap="coolwarm", alpha=0.6)
plt.scatter(x[:, 0], x[:, 1], c=y, s=4, cmap="coolwarm")
plt.axis("equal")
