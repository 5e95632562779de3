"""What batch normalization does

The same deep stack of sigmoid layers with and without `BatchNormalization`.

Task: training
Picture: Two curves of the loss: without normalization it stays where it is, with normalization it falls
"""

import matplotlib.pyplot as plt
import numpy as np

import lamina as keras
from lamina import layers

keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)

x = rng.normal(size=(1000, 16)).astype("float32")
y = (x[:, :1] > x[:, 1:2]).astype("float32")

for normalized in (False, True):
    stack: list[keras.Layer] = []
    for _ in range(5):
        stack += [
            layers.Dense(32),
            *([layers.BatchNormalization()] if normalized else []),
            layers.Activation("sigmoid"),
        ]
    model = keras.Sequential([*stack, layers.Dense(1, activation="sigmoid")])
    model.compile(keras.optimizers.SGD(0.1), "binary_crossentropy")
    history = model.fit(x, y, epochs=15, verbose=0)
    plt.plot(history.history["loss"], label="with" if normalized else "without")
plt.legend()
plt.xlabel("epoch")
plt.ylabel("loss")
