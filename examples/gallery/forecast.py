"""A wave, continued

An LSTM forecasts a wave from its own forecasts.

Task: time series
Picture: A wave, and its forecast as a dashed line that continues it
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

time = np.arange(400)
wave = (np.sin(time / 6) + 0.5 * np.sin(time / 2.7)).astype("float32")
windows = np.lib.stride_tricks.sliding_window_view(wave[:300], 31)

model = keras.Sequential([layers.LSTM(32), layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse")
model.fit(windows[:, :30, None], windows[:, 30:], epochs=30, verbose=0)

known = wave[:300]
for _ in range(100):
    known = np.append(known, model.predict(known[None, -30:, None], verbose=0))
plt.plot(time[200:], wave[200:])
plt.plot(time[300:], known[300:], "--")
