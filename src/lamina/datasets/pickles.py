"""Reads the pickles of data sets: arrays, lists, dicts, numbers and text. No function that a pickle names is called.

A pickle is a program. All its steps are checked before it runs: it can only make plain values that need no more bytes
than the pickle has. The classes below replace NumPy's classes and check their input. NumPy's own classes would read
the address of an object from the file and follow it.
"""

from __future__ import annotations

import functools
import io
import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from lamina._arrays.arrays import HostArray
from lamina.errors import FileError

_SHORT = re.compile(rb"(?:[N(a\]et)\x85-\x89bR\x93\x94us0l.]|[Kqh\x80].|M..|[Jj]....|[G\x95].{8})*+", re.DOTALL)
"""Steps of known length: None, numbers, lists, tuples, calls, and values stored under small numbers."""
_COUNTED = {b"U": 1, b"C": 1, b"\x8c": 1, b"\x8a": 1, b"T": 4, b"B": 4, b"X": 4, b"\x8b": 4, b"\x8e": 8, b"\x8d": 8}
"""Steps for text, bytes and long numbers, by the number of bytes of their length field."""
_LINES = {b"c": 2, b"I": 1, b"L": 1, b"F": 1, b"S": 1, b"V": 1, b"g": 1, b"p": 1}
"""Steps that extend to the end of the line, or of the next line."""
_KINDS = re.compile(r"[<>=|]?(?:b1|[iu][1248]|f[248]|[SU][0-9]{1,6}|O8?)")
PLAIN = {type(None), bool, int, float, str, bytes}


def unpickled(data: bytes) -> Any:
    """Returns the value in a pickle.

    Raises:
        FileError: the pickle names anything but NumPy's arrays, or is broken.
    """
    try:
        kind = _WithKeys if _check_steps(data) else _Unpickler
        return _bare(kind(io.BytesIO(data), encoding="bytes").load())
    except FileError:
        raise
    except Exception as error:  # a broken pickle may raise any error
        raise FileError(f"a pickle in the data set is broken ({error}). Delete the file.") from error


def _check_steps(data: bytes) -> bool:
    """Check that all steps are known and lie within the data. Returns whether they may make a dict."""
    place, keyed = 0, False
    while place < len(data):
        run = _SHORT.match(data, place)
        end = run.end() if run else place
        place, step = end + 1, data[end : end + 1]
        if step in _COUNTED:
            size = int.from_bytes(data[place : place + _COUNTED[step]], "little")
            place += _COUNTED[step] + size
        elif step == b"r":  # stores a value under a large number: the unpickler makes a list of that length
            _check_place(int.from_bytes(data[place : place + 4], "little"), data)
            place += 4
        elif step in _LINES:
            for _ in range(_LINES[step]):
                start, place = place, data.index(b"\n", place) + 1
            if step == b"p":
                _check_place(int(data[start:place]), data)
            elif step in b"IL" and place - start > 100:
                raise ValueError("a number of too many digits")
        elif step in (b"}", b"d"):
            keyed = True
        elif step:
            raise ValueError(f"the unknown step {step!r}")
    if place > len(data) + (not step):
        raise ValueError("it ends too early")
    return keyed


def _check_place(number: int, data: bytes) -> None:
    if number > len(data):
        raise ValueError(f"it remembers {number:,} values, and has {len(data):,} bytes")


def _bare(value: Any) -> Any:
    """The value; arrays, also those in a list or dict, become NumPy arrays."""
    if isinstance(value, _Array):
        return np.asarray(value)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        if isinstance(item, _Array):
            value[key] = np.asarray(item)
    return value


class _Kind:
    """The stand-in for a dtype in a pickle."""

    def __init__(self, text: str | bytes, *_: object) -> None:
        self.text = text.decode("ascii") if isinstance(text, bytes) else text
        if not _KINDS.fullmatch(self.text):
            raise ValueError(f"{self.text[:20]!r} is not a dtype of numbers or text")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "=", "|"):
            raise ValueError("the order of bytes is unknown")
        self.text = order + self.text.lstrip("<>=|")

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.text.replace("O8", "O"))


class _Array(np.ndarray[Any, Any]):
    """The stand-in for an array in a pickle: it accepts only content that fits its shape and dtype."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Kind) or not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 32:
            raise ValueError("an array of an unknown shape or dtype")
        whole = list if kind.dtype == object else bytes
        if type(content) is not whole or len(content) * (kind.dtype.itemsize if whole is list else 1) != (
            math.prod(shape) * kind.dtype.itemsize
        ):
            raise ValueError(f"an array of shape {shape} with other content")
        if whole is list and not set(map(type, content)) <= PLAIN and not all(map(_is_row, content)):
            raise ValueError("an array of other objects than numbers, text, and lists of them")
        checked: Any = (1, tuple(shape), kind.dtype, bool(by_columns), content)
        super().__setstate__(checked)


def _is_row(value: object) -> bool:
    return type(value) in PLAIN or (type(value) is list and set(map(type, value)) <= PLAIN)


def _empty(*_: object) -> HostArray:
    """Returns the array that the pickle fills next."""
    return _Array((0,), np.uint8)


def _scalar(kind: _Kind, data: bytes) -> Any:
    if not isinstance(kind, _Kind) or kind.dtype == object or type(data) is not bytes:
        raise ValueError("a number of an unknown dtype")
    return np.frombuffer(data, kind.dtype)[0]


def _bytes(text: str, encoding: str) -> bytes:
    """The stand-in for bytes, as Python 3 pickles them for Python 2."""
    if encoding != "latin1" or not isinstance(text, str):
        raise ValueError("bytes in an unknown form")
    return text.encode("latin-1")


class _Call:
    """A function in a pickle; the pickle cannot change it."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: object) -> Any:
        return self.function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise ValueError("it changes a function")


KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): None,  # an argument of _empty
    ("numpy", "dtype"): _Call(_Kind),
    ("_codecs", "encode"): _Call(_bytes),
    **{
        (f"numpy.{core}.multiarray", name): _Call(made)
        for core in ("core", "_core")
        for name, made in (("_reconstruct", _empty), ("scalar", _scalar))
    },
}
"""The names in a pickle of arrays, and the objects that replace them."""


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows only NumPy's arrays and Python's own values, and nothing that could be run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        raise FileError(
            f"a pickle in the data set names {module}.{name}, which could run code; expected arrays, lists and text. "
            "This is not the expected file: delete it."
        )


def _with_plain_keys(load: Callable[[Any], None], unpickler: Any) -> None:
    one = load is _InPython.load_setitem
    if not set(map(type, unpickler.stack[-2:-1] if one else unpickler.stack[::2])) <= PLAIN:
        raise ValueError("a key that is neither a number nor text")
    load(unpickler)


_InPython: Any = pickle._Unpickler
_KEYED = ((pickle.SETITEM, "load_setitem"), (pickle.SETITEMS, "load_setitems"), (pickle.DICT, "load_dict"))


class _WithKeys(_InPython):  # type: ignore[misc]
    """The same for pickles with dicts. Keys must be numbers or text, since hashing nested tuples may never end."""

    find_class = _Unpickler.find_class
    dispatch = _InPython.dispatch | {
        step[0]: functools.partial(_with_plain_keys, getattr(_InPython, name)) for step, name in _KEYED
    }
