"""Layers that map text and whole numbers to indices by a vocabulary, on the host."""

from __future__ import annotations

import codecs
from typing import Any, ClassVar, Literal, TypeAlias

from lamina._settings.arguments import Name
from lamina._settings.converters import count, flag, integer, one_of, optional
from lamina._settings.settings import setting
from lamina.errors import ArgumentError
from lamina.layers.features.hashing import MODES, Mode, Salt, dense, mode, salt
from lamina.layers.features.vocabularies import Inline, Lookup, inline

OovMethod: TypeAlias = Literal["floormod", "farmhash"]


def text(value: object) -> str | None:
    """None, or a string."""
    if value is not None and not isinstance(value, str):
        raise ArgumentError(f"expected text or None, got {value!r}.")
    return value


def known_encoding(value: Any) -> str:
    """The name of a text encoding, such as "utf-8"."""
    try:
        codecs.lookup(value)
    except (LookupError, TypeError):
        raise ArgumentError(f"expected an encoding that Python knows, as 'utf-8', got {value!r}.") from None
    return str(value)


class IntegerLookup(Lookup):
    """Maps integers to indices by a vocabulary, given or learned by `adapt`. Frequent numbers come first.

    >>> IntegerLookup(vocabulary=[12, 36, 1138])([[12, 1138], [42, 36]])
    Array([[1, 3],
           [0, 2]], dtype=int32)

    Args:
        vocabulary_dtype: "int64", the dtype of the terms.
        oov_method: how an unknown number is mapped to one of several indices, "floormod" or "farmhash".
    """

    max_tokens: int | None = setting(optional(integer), default=None)
    num_oov_indices: int = setting(count, default=1)
    mask_token: int | None = setting(optional(integer), default=None)
    oov_token: int | None = setting(optional(integer), default=-1)
    vocabulary: Inline = setting(inline, default=None)
    vocabulary_dtype: Literal["int64"] = setting(one_of("int64"), default="int64")
    idf_weights: Inline = setting(inline, default=None)
    invert: bool = setting(flag, default=False)
    output_mode: Mode = setting(mode(*MODES, "tf_idf"), default="int")
    sparse: bool = setting(dense, default=False)
    pad_to_max_tokens: bool = setting(flag, default=False)
    oov_method: OovMethod = setting(one_of("floormod", "farmhash"), default="floormod")
    salt: Salt = setting(salt, default=None)
    _lamina_name: Name = setting(default=None, alias="name")

    _lamina_numeric: ClassVar[bool] = True


class StringLookup(Lookup):
    """Maps text to indices by a vocabulary, given or learned by `adapt`. Frequent terms come first.

    >>> StringLookup(vocabulary=["a", "b", "c"])([["a", "c"], ["z", "b"]])
    Array([[1, 3],
           [0, 2]], dtype=int32)

    Args:
        encoding: the encoding of terms that are bytes.
    """

    max_tokens: int | None = setting(optional(integer), default=None)
    num_oov_indices: int = setting(count, default=1)
    mask_token: str | None = setting(text, default=None)
    oov_token: str | None = setting(text, default="[UNK]")
    vocabulary: Inline = setting(inline, default=None)
    idf_weights: Inline = setting(inline, default=None)
    invert: bool = setting(flag, default=False)
    output_mode: Mode = setting(mode(*MODES, "tf_idf"), default="int")
    pad_to_max_tokens: bool = setting(flag, default=False)
    sparse: bool = setting(dense, default=False)
    encoding: str = setting(known_encoding, default="utf-8")
    _lamina_name: Name = setting(default=None, alias="name")
    salt: Salt = setting(salt, default=None)

    _lamina_fixed: ClassVar[dict[str, Any]] = {"oov_method": "farmhash"}

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"oov_method": "floormod"}  # Keras's config has it; it has no effect on text
