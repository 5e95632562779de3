"""Converts texts to numbers: frequent words get small numbers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._messages.tracebacks import user_facing
from lamina.compat.told import say
from lamina.errors import ArgumentError

__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]

Text: TypeAlias = str | list[str]
"""A text, or the list of its words."""
Analyzer: TypeAlias = Callable[[Any], Sequence[str]]
Mode: TypeAlias = Literal["binary", "count", "freq", "tfidf"]

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
"""The characters that separate words, besides `split`."""


def text_to_word_sequence(input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """The words of a text.

    >>> text_to_word_sequence("Run, Forest, run!")
    ['run', 'forest', 'run']

    Args:
        filters: characters that are replaced by `split`.
        lower: whether to convert to lower case.
        split: the separator of words.
    """
    text = input_text.lower() if lower else input_text
    between: dict[int, str] = dict.fromkeys(map(ord, filters), split)
    return [word for word in text.translate(between).split(split) if word]


def one_hot(
    input_text: str, n: int, filters: str = FILTERS, lower: bool = True, split: str = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:  # fmt: skip
    """A number from 1 to n - 1 for each word, by Python's `hash`, which differs in each process."""
    return hashing_trick(input_text, n, hash, filters, lower, split, analyzer)


def hashing_trick(
    text: str, n: int, hash_function: Callable[[str], int] | Literal["md5"] | None = None, filters: str = FILTERS,
    lower: bool = True, split: str = " ", analyzer: Analyzer | None = None,
) -> list[int]:  # fmt: skip
    """A number from 1 to n - 1 for each word, by a hash of it; two words may have the same.

    >>> hashing_trick("a cat", 100, "md5")
    [92, 3]

    Args:
        n: one more than the largest number.
        hash_function: "md5", which is stable, or a function of the word. The default is Python's `hash`.
        analyzer: a function that returns the words of a text. The default is `text_to_word_sequence`.
    """
    words = text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    number: Callable[[str], int] = hash if hash_function is None else _md5 if hash_function == "md5" else hash_function
    return [number(word) % (n - 1) + 1 for word in words]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


class Tokenizer:
    """Numbers words by their frequency. The most frequent word is 1, and 0 is no word.

    >>> tokenizer = Tokenizer()
    >>> tokenizer.fit_on_texts(["the cat sat", "the dog"])
    >>> tokenizer.texts_to_sequences(["the dog sat down"])
    [[1, 4, 3]]

    Args:
        num_words: one more than the largest number in use. Rarer words are unknown.
        filters, lower, split: as in `text_to_word_sequence`.
        char_level: whether each character is a word.
        oov_token: the token for unknown words, which gets the number 1. Without it, unknown words are left out.
        analyzer: a function that returns the words of a text.
        document_count: the number of texts that were counted before.
    """

    def __init__(
        self, num_words: int | None = None, filters: str = FILTERS, lower: bool = True, split: str = " ",
        char_level: bool = False, oov_token: str | None = None, analyzer: Analyzer | None = None,
        document_count: int = 0, nb_words: int | None = None,
    ) -> None:  # fmt: skip
        if nb_words is not None:
            say("Tokenizer(nb_words=) is now Tokenizer(num_words=).")
        self.num_words = num_words if nb_words is None else nb_words
        self.filters, self.lower, self.split = filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.document_count = document_count
        self.word_counts: dict[str, int] = OrderedDict()
        """The number of times that each word occurs."""
        self.word_docs: dict[str, int] = defaultdict(int)
        """The number of texts in which each word occurs."""
        self.index_docs: dict[int, int] = defaultdict(int)
        """The number of texts, by the number of the word."""
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def fit_on_texts(self, texts: Iterable[Text]) -> None:
        """Count the words of texts, and number all words again."""
        for text in texts:
            words = self._words(text)
            self.document_count += 1
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        ranked = sorted(self.word_counts, key=lambda word: -self.word_counts[word])
        known = ranked if self.oov_token is None else [self.oov_token, *ranked]
        self.word_index = {word: number for number, word in enumerate(known, 1)}
        self.index_word = {number: word for word, number in self.word_index.items()}
        self.index_docs.update({self.word_index[word]: count for word, count in self.word_docs.items()})

    def fit_on_sequences(self, sequences: Sequence[Iterable[int]]) -> None:
        """Count the sequences in which each number occurs, for `sequences_to_matrix`."""
        self.document_count += len(sequences)
        for sequence in sequences:
            for number in set(sequence):
                self.index_docs[number] += 1

    def texts_to_sequences(self, texts: Iterable[Text]) -> list[list[int]]:
        """The numbers of the words of each text."""
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Text]) -> Iterator[list[int]]:
        """Yield the numbers of the words of one text after another."""
        unknown = self._unknown()
        for text in texts:
            numbers = (self.word_index.get(word) for word in self._words(text))
            found = (number if self._used(number) else unknown for number in numbers)
            yield [number for number in found if number is not None]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """The words of each sequence of numbers, with a space between."""
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """Yield the words of one sequence after another, with a space between them."""
        for sequence in sequences:
            numbers = (n if n in self.index_word and self._used(n) else self._unknown() for n in sequence)
            yield " ".join(self.index_word[number] for number in numbers if number is not None)

    def texts_to_matrix(self, texts: Iterable[Text], mode: Mode = "binary") -> HostArray:
        """A row for each text and a column for each number: (texts, num_words). See `sequences_to_matrix`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    @user_facing
    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: Mode = "binary") -> HostArray:
        """A row for each sequence and a column for each number.

        Args:
            mode: "binary": whether the number occurs. "count": how often it occurs. "freq": its share of the sequence.
                "tfidf": `(1 + log(count)) * log(1 + texts / (1 + texts with it))`.
        """
        size = self.num_words or (len(self.word_index) + 1 if self.word_index else 0)
        if not size:
            raise ArgumentError("the Tokenizer knows no words yet: call fit_on_texts first, or give num_words.")
        if mode not in ("binary", "count", "freq", "tfidf"):
            raise ArgumentError(f"mode={mode!r}: expected 'binary', 'count', 'freq' or 'tfidf'.")
        if mode == "tfidf" and not self.document_count:
            raise ArgumentError("mode='tfidf' needs counts of texts: call fit_on_texts first.")
        matrix = np.zeros((len(sequences), size))
        for row, sequence in zip(matrix, sequences, strict=True):
            for number, count in Counter(number for number in sequence if number < size).items():
                rarity = np.log(1 + self.document_count / (1 + self.index_docs.get(number, 0)))
                row[number] = {
                    "binary": 1, "count": count, "freq": count / len(sequence), "tfidf": (1 + np.log(count)) * rarity,
                }[mode]  # fmt: skip
        return matrix

    def get_config(self) -> dict[str, Any]:
        """The settings, and the counts as JSON text."""
        settings = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "document_count")
        return {name: getattr(self, name) for name in settings} | {
            name: json.dumps(getattr(self, name)) for name in COUNTS
        }

    def to_json(self, **kwargs: Any) -> str:
        """The Tokenizer as JSON, which `tokenizer_from_json` reads; `kwargs` go to `json.dumps`."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)

    def _words(self, text: Text) -> Sequence[str]:
        if isinstance(text, list):
            return [word.lower() for word in text] if self.lower else text
        if self.char_level:
            return text.lower() if self.lower else text
        if self.analyzer is not None:
            return self.analyzer(text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def _used(self, number: int | None) -> bool:
        return number is not None and not (self.num_words and number >= self.num_words)

    def _unknown(self) -> int | None:
        return None if self.oov_token is None else self.word_index.get(self.oov_token)


COUNTS = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The Tokenizer that `to_json` wrote, here or in Keras."""
    config = json.loads(json_string)["config"]
    counts = {name: json.loads(config.pop(name)) for name in COUNTS}
    tokenizer = Tokenizer(**config)
    for name, count in counts.items():
        held = getattr(tokenizer, name)
        held.update({int(key): value for key, value in count.items()} if name.startswith("index_") else count)
    return tokenizer
