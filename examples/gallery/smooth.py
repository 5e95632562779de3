"""A filter that sees the past alone

Causal convolutions with growing distances take the noise out of a series.

Task: time series
Picture: A noisy series and the smooth line that the model makes of it
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

steps = np.cumsum(rng.normal(0, 0.1, (64, 200, 1)), axis=1)
noisy = steps + rng.normal(0, 0.3, steps.shape)

model = keras.Sequential(
    [
        *(layers.Conv1D(16, 3, padding="causal", dilation_rate=2**i, activation="relu") for i in range(4)),
        layers.Conv1D(1, 1),
    ]
)
model.compile(keras.optimizers.Adam(0.01), "mse")
model.fit(noisy, steps, epochs=60, batch_size=8, verbose=0)

plt.plot(noisy[0], linewidth=0.7)
plt.plot(model.predict(noisy[:1], verbose=0)[0])
