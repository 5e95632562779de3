"""Converts plain values to JSON and arrays, and back. Checkpoints store callbacks and logs in this form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import HostArray

SEQUENCES = {"tuple": tuple, "set": set, "frozenset": frozenset}
AS_THEY_ARE = {type(None), bool, int, str}


class Packed(NamedTuple):
    """A value in the form of JSON, which refers to arrays by their numbers in `arrays`."""

    plain: Any
    arrays: list[HostArray]


class NotPlainError(TypeError):
    """Raised for a value that is not a number, a string, an array, or a list, tuple, set or dict of these."""


def pack(value: object) -> Packed:
    """Convert a value to plain data and copies of its arrays.

    >>> pack({"best": 0.5, "weights": [np.ones(2), None]})
    Packed(plain={'best': 0.5, 'weights': [{'$numpy': 0}, None]}, arrays=[array([1., 1.])])

    Raises:
        NotPlainError: for anything but numbers, strings, arrays, and lists, tuples, sets and dicts of them.
    """
    arrays: list[HostArray] = []
    return Packed(_packed(value, arrays), arrays)


def unpack(plain: Any, arrays: Sequence[HostArray]) -> Any:
    """The value that was packed.

    >>> unpack(*pack(({1: math.inf}, "a", 2**64)))
    ({1: inf}, 'a', 18446744073709551616)
    """
    if isinstance(plain, list):
        return [unpack(item, arrays) for item in plain]
    if not isinstance(plain, dict):
        return plain
    match list(plain.items()):
        case [("$float", str(text))]:
            return float(text)
        case [("$int", str(text))]:
            return int(text)
        case [("$numpy", int(place))]:
            return np.array(arrays[place])
        case [("$scalar", int(place))]:
            return arrays[place][()]
        case [("$jax", int(place))]:
            return jnp.array(arrays[place])
        case [("$dict", list(items))]:
            return {unpack(key, arrays): unpack(item, arrays) for key, item in items}
        case [(str(kind), list(items))] if kind[1:] in SEQUENCES and kind[0] == "$":
            return SEQUENCES[kind[1:]](unpack(item, arrays) for item in items)
    return {key: unpack(item, arrays) for key, item in plain.items()}


def _packed(value: Any, arrays: list[HostArray]) -> Any:
    kind = type(value)
    if kind is int and abs(value) >= 2**63:  # the guard of files takes no longer ones
        return {"$int": str(value)}
    if kind in AS_THEY_ARE:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if kind is list:
        return list(value) if _is_flat(value) else [_packed(item, arrays) for item in value]
    if kind is dict:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _packed(item, arrays) for key, item in value.items()}
        return {"$dict": [[_packed(key, arrays), _packed(item, arrays)] for key, item in value.items()]}
    if kind.__name__ in SEQUENCES and kind.__module__ == "builtins":
        items = sorted(value, key=repr) if "set" in kind.__name__ else list(value)
        return {f"${kind.__name__}": _packed(items, arrays)}
    if isinstance(value, (np.ndarray, np.generic, jax.Array)) and _counts(value.dtype):
        arrays.append(np.asarray(value))
        name = "jax" if isinstance(value, jax.Array) else "scalar" if isinstance(value, np.generic) else "numpy"
        return {f"${name}": len(arrays) - 1}
    raise NotPlainError(f"{kind.__name__} {str(value)[:40]!r}")


def _is_flat(value: list[Any]) -> bool:
    """Whether JSON can hold a list unchanged. For a long history this check saves nearly all of the time."""
    kinds = set(map(type, value))
    numbers = kinds == {float} and math.isfinite(sum(value))
    return numbers or kinds <= {bool, str} or (kinds == {int} and -(2**63) < min(value) <= max(value) < 2**63)


def _counts(dtype: np.dtype[Any]) -> bool:
    """Whether a dtype is numeric, JAX's own dtypes included."""
    return bool(jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, np.bool_))
