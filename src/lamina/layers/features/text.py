"""Text as numbers: a text becomes words, and words become indices or counts."""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from itertools import chain
from typing import Any

import numpy as np

from lamina._base.converters import flag, integer, one_of, optional, positive
from lamina._base.frames import user_facing
from lamina._base.settings import setting
from lamina._base.shapes import Shape
from lamina._data.arrays import HostArray
from lamina._layer.structure import require_adapted
from lamina.errors import ArgumentError, DataError
from lamina.layers.features.hashing import dense, mode
from lamina.layers.features.lookup import known_encoding
from lamina.layers.features.vocabularies import Lookup, inline

LOWER = {ord(big): small for big, small in zip(string.ascii_uppercase, string.ascii_lowercase, strict=True)}
STRIP = {ord(sign): None for sign in string.punctuation}
TABLES: dict[str | None, dict[int, Any]] = {
    "lower": LOWER,
    "strip_punctuation": STRIP,
    "lower_and_strip_punctuation": LOWER | STRIP,
}
WORDS = re.compile(r"[^ \t\n\r\f\v]+")


def or_function(*choices: str) -> Callable[[Any], Any]:
    """None, one of a few names, or a function."""
    return optional(lambda value: value if callable(value) else one_of(*choices)(value))


def widths(value: Any) -> Any:
    """`ngrams`: None, the greatest width, or all widths."""
    return tuple(positive(width) for width in value) if isinstance(value, (tuple, list)) else optional(positive)(value)


class TextVectorization(Lookup):
    """Turns each text of (batch,) or (batch, 1) into the indices of its words, (batch, length), or into counts.

    The text is standardized (ASCII letters to lower case, ASCII punctuation out), split at blanks, joined to
    n-grams, and looked up: 0 is padding, 1 an unknown word. `adapt` learns the vocabulary, most frequent first.

    >>> layer = TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["The cat sat.", "The dog."])
    >>> layer.get_vocabulary()
    ['', '[UNK]', 'the', 'sat', 'dog', 'cat']
    >>> layer(["the dog ran"])
    Array([[2, 4, 1, 0]], dtype=int32)

    Args:
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of an array of
            str.
        split: "whitespace", "character", None (the words are given), or a function of an array of str that returns a
            list of words for each.
        ngrams: a width, for all n-grams up to it, or a tuple of widths.
        output_mode: "int", or vectors: "multi_hot", "count", "tf_idf".
        output_sequence_length: cut or pad to this length; None pads to the longest.
    """

    max_tokens: int | None = setting(optional(integer), default=None)
    standardize: Any = setting(or_function(*filter(None, TABLES)), default="lower_and_strip_punctuation")
    split: Any = setting(or_function("whitespace", "character"), default="whitespace")
    ngrams: Any = setting(widths, default=None)
    output_mode: str = setting(mode("int", "multi_hot", "count", "tf_idf"), default="int")
    output_sequence_length: int | None = setting(optional(positive), default=None)
    pad_to_max_tokens: bool = setting(flag, default=False)
    vocabulary: Any = setting(inline, default=None)
    idf_weights: Any = setting(inline, default=None)
    sparse: bool = setting(dense, default=False)
    ragged: bool = setting(dense, default=False)
    encoding: str = setting(known_encoding, default="utf-8")
    name: Any = None

    def __post_init__(self) -> None:
        self.mask_token = ""
        if self.output_mode != "int" and self.output_sequence_length is not None:
            raise ArgumentError(
                f"TextVectorization(output_sequence_length={self.output_sequence_length}) needs output_mode='int'; "
                f"{self.output_mode!r} gives one vector a text."
            )
        super().__post_init__()

    def documents_in(self, data: HostArray, batch: bool) -> list[list[Any]]:
        return self._words(self.as_terms(data))

    def _lamina_host(self, x: HostArray) -> HostArray:
        require_adapted(self)
        texts = self._words(self.as_terms(x))
        if self.output_mode == "int":
            texts = [words[: self.output_sequence_length] for words in texts]
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        indices = self.indices(list(chain.from_iterable(texts)), (len(texts),))
        if self.output_mode != "int":
            return self.counted(lengths, indices)
        length = self.output_sequence_length or int(lengths.max(initial=0))
        padded = np.zeros((len(texts), length), np.int32)
        padded[np.arange(length) < lengths[:, None]] = indices
        return padded

    def _words(self, x: HostArray) -> list[list[str]]:
        """The words of each text."""
        if x.ndim > 1 and self.split is not None:
            if x.ndim > 2 or x.shape[-1] != 1:
                raise DataError(
                    f"{self.name!r} takes one text a row, (batch,) or (batch, 1), got {x.shape}. Give every column a "
                    "layer of its own, or join them."
                )
            x = x[:, 0]
        if callable(self.standardize):
            x = np.asarray(self.standardize(x.astype(str))).astype(object)
        elif self.standardize is not None:
            table = TABLES[self.standardize]
            x = np.array([text.translate(table) for text in x.ravel()] + [None], object)[:-1].reshape(x.shape)
        if callable(self.split):
            texts = [[str(word) for word in words] for words in self.split(x.astype(str))]
        elif self.split is None:
            texts = x.reshape(len(x), -1).tolist()
        else:
            texts = [*map(WORDS.findall if self.split == "whitespace" else list, x)]
        if self.ngrams is None:
            return texts
        sizes = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams
        return [
            [" ".join(words[i : i + size]) for size in sizes for i in range(len(words) - size + 1)] for words in texts
        ]

    @user_facing
    def compute_output_shape(self, input_shape: Any) -> Shape:
        if self.output_mode == "int":
            return (input_shape[0], self.output_sequence_length)
        return super().compute_output_shape((input_shape[0], None))
