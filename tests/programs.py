"""The two programs that everything began with, and data for them."""

import numpy as np


def program_1(keras, layers, columns=63, rate=0.3):
    return keras.Sequential([
        layers.BatchNormalization(input_shape=(columns,)),
        layers.Dense(256, activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(rate),
        layers.Dense(256, activation="relu"),
        layers.BatchNormalization(),
        layers.Dropout(rate),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip


def program_2(keras, layers):
    return keras.Sequential([layers.Dense(1, activation="relu"), layers.Dense(2, activation="relu"), layers.Dense(3)])


def two_classes(rows=1000, columns=63, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)).astype("float32")
    y = (x @ rng.normal(size=columns) + rng.normal(size=rows) > 0).astype("int32")
    return x, y
