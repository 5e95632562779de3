"""Text as numbers: a text is split into words, and the words become indices or counts."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina._arrays.shapes import Shape
from lamina._layer.room import raise_if_too_large
from lamina._layer.structure import require_adapted
from lamina._messages.tracebacks import user_facing
from lamina._settings.arguments import Name
from lamina._settings.converters import flag, integer, one_of, optional, positive
from lamina._settings.settings import setting
from lamina.errors import ArgumentError, DataError
from lamina.layers.features.hashing import Mode, dense, mode
from lamina.layers.features.lookup import known_encoding
from lamina.layers.features.vocabularies import Inline, Lookup, Terms, as_terms, counted, indices_of, inline

LOWER = {ord(big): small for big, small in zip(string.ascii_uppercase, string.ascii_lowercase, strict=True)}
STRIP = {ord(sign): None for sign in string.punctuation}
TABLES: dict[str | None, dict[int, Any]] = {
    "lower": LOWER,
    "strip_punctuation": STRIP,
    "lower_and_strip_punctuation": LOWER | STRIP,
}
Standardize: TypeAlias = (
    Literal["lower", "strip_punctuation", "lower_and_strip_punctuation"] | Callable[[HostArray], Any] | None
)
Split: TypeAlias = Literal["whitespace", "character"] | Callable[[HostArray], Any] | None
WORDS = re.compile(r"[^ \t\n\r\f\v]+")


def or_function(*choices: str) -> Callable[[object], Any]:
    """None, one of a few names, or a function."""
    return optional(lambda value: value if callable(value) else one_of(*choices)(value))


def widths(value: object) -> int | tuple[int, ...] | None:
    """The setting `ngrams`: None, the greatest n, or a tuple of all n."""
    if isinstance(value, (tuple, list)):
        return tuple(positive(width) for width in value)
    return None if value is None else positive(value)


class TextVectorization(Lookup):
    """Maps each text of (batch,) or (batch, 1) to the indices of its words, (batch, length), or to counts.

    The text is standardized (ASCII letters to lower case, ASCII punctuation removed), split at whitespace, and joined
    to n-grams, which are looked up. 0 is padding, and 1 an unknown word. `adapt` learns the vocabulary, most frequent
    words first.

    >>> layer = TextVectorization(output_sequence_length=4)
    >>> layer.adapt(["The cat sat.", "The dog."])
    >>> layer.get_vocabulary()
    ['', '[UNK]', 'the', 'sat', 'dog', 'cat']
    >>> layer(["the dog ran"])
    Array([[2, 4, 1, 0]], dtype=int32)

    Args:
        max_tokens: the largest number of indices, including those of padding and unknown words; None sets no limit.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of an array of
            str.
        split: "whitespace", "character", None if the input is words already, or a function of an array of str that
            returns a list of words for each.
        ngrams: the greatest n of the n-grams that are added to the words, or a tuple of all n. None adds none.
        output_mode: "int" for indices, or vectors: "multi_hot", "count", "tf_idf".
        output_sequence_length: the length to which indices are cut or padded; None pads to the longest text.
        ragged: must be False, since the output is dense.
        encoding: the encoding of texts that are bytes.
    """

    max_tokens: int | None = setting(optional(integer), default=None)
    standardize: Standardize = setting(or_function(*filter(None, TABLES)), default="lower_and_strip_punctuation")
    split: Split = setting(or_function("whitespace", "character"), default="whitespace")
    ngrams: int | Sequence[int] | None = setting(widths, default=None)
    output_mode: Mode = setting(mode("int", "multi_hot", "count", "tf_idf"), default="int")
    output_sequence_length: int | None = setting(optional(positive), default=None)
    pad_to_max_tokens: bool = setting(flag, default=False)
    vocabulary: Inline = setting(inline, default=None)
    idf_weights: Inline = setting(inline, default=None)
    sparse: bool = setting(dense, default=False)
    ragged: bool = setting(dense, default=False)
    encoding: str = setting(known_encoding, default="utf-8")
    _lamina_name: Name = setting(default=None, alias="name")

    _lamina_fixed: ClassVar[dict[str, Any]] = {
        "num_oov_indices": 1, "mask_token": "", "oov_token": "[UNK]", "invert": False, "oov_method": "farmhash",
        "salt": None,
    }  # fmt: skip

    def __post_init__(self) -> None:
        if self.output_mode != "int" and self.output_sequence_length is not None:
            raise ArgumentError(
                f"TextVectorization(output_sequence_length={self.output_sequence_length}) needs output_mode='int'; "
                f"{self.output_mode!r} gives one vector per text."
            )
        super().__post_init__()

    def _lamina_documents(self, data: HostArray, batch: bool) -> list[Terms]:
        return words_of(self, as_terms(self, data))

    def _lamina_host(self, x: HostArray) -> HostArray:
        require_adapted(self)
        texts = words_of(self, as_terms(self, x))
        if self.output_mode == "int":
            texts = [words[: self.output_sequence_length] for words in texts]
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        indices = indices_of(self, list(chain.from_iterable(texts)), (len(texts),))
        if self.output_mode != "int":
            return counted(self._lamina_vocabulary, lengths, indices)
        length = self.output_sequence_length or int(lengths.max(initial=0))
        raise_if_too_large((len(texts), length), 8 * len(texts) * length)
        padded = np.zeros((len(texts), length), np.int32)
        padded[np.arange(length) < lengths[:, None]] = indices
        return padded

    @user_facing
    def compute_output_shape(self, input_shape: Shape) -> Shape:
        if self.output_mode == "int":
            return (input_shape[0], self.output_sequence_length)
        return super().compute_output_shape((input_shape[0], None))


def words_of(layer: TextVectorization, x: HostArray) -> list[list[str]]:
    """The words of each text."""
    if x.ndim > 1 and layer.split is not None:
        if x.ndim > 2 or x.shape[-1] != 1:
            raise DataError(
                f"{layer.name!r} takes one text per row, (batch,) or (batch, 1), got {x.shape}. Give every column a "
                "layer of its own, or join them."
            )
        x = x[:, 0]
    if callable(layer.standardize):
        x = np.asarray(layer.standardize(x.astype(str))).astype(object)
    elif layer.standardize is not None:
        table = TABLES[layer.standardize]
        x = np.array([text.translate(table) for text in x.ravel()] + [None], object)[:-1].reshape(x.shape)
    if callable(layer.split):
        texts = [[str(word) for word in words] for words in layer.split(x.astype(str))]
    elif layer.split is None:
        texts = x.reshape(len(x), -1).tolist()
    else:
        texts = [*map(WORDS.findall if layer.split == "whitespace" else list, x)]
    if layer.ngrams is None:
        return texts
    sizes = range(1, layer.ngrams + 1) if isinstance(layer.ngrams, int) else layer.ngrams
    return [[" ".join(words[i : i + size]) for size in sizes for i in range(len(words) - size + 1)] for words in texts]
