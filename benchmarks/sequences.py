"""Stacks for sequences: a convolution, an LSTM and a transformer block for words, and a GRU for a time series."""

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
    """The convolution over words with dropout of the embeddings and one more layer."""

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
    """A GRU that predicts a number from 30 days of 8 measurements."""

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


class Transformer(Program):
    """The transformer block of Keras's example of text classification. Its input is the output of an embedding."""

    title = "transformer block, 200 x 32, batch 32"
    batch = 32
    epochs = 1
    multiply_adds = 200 * (4 * 32 * 64 + 2 * 32 * 64 + 2 * 200 * 64) + 32
    goals: ClassVar = {"keras-jax": (2, 1.5), "torch": (1.2, 0.8)}
    torch_loss = "binary_cross_entropy_with_logits"
    heads, size, inner = 2, 32, 64

    def data(self, rng: Any) -> tuple[Any, Any]:
        x = rng.standard_normal(size=(960, LENGTH, self.size), dtype="float32")
        return x, (x[:, :, :1].max(axis=1) > 2.5).astype("float32")

    def keras(self, keras: Any, layers: Any) -> Any:
        heads, size, inner = self.heads, self.size, self.inner

        class TransformerBlock(layers.Layer):  # type: ignore[misc]
            def __init__(self, **kwargs: Any) -> None:
                super().__init__(**kwargs)
                self.att = layers.MultiHeadAttention(num_heads=heads, key_dim=size)
                self.ffn = keras.Sequential([layers.Dense(inner, activation="relu"), layers.Dense(size)])
                self.layernorm1 = layers.LayerNormalization(epsilon=1e-6)
                self.layernorm2 = layers.LayerNormalization(epsilon=1e-6)
                self.dropout1, self.dropout2 = layers.Dropout(0.1), layers.Dropout(0.1)

            def call(self, inputs: Any, training: Any = None) -> Any:
                attended = self.dropout1(self.att(inputs, inputs), training=training)
                y = self.layernorm1(inputs + attended)
                return self.layernorm2(y + self.dropout2(self.ffn(y), training=training))

        last = [layers.GlobalAveragePooling1D(), layers.Dense(1, activation="sigmoid")]
        model = keras.Sequential([keras.Input((LENGTH, size)), TransformerBlock(), *last])
        model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
        return model

    def torch(self, nn: Any) -> Any:
        heads, size, inner = self.heads, self.size, self.inner

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.projections, self.out = nn.Linear(size, 3 * heads * size), nn.Linear(heads * size, size)
                self.ffn = nn.Sequential(nn.Linear(size, inner), nn.ReLU(), nn.Linear(inner, size))
                self.norm1, self.norm2 = nn.LayerNorm(size, eps=1e-6), nn.LayerNorm(size, eps=1e-6)
                self.dropout1, self.dropout2 = nn.Dropout(0.1), nn.Dropout(0.1)
                self.last = nn.Linear(size, 1)

            def forward(self, x: Any) -> Any:  # (batch, 200, 32) -> (batch, 1)
                of_heads = self.projections(x).view(*x.shape[:2], 3, heads, size).permute(2, 0, 3, 1, 4)
                attended = nn.functional.scaled_dot_product_attention(*of_heads)  # (batch, heads, 200, 32)
                y = self.norm1(x + self.dropout1(self.out(attended.transpose(1, 2).flatten(2))))
                y = self.norm2(y + self.dropout2(self.ffn(y)))
                return self.last(y.mean(1))

        return Net()
