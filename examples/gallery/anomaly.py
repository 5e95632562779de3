"""What is not as usual

An autoencoder of windows has a large error where a series does what it never did.

Task: time series
Picture: A wave with one strange place, and below it the error, which is large there alone
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

wave = np.sin(np.arange(1000) / 5) + rng.normal(0, 0.05, 1000)
wave[700:715] = 0.3
windows = np.lib.stride_tricks.sliding_window_view(wave, 32).astype("float32")

model = keras.Sequential([layers.Dense(16, activation="relu"), layers.Dense(2), layers.Dense(32)])
model.compile(keras.optimizers.Adam(0.01), "mse")
model.fit(windows[:600], windows[:600], epochs=30, verbose=0)

error = np.mean((windows - model.predict(windows, verbose=0)) ** 2, axis=1)
figure, (above, below) = plt.subplots(2, 1, sharex=True)
above.plot(wave, linewidth=0.7)
below.plot(error)
below.set_ylabel("error")
