"""Reads values that JSON cannot express, in the form that Keras's configs use for them."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from lamina._arrays.arrays import HostArray, as_array
from lamina._settings.converters import short
from lamina.errors import ArgumentError

NUMBERS = (
    "float32", "float16", "bfloat16", "float64", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16",
    "uint32", "uint64",
)  # fmt: skip
"""The dtypes of arrays in configs."""
DEEPEST = 32
"""The greatest number of axes of an array in a config, which is NumPy's own."""


def _array(value: Any, dtype: Any) -> HostArray:
    """Convert nested lists to an array of numbers."""
    if dtype not in NUMBERS:
        raise ArgumentError(f"expected the dtype of an array of numbers, got {short(dtype)}.")
    depth, first = 0, value
    while isinstance(first, list) and first:
        depth, first = depth + 1, first[0]
    try:
        array = np.asarray(value) if depth <= DEEPEST else np.asarray(None)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"expected an array of numbers, as lists in lists, got {short(value)}.")
    return array.astype(jnp.dtype(dtype))


def plain(config: Any) -> Any:
    """The value that a config describes; any other value is returned unchanged."""
    kind, told = (config.get("class_name"), config.get("config")) if isinstance(config, dict) else (None, None)
    if not isinstance(kind, str) or kind not in PLAIN:
        return config
    if not isinstance(told, dict) or not PLAIN[kind] <= told.keys():
        raise ArgumentError(f"expected {kind} with {', '.join(sorted(PLAIN[kind]))}; got {short(told)}.")
    if kind in ("__numpy__", "__tensor__"):
        array = _array(told["value"], told["dtype"])
        return array if kind == "__numpy__" else as_array(array)
    if kind == "__bytes__":
        return str(told["value"]).encode()
    if kind == "__slice__":
        return slice(*(plain(told[part]) for part in ("start", "stop", "step")))
    if kind == "__ellipsis__":
        return Ellipsis
    raise ArgumentError(
        "the config holds a lambda as code, and no code of a file is run. Write the function with def in your program, "
        "and give it by its name: custom_objects={'name': function}."
    )


PLAIN: dict[str, set[str]] = {
    "__numpy__": {"value", "dtype"}, "__tensor__": {"value", "dtype"}, "__bytes__": {"value"}, "__ellipsis__": set(),
    "__slice__": {"start", "stop", "step"}, "__lambda__": set(),
}  # fmt: skip
