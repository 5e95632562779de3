"""Which learning rate?

`sweep` trains one model for each learning rate, in one compiled program.

Task: training
Picture: The loss is least for a learning rate near 0.01, and larger on both sides
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

x = rng.normal(size=(1000, 8)).astype("float32")
y = x[:, :1] * x[:, 1:2]


def make_model(learning_rate: float) -> keras.Sequential:
    model = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(learning_rate), "mse")
    return model


rates = np.logspace(-4, 0, 13).tolist()
found = keras.sweep(make_model, {"learning_rate": rates}, x, y, epochs=5, seed=1, monitor="loss", verbose=0)
table = found.frame().sort_values("learning_rate")
plt.loglog(table["learning_rate"], table["loss"], "o-")
plt.xlabel("learning rate")
plt.ylabel("loss after five epochs")
