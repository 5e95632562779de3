"""A stack that is not told its input shape: it is built by the first data that it meets.

python examples/quickstart.py
"""

import numpy

import lamina as keras
from lamina import layers

model = keras.Sequential(
    [
        layers.Dense(1, activation="relu"),
        layers.Dense(2, activation="relu"),
        layers.Dense(3),
    ]
)
print(model.layers)

model(numpy.ones((3, 3)))
print(model.weights)
model.summary()
