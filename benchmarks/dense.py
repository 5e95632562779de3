"""Dense stacks for the census table and for handwritten digits."""

from __future__ import annotations

from typing import Any, ClassVar

from program import Program


class Census(Program):
    """The mission's first program."""

    title = "census, 63 columns, batch 512"
    batch = 512
    epochs = 12
    multiply_adds = 63 * 256 + 256 * 256 + 256
    goals: ClassVar = {"keras-jax": (1.6, 1.6), "keras-tf": (3.3, 3.3), "torch": (5, 5)}
    torch_loss = "binary_cross_entropy"

    def data(self, rng: Any) -> tuple[Any, Any]:
        x = rng.normal(size=(26_048, 63)).astype("float32")
        return x, (x[:, :8].sum(axis=1, keepdims=True) > 1).astype("float32")

    def keras(self, keras: Any, layers: Any, rate: float = 0.3, optimizer: Any = "adam") -> Any:
        model = keras.Sequential(
            [
                layers.BatchNormalization(input_shape=(63,)),
                layers.Dense(256, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(rate),
                layers.Dense(256, activation="relu"),
                layers.BatchNormalization(),
                layers.Dropout(rate),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        return nn.Sequential(
            nn.BatchNorm1d(63),
            nn.Linear(63, 256),
            nn.ReLU(),
            nn.BatchNorm1d(256),
            nn.Dropout(0.3),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.BatchNorm1d(256),
            nn.Dropout(0.3),
            nn.Linear(256, 1),
            nn.Sigmoid(),
        )


class CensusSmallBatch(Census):
    """The census stack with Keras's default batch size, where the time between the matrix products counts."""

    title = "census, 63 columns, batch 32"
    batch = 32
    epochs = 4
    goals: ClassVar = {"keras-jax": (2, 2), "keras-tf": (6, 6), "torch": (5, 5)}


class Mnist(Program):
    """The dense net for handwritten digits."""

    title = "MNIST 784-512-512-10, batch 128"
    batch = 128
    epochs = 1
    multiply_adds = 784 * 512 + 512 * 512 + 512 * 10
    goals: ClassVar = {"keras-jax": (1.25, 1.25), "keras-tf": (2.2, 2.2), "torch": (2.5, 2.5)}
    torch_loss = "cross_entropy"

    def data(self, rng: Any) -> tuple[Any, Any]:
        return rng.random(size=(60_000, 784), dtype="float32"), rng.integers(0, 10, size=60_000)

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential(
            [
                layers.Dense(512, activation="relu", input_shape=(784,)),
                layers.Dropout(0.2),
                layers.Dense(512, activation="relu"),
                layers.Dropout(0.2),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        return nn.Sequential(
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(512, 10),
        )


class MnistHalf(Mnist):
    """The dense net for digits in bfloat16."""

    title = "MNIST 784-512-512-10, batch 128, bfloat16"
    goals: ClassVar = {}
    policy = "mixed_bfloat16"


class WideHalf(Program):
    """Two wide layers in bfloat16, which spend nearly all of the time in matrix products."""

    title = "2048-2048-2048-10, batch 256, bfloat16"
    batch = 256
    epochs = 1
    multiply_adds = 2048 * 2048 * 2 + 2048 * 10
    goals: ClassVar = {}
    torch_loss = "cross_entropy"
    policy = "mixed_bfloat16"

    def data(self, rng: Any) -> tuple[Any, Any]:
        return rng.random(size=(5120, 2048), dtype="float32"), rng.integers(0, 10, size=5120)

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential(
            [
                keras.Input((2048,)),
                layers.Dense(2048, activation="relu"),
                layers.Dense(2048, activation="relu"),
                layers.Dense(10, activation="softmax"),
            ]
        )
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        return nn.Sequential(nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 2048), nn.ReLU(), nn.Linear(2048, 10))
