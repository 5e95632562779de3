"""A curve through noisy points

A small stack learns a smooth function of one number.

Task: regression
Picture: Noisy points and a smooth line through them
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

x = rng.uniform(-3, 3, (300, 1))
y = np.sin(2 * x) * np.exp(-(x**2) / 4) + rng.normal(0, 0.1, x.shape)

model = keras.Sequential([layers.Dense(64, activation="tanh"), layers.Dense(64, activation="tanh"), layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.005), "mse")
model.fit(x, y, epochs=200, verbose=0)

line = np.linspace(-3, 3, 200)[:, None]
plt.plot(x, y, ".", markersize=3)
plt.plot(line, model.predict(line, verbose=0))
