"""Layers that number text and whole numbers by a vocabulary, on the host."""

from __future__ import annotations

import codecs
from typing import Any, ClassVar

from lamina._base.converters import count, flag, integer, one_of, optional
from lamina._base.settings import setting
from lamina.errors import ArgumentError
from lamina.layers.features.hashing import MODES, dense, mode, salt
from lamina.layers.features.vocabularies import Lookup, inline


def text(value: Any) -> str | None:
    """None, or a string."""
    if value is not None and not isinstance(value, str):
        raise ArgumentError(f"expected text or None, got {value!r}.")
    return value


def known_encoding(value: Any) -> str:
    """The name of an encoding of text."""
    try:
        codecs.lookup(value)
    except (LookupError, TypeError):
        raise ArgumentError(f"expected an encoding that Python knows, as 'utf-8', got {value!r}.") from None
    return str(value)


class IntegerLookup(Lookup):
    """Numbers whole numbers by a vocabulary, given or learned by `adapt`: the more frequent, the lower the index.

    >>> IntegerLookup(vocabulary=[12, 36, 1138])([[12, 1138], [42, 36]])
    Array([[1, 3],
           [0, 2]], dtype=int32)

    Args:
        num_oov_indices: how many indices unknown values share; with 0 they are an error.
        invert: give the values for indices instead.
        output_mode: "int", or vectors: "one_hot", "multi_hot", "count", "tf_idf".
        oov_method: with several such indices, "floormod" or "farmhash" (then with a `salt`, SipHash64).
    """

    max_tokens: int | None = setting(optional(integer), default=None)
    num_oov_indices: int = setting(count, default=1)
    mask_token: Any = setting(optional(integer), default=None)
    oov_token: Any = setting(optional(integer), default=-1)
    vocabulary: Any = setting(inline, default=None)
    vocabulary_dtype: str = setting(one_of("int64"), default="int64")
    idf_weights: Any = setting(inline, default=None)
    invert: bool = setting(flag, default=False)
    output_mode: str = setting(mode(*MODES, "tf_idf"), default="int")
    sparse: bool = setting(dense, default=False)
    pad_to_max_tokens: bool = setting(flag, default=False)
    oov_method: str = setting(one_of("floormod", "farmhash"), default="floormod")
    salt: Any = setting(salt, default=None)
    name: Any = None

    numeric: ClassVar[bool] = True


class StringLookup(Lookup):
    """Numbers text by a vocabulary, given or learned by `adapt`: the more frequent, the lower the index.

    >>> StringLookup(vocabulary=["a", "b", "c"])([["a", "c"], ["z", "b"]])
    Array([[1, 3],
           [0, 2]], dtype=int32)

    Args:
        num_oov_indices: how many indices unknown terms share, by their hash; with 0 they are an error.
        invert: give the terms for indices instead, as an array of `str`.
        output_mode: "int", or vectors: "one_hot", "multi_hot", "count", "tf_idf".
        encoding: of bytes.
    """

    max_tokens: int | None = setting(optional(integer), default=None)
    num_oov_indices: int = setting(count, default=1)
    mask_token: Any = setting(text, default=None)
    oov_token: Any = setting(text, default="[UNK]")
    vocabulary: Any = setting(inline, default=None)
    idf_weights: Any = setting(inline, default=None)
    invert: bool = setting(flag, default=False)
    output_mode: str = setting(mode(*MODES, "tf_idf"), default="int")
    pad_to_max_tokens: bool = setting(flag, default=False)
    sparse: bool = setting(dense, default=False)
    encoding: str = setting(known_encoding, default="utf-8")
    name: Any = None
    salt: Any = setting(salt, default=None)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"oov_method": "floormod"}  # of no effect on text, and in Keras's config
