"""Series of different lengths

Masking leaves the filled steps out: a GRU adds numbers up.

Task: time series
Picture: Predicted sums beside true sums, on the diagonal
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

x = rng.uniform(0, 1, (1000, 12, 1))
lengths = rng.integers(3, 13, 1000)
x[np.arange(12)[None] >= lengths[:, None]] = -1
y = np.where(x > 0, x, 0).sum(axis=1)

model = keras.Sequential([layers.Masking(-1.0), layers.GRU(32), layers.Dense(1)])
model.compile(keras.optimizers.Adam(0.01), "mse")
model.fit(x, y, epochs=30, verbose=0)

plt.scatter(y, model.predict(x, verbose=0), c=lengths, s=4)
plt.colorbar(label="length")
plt.xlabel("true sum")
plt.ylabel("predicted sum")
