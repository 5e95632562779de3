"""Stacks on sequences: words under a convolution and an LSTM, and a time series under a GRU."""

from __future__ import annotations

from typing import Any, ClassVar

from program import Program

WORDS, LENGTH = 20_000, 200


class Text(Program):
    """A convolution over the words of a review."""

    title = "text convnet, 200 words, batch 64"
    batch = 64
    epochs = 1
    multiply_adds = 196 * 5 * 64 * 128 + 128
    goals: ClassVar = {"best": (1.5, 1.2), "keras-jax": (2.5, 1.5)}
    torch_loss = "binary_cross_entropy_with_logits"
    reviews = 2560

    def data(self, rng: Any) -> tuple[Any, Any]:
        words = rng.integers(1, WORDS, size=(self.reviews, LENGTH), dtype="int32")
        return words, rng.integers(0, 2, size=(self.reviews, 1)).astype("float32")

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential(
            [
                keras.Input((LENGTH,), dtype="int32"),
                layers.Embedding(WORDS, 64),
                layers.Conv1D(128, 5, activation="relu"),
                layers.GlobalMaxPooling1D(),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(WORDS, 64)
                self.convolution = nn.Conv1d(64, 128, 5)
                self.dense = nn.Linear(128, 1)

            def forward(self, x: Any) -> Any:  # (batch, 200) -> (batch, 1)
                y = self.embedding(x).transpose(1, 2)  # (batch, 64, 200)
                return self.dense(self.convolution(y).relu().amax(-1))

        return Net()


class TextDense(Text):
    """The same with a dropout of the words' vectors and a layer more."""

    title = "text convnet with dropout and Dense(64), batch 64"
    multiply_adds = 196 * 5 * 64 * 128 + 128 * 64 + 64

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential(
            [
                keras.Input((LENGTH,), dtype="int32"),
                layers.Embedding(WORDS, 64),
                layers.Dropout(0.5),
                layers.Conv1D(128, 5, activation="relu"),
                layers.GlobalMaxPooling1D(),
                layers.Dense(64, activation="relu"),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding, self.dropout = nn.Embedding(WORDS, 64), nn.Dropout(0.5)
                self.convolution = nn.Conv1d(64, 128, 5)
                self.dense, self.last = nn.Linear(128, 64), nn.Linear(64, 1)

            def forward(self, x: Any) -> Any:  # (batch, 200) -> (batch, 1)
                y = self.dropout(self.embedding(x)).transpose(1, 2)  # (batch, 64, 200)
                return self.last(self.dense(self.convolution(y).relu().amax(-1)).relu())

        return Net()


class Lstm(Text):
    """An LSTM that reads a review."""

    title = "LSTM(128) on 200 x 128, batch 32"
    batch = 32
    multiply_adds = 200 * (128 + 128) * 4 * 128 + 128
    goals: ClassVar = {"best": (1.5, 1), "keras-jax": (2, 1.3)}
    reviews = 960

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential(
            [
                keras.Input((LENGTH,), dtype="int32"),
                layers.Embedding(WORDS, 128),
                layers.LSTM(128),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embedding = nn.Embedding(WORDS, 128)
                self.lstm = nn.LSTM(128, 128, batch_first=True)
                self.dense = nn.Linear(128, 1)

            def forward(self, x: Any) -> Any:  # (batch, 200) -> (batch, 1)
                return self.dense(self.lstm(self.embedding(x))[0][:, -1])

        return Net()


class Gru(Program):
    """A GRU that foretells a number from 30 days of 8 measurements."""

    title = "GRU(64) on 30 x 8, batch 32"
    batch = 32
    epochs = 4
    multiply_adds = 30 * (8 + 64) * 3 * 64 + 64
    goals: ClassVar = {"best": (1.5, 1.2), "keras-jax": (1.5, 1.2)}
    torch_loss = "mse_loss"

    def data(self, rng: Any) -> tuple[Any, Any]:
        x = rng.standard_normal(size=(6400, 30, 8), dtype="float32")
        return x, x[:, -5:, :1].sum(axis=1)

    def keras(self, keras: Any, layers: Any) -> Any:
        model = keras.Sequential([keras.Input((30, 8)), layers.GRU(64), layers.Dense(1)])
        model.compile(optimizer="adam", loss="mse")
        return model

    def torch(self, nn: Any) -> Any:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.gru = nn.GRU(8, 64, batch_first=True)
                self.dense = nn.Linear(64, 1)

            def forward(self, x: Any) -> Any:  # (batch, 30, 8) -> (batch, 1)
                return self.dense(self.gru(x)[0][:, -1])

        return Net()
