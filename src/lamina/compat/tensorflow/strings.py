"""`tf.strings`: functions of text, with Python's own. A text gives a text, an array of texts gives an array."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lamina.compat.tensorflow.texts import eager

__all__ = [
    "join", "length", "lower", "reduce_join", "regex_full_match", "regex_replace", "split", "strip", "substr",
    "to_number", "upper",
]  # fmt: skip


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _each(function: Callable[[str], Any], given: object, dtype: DTypeLike = object) -> Any:
    """Call a function with each text. The results are an array of the same shape."""
    texts = np.asarray(given)
    if texts.ndim == 0:
        return eager(function(_text(texts.item())))
    made = np.empty(texts.shape, dtype)
    for place in np.ndindex(texts.shape):
        made[place] = function(_text(texts[place]))
    return eager(made)


def lower(input: object, encoding: str = "", name: str | None = None) -> Any:
    """Convert to lower case; without an encoding, only ASCII letters."""
    return _each(lambda text: _cased(text, str.lower, encoding), input)


def upper(input: object, encoding: str = "", name: str | None = None) -> Any:
    """Convert to upper case; without an encoding, only ASCII letters."""
    return _each(lambda text: _cased(text, str.upper, encoding), input)


def _cased(text: str, case: Callable[[str], str], encoding: str) -> str:
    return case(text) if encoding else "".join(case(letter) if letter.isascii() else letter for letter in text)


def strip(input: object, name: str | None = None) -> Any:
    """Remove blanks at both ends."""
    return _each(str.strip, input)


def length(input: object, unit: str = "BYTE", name: str | None = None) -> Any:
    """The length of a text in bytes of UTF-8, or in characters for "UTF8_CHAR"."""
    return _each(lambda text: len(text if unit == "UTF8_CHAR" else text.encode()), input, np.int32)


def substr(input: object, pos: int, len: int, unit: str = "BYTE", name: str | None = None) -> Any:
    """The `len` characters from index `pos` on."""
    return _each(lambda text: text[pos:][:len], input)


def regex_replace(
    input: object, pattern: str, rewrite: str, replace_global: bool = True, name: str | None = None
) -> Any:
    """Replace each match of a pattern, or only the first, by `rewrite`."""
    count = 0 if replace_global else 1
    return _each(lambda text: re.sub(pattern, rewrite, text, count=count), input)


def regex_full_match(input: object, pattern: str, name: str | None = None) -> Any:
    """Whether a whole text matches a pattern."""
    return _each(lambda text: re.fullmatch(pattern, text) is not None, input, np.bool_)


def split(input: object, sep: str | None = None, maxsplit: int = -1, name: str | None = None) -> Any:
    """Split a text at blanks, or at `sep`, into an array; several texts into a list of arrays."""
    texts = np.asarray(input)
    if texts.ndim:
        return [split(each, sep, maxsplit) for each in texts]
    return eager(np.array(_text(texts.item()).split(sep or None, maxsplit), object))


def join(inputs: Sequence[object], separator: str = "", name: str | None = None) -> Any:
    """Join the texts of several arrays, element by element."""
    arrays = np.broadcast_arrays(*(np.asarray(each, object) for each in inputs))
    if arrays[0].ndim == 0:
        return eager(separator.join(_text(each.item()) for each in arrays))
    made = np.empty(arrays[0].shape, object)
    for place in np.ndindex(made.shape):
        made[place] = separator.join(_text(each[place]) for each in arrays)
    return eager(made)


def reduce_join(inputs: object, axis: int | None = None, separator: str = "", name: str | None = None) -> Any:
    """Join the texts of an array along an axis, or all of them."""
    texts = np.asarray(inputs, object)
    return join([*texts.ravel()] if axis is None else [*np.moveaxis(texts, axis, 0)], separator)


def to_number(input: ArrayLike, out_type: DTypeLike = np.float32, name: str | None = None) -> Any:
    """Convert texts to numbers."""
    kind = np.dtype(out_type)
    return kind.type(_each(float, input, kind)) if np.ndim(input) == 0 else _each(float, input, kind)
