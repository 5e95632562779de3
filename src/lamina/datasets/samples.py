"""Orders the rows of a data set as Keras does, and splits them as Keras does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._settings.converters import checked, count, fixed_seed, optional
from lamina.errors import ArgumentError

Rows: TypeAlias = tuple[HostArray, HostArray]
Parts: TypeAlias = tuple[Rows, Rows]
"""`(x_train, y_train), (x_test, y_test)`."""


def chance(seed: int | None) -> np.random.RandomState:
    """The random generator with which Keras orders the rows."""
    return np.random.RandomState(checked("load_data", "seed", optional(fixed_seed), seed))


def shuffled(x: HostArray, y: HostArray, random: np.random.RandomState) -> Rows:
    """The rows in random order."""
    order = random.permutation(len(x))
    return x[order], y[order]


def split(x: HostArray, y: HostArray, test_split: float) -> Parts:
    """The first rows for training, and the fraction `test_split`, at the end, for testing."""
    at = int(len(x) * (1 - test_split))
    return (x[:at], y[:at]), (x[at:], y[at:])


def share(test_split: object) -> float:
    """A fraction of the rows: at least 0 and less than 1."""
    if isinstance(test_split, bool) or not isinstance(test_split, (int, float)) or not 0 <= test_split < 1:
        raise ArgumentError(f"load_data(test_split={test_split!r}): expected a number from 0 to less than 1.")
    return float(test_split)


def marked(texts: HostArray, start_char: int | None, index_from: int) -> list[list[int]]:
    """Texts as word indices, each starting with `start_char`; the indices start at `index_from`."""
    begin = [] if start_char is None else [start_char]
    return [begin + [word + index_from for word in text] for text in texts]


def shorter(texts: list[list[int]], labels: HostArray, maxlen: int | None) -> tuple[list[list[int]], HostArray]:
    """The texts with fewer than `maxlen` words, as in Keras, and their labels."""
    limit = checked("load_data", "maxlen", optional(count), maxlen)
    if not limit:
        return texts, labels
    kept = [place for place, text in enumerate(texts) if len(text) < limit]
    if not kept:
        raise ArgumentError(f"load_data(maxlen={maxlen}): each text has {limit} words or more. Give a larger number.")
    return [texts[place] for place in kept], labels[kept]


def frequent(texts: Sequence[list[int]], num_words: int | None, skip_top: int, oov_char: int | None) -> list[list[int]]:
    """The texts with the words from `skip_top` to below `num_words` only; `oov_char` replaces the others."""
    first = checked("load_data", "skip_top", count, skip_top)
    end = checked("load_data", "num_words", optional(count), num_words) or max(max(text) for text in texts if text)
    if oov_char is None:
        return [[word for word in text if first <= word < end] for text in texts]
    return [[word if first <= word < end else oov_char for word in text] for text in texts]


def ragged(texts: Sequence[list[int]]) -> HostArray:
    """Lists of different lengths, as an array of Python objects.  -> (len(texts),)"""
    made = np.empty(len(texts), object)
    for place, text in enumerate(texts):
        made[place] = text
    return made
