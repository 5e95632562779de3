"""Dropout that stays on

A layer of one's own drops units in `predict` as well, so that each call is a sample.

Task: classification
Picture: Twenty samples of a curve: they differ most where there are no points
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

x = np.concatenate([rng.uniform(-2, -0.5, 80), rng.uniform(0.5, 2, 80)])[:, None]
y = (np.sin(3 * x) > 0).astype("float32")


class KeptDropout(layers.Dropout):
    """Dropout in training and in inference."""

    def call(self, x, training=False):  # type: ignore[no-untyped-def]
        return super().call(x, training=True)


model = keras.Sequential(
    [
        layers.Dense(64, activation="relu"),
        KeptDropout(0.2),
        layers.Dense(64, activation="relu"),
        KeptDropout(0.2),
        layers.Dense(1, activation="sigmoid"),
    ]
)
model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
model.fit(x, y, epochs=100, verbose=0)

line = np.linspace(-3, 3, 150)[:, None]
for _ in range(20):
    plt.plot(line, model.predict(line, verbose=0), color="tab:blue", alpha=0.2)
plt.plot(x, y, "k.", markersize=3)
