"""Film reviews as lists of word indices: 25,000 for training and 25,000 for testing (Maas and others 2011)."""

from __future__ import annotations

import numpy as np

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.datasets.files import arrays_in, fetched, words_in
from lamina.datasets.samples import Parts, chance, frequent, marked, ragged, shorter, shuffled

__all__ = ["get_word_index", "load_data"]


@user_facing
def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Parts:
    """Loads the reviews as `(x_train, y_train), (x_test, y_test)`.

    x is an array of lists; each list has the word indices of one review. y is 1 for a positive review, else 0. A word's
    index is its rank by frequency plus `index_from`; 0 is reserved for padding.

        (x_train, y_train), (x_test, y_test) = keras.datasets.imdb.load_data(num_words=10_000)
        x_train = keras.utils.pad_sequences(x_train, maxlen=200)

    Source: Maas and others 2011, "Learning word vectors for sentiment analysis".

    Args:
        path: the name of the file in the cache, `~/.keras/datasets`.
        num_words: only words with a lower index are kept; None or 0 keeps all.
        skip_top: words with a lower index, the most frequent ones, are not kept.
        maxlen: only reviews with fewer words are kept; None or 0 keeps all.
        seed: the seed of the order of the reviews.
        start_char: the index at the start of each review; None for none.
        oov_char: the index that replaces a word that is not kept; None removes such words.
        index_from: the number that is added to the rank of a word.

    Raises:
        ArgumentError: no review has fewer words than `maxlen`.
        FileError: the file is not in the cache and cannot be downloaded.
    """
    random = chance(seed)
    held = fetched(path, "imdb.npz", "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f", arrays_in)
    texts, labels = [], []
    for part in ("train", "test"):
        x, y = shuffled(held[f"x_{part}"], held[f"y_{part}"], random)
        kept, classes = shorter(marked(x, start_char, index_from), y, maxlen)
        texts.append(kept)
        labels.append(classes)
    x, at = ragged(frequent(texts[0] + texts[1], num_words, skip_top, oov_char)), len(texts[0])
    return (x[:at], np.asarray(labels[0])), (x[at:], np.asarray(labels[1]))


@user_facing
def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """The rank of each word by frequency, starting at 1; `load_data` adds its `index_from` to it.

    Args:
        path: the name of the file in the cache, `~/.keras/datasets`.

    Raises:
        FileError: the file is not in the cache and cannot be downloaded.
    """
    return fetched(path, "imdb_word_index.json", "bfafd718b763782e994055a2d397834f", words_in)


public(__name__, __all__)
