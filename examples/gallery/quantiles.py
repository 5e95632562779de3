"""Where nine of ten points lie

Two losses of one's own give the lower and the upper end of a band.

Task: regression
Picture: Points that spread to the right, and a band that holds most of them
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

x = rng.uniform(0, 4, (1000, 1))
y = np.sin(x) + rng.normal(0, 0.05 + 0.15 * x)


class Quantile(keras.losses.Loss):
    """Is least where the share `share` of the targets lies below the prediction."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def call(self, y_true, y_pred):  # type: ignore[no-untyped-def]
        error = y_true - y_pred
        return keras.ops.mean(keras.ops.maximum(self.share * error, (self.share - 1) * error), -1)


line = np.linspace(0, 4, 100)[:, None]
ends = []
for share in (0.05, 0.95):
    model = keras.Sequential([layers.Dense(32, activation="relu"), layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), Quantile(share))
    model.fit(x, y, epochs=60, verbose=0)
    ends.append(model.predict(line, verbose=0)[:, 0])
plt.plot(x, y, ".", markersize=2)
plt.fill_between(line[:, 0], *ends, alpha=0.3)
