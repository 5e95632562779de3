"""How sure is the model?

Eight models with other seeds agree where there is data.

Task: regression
Picture: The mean of eight models and a band, which is wide where there are no points
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

x = np.concatenate([rng.uniform(-3, -1, (60, 1)), rng.uniform(1, 3, (60, 1))])
y = np.sin(2 * x) + rng.normal(0, 0.1, x.shape)

model = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse")
ensemble = keras.Ensemble(model, members=8)
ensemble.fit(x, y, epochs=100, verbose=0)

line = np.linspace(-4, 4, 200)[:, None]
mean, deviation = (each[:, 0] for each in ensemble.predict(line, spread=True))
plt.plot(x, y, ".")
plt.plot(line[:, 0], mean)
plt.fill_between(line[:, 0], mean - 2 * deviation, mean + 2 * deviation, alpha=0.3)
