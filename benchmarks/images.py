"""Convolutional stacks for images. In torch, the channels are first in the shape and last in memory."""

from __future__ import annotations

from typing import Any, ClassVar

from program import Program


class MnistConvnet(Program):
    """Two convolutions for handwritten digits."""

    title = "MNIST convnet, batch 128"
    batch = 128
    epochs = 1
    multiply_adds = 26 * 26 * 9 * 32 + 11 * 11 * 9 * 32 * 64 + 1600 * 10
    goals: ClassVar = {"best": (1.4, 0.8), "keras-jax": (7, 4)}
    torch_loss = "cross_entropy"

    def data(self, rng: Any) -> tuple[Any, Any]:
        return rng.random(size=(3840, 28, 28, 1), dtype="float32"), rng.integers(0, 10, size=3840)

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential(
            [
                keras.Input((28, 28, 1)),
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
        return model

    def torch(self, nn: Any) -> Any:
        return nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(1600, 10),
        )


class MnistConvnetHalf(MnistConvnet):
    """The convolutional net for digits in bfloat16."""

    title = "MNIST convnet, batch 128, bfloat16"
    goals: ClassVar = {}
    policy = "mixed_bfloat16"


class CifarConvnet(Program):
    """Three convolutions with batch normalization for small colour images."""

    title = "CIFAR convnet, batch 64"
    batch = 64
    epochs = 1
    multiply_adds = 9 * (32 * 32 * 3 * 32 + 16 * 16 * 32 * 64 + 8 * 8 * 64 * 128) + 2048 * 10
    goals: ClassVar = {"best": (1.4, 0.8), "keras-jax": (4, 2)}
    torch_loss = "cross_entropy"

    def data(self, rng: Any) -> tuple[Any, Any]:
        return rng.random(size=(1280, 32, 32, 3), dtype="float32"), rng.integers(0, 10, size=1280)

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential([keras.Input((32, 32, 3))])
        for filters in (32, 64, 128):
            model.add(layers.Conv2D(filters, 3, padding="same"))
            model.add(layers.BatchNormalization())
            model.add(layers.ReLU())
            model.add(layers.MaxPooling2D(2))
        model.add(layers.Flatten())
        model.add(layers.Dense(10, activation="softmax"))
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        stack = []
        for channels, filters in ((3, 32), (32, 64), (64, 128)):
            convolution = nn.Conv2d(channels, filters, 3, padding=1)
            stack += [convolution, nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*stack, nn.Flatten(), nn.Linear(2048, 10))


class CifarAverage(CifarConvnet):
    """Three convolutions and a global average."""

    title = "CIFAR convnet with a global average, batch 64"
    multiply_adds = 9 * (32 * 32 * 3 * 32 + 16 * 16 * 32 * 64 + 8 * 8 * 64 * 128) + 128 * 10

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential([keras.Input((32, 32, 3))])
        for filters in (32, 64):
            model.add(layers.Conv2D(filters, 3, padding="same"))
            model.add(layers.BatchNormalization())
            model.add(layers.ReLU())
            model.add(layers.MaxPooling2D(2))
        model.add(layers.Conv2D(128, 3, padding="same", activation="relu"))
        model.add(layers.GlobalAveragePooling2D())
        model.add(layers.Dense(10, activation="softmax"))
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        stack = []
        for channels, filters in ((3, 32), (32, 64)):
            convolution = nn.Conv2d(channels, filters, 3, padding=1)
            stack += [convolution, nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
        last = [nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*stack, *last, nn.Linear(128, 10))
