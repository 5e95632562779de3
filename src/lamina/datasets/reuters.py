"""Reuters news of 46 topics as lists of word indices: 11,228 texts (Lewis 1997, Reuters-21578)."""

from __future__ import annotations

from lamina._imports.public import public
from lamina._messages.tracebacks import user_facing
from lamina.datasets.files import arrays_in, fetched, words_in
from lamina.datasets.samples import Parts, chance, frequent, marked, ragged, share, shorter, shuffled, split

__all__ = ["get_label_names", "get_word_index", "load_data"]

TOPICS = """cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship cotton
    carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin strategic-metal livestock retail
    ipi iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr gas silver wpi hog lead"""


@user_facing
def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int | None = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
) -> Parts:
    """Loads the texts as `(x_train, y_train), (x_test, y_test)`.

    x is an array of lists; each list has the word indices of one text. y is the number of the topic, from 0 to 45. A
    word's index is its rank by frequency plus `index_from`; 0 is reserved for padding.

    Source: Lewis 1997, "Reuters-21578 text categorization test collection".

    Args:
        path: the name of the file in the cache, `~/.keras/datasets`.
        num_words: only words with a lower index are kept; None or 0 keeps all.
        skip_top: words with a lower index, the most frequent ones, are not kept.
        maxlen: only texts with fewer words are kept; None or 0 keeps all.
        test_split: the fraction of the texts that is the test set.
        seed: the seed of the order of the texts.
        start_char: the index at the start of each text; None for none.
        oov_char: the index that replaces a word that is not kept; None removes such words.
        index_from: the number that is added to the rank of a word.

    Raises:
        ArgumentError: no text has fewer words than `maxlen`.
        FileError: the file is not in the cache and cannot be downloaded.
    """
    random, part = chance(seed), share(test_split)
    held = fetched(path, "reuters.npz", "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916", arrays_in)
    x, y = shuffled(held["x"], held["y"], random)
    texts, labels = shorter(marked(x, start_char, index_from), y, maxlen)
    return split(ragged(frequent(texts, num_words, skip_top, oov_char)), labels, part)


@user_facing
def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """The rank of each word by frequency, starting at 1; `load_data` adds its `index_from` to it.

    Args:
        path: the name of the file in the cache, `~/.keras/datasets`.

    Raises:
        FileError: the file is not in the cache and cannot be downloaded.
    """
    return fetched(path, "reuters_word_index.json", "4d44cc38712099c9e383dc6e5f11a921", words_in)


def get_label_names() -> tuple[str, ...]:
    """The names of the 46 topics, in the order of their numbers."""
    return tuple(TOPICS.split())


public(__name__, __all__)
