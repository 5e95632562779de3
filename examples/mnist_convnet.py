"""Reads handwritten digits with a convnet: two convolutions with pooling, five epochs of the 60,000 training images.

    python examples/mnist_convnet.py [images] [epochs]

The file holds the arrays x_train (60000, 28, 28), y_train (60000,), x_test (10000, 28, 28) and y_test (10000,).
"""

import sys
from pathlib import Path

import numpy as np

import lamina as keras
from lamina import layers

DATA = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"
URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"


def main(rows: int = 60_000, epochs: int = 5) -> None:
    if not DATA.is_file():
        sys.exit(f"There is no file {DATA}. Get it from {URL}")
    with np.load(DATA) as data:
        x_train, x_test = (data[name][..., None].astype("float32") / 255 for name in ("x_train", "x_test"))
        y_train, y_test = data["y_train"], data["y_test"]

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train[:rows], y_train[:rows], batch_size=128, epochs=epochs)
    accuracy = model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"]
    print(f"Test accuracy: {accuracy:.2%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
