"""Reads handwritten digits with a convnet: two convolutions with pooling, five epochs of the 60,000 training images.

    python examples/mnist_convnet.py [path of mnist.npz]

The file holds the arrays x_train (60000, 28, 28), y_train (60000,), x_test (10000, 28, 28) and y_test (10000,).
"""

import sys
from pathlib import Path

import numpy as np

import lamina as keras
from lamina import layers

DEFAULT = Path(__file__).parents[2] / "shared" / "data" / "mnist.npz"


def train(path: Path, rows: int = 60_000, epochs: int = 5) -> float:
    """The test accuracy of a model that was trained on the first `rows` images of the file."""
    with np.load(path) as data:
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
    return float(model.evaluate(x_test, y_test, verbose=0, return_dict=True)["accuracy"])


if __name__ == "__main__":
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    if not source.is_file():
        sys.exit(f"There is no file {source}. Pass the path of mnist.npz: python examples/mnist_convnet.py PATH")
    print(f"Test accuracy: {train(source):.2%}")
