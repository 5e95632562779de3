"""Functions that check the value of a setting and convert it to its type. A bad value is an `ArgumentError`."""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from lamina._messages.spelling import nearest
from lamina.errors import ArgumentError, CallError, LaminaError

T = TypeVar("T")


def number(value: Any) -> float:
    """Any real number, NumPy's and one-element arrays included."""
    several = isinstance(value, np.ndarray) and value.size != 1
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__") or several:
        raise CallError(f"expected a number, got {short(value)}.")
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value  # type: ignore[no-any-return]


def integer(value: object) -> int:
    """A whole number."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise CallError(f"expected a whole number, got {short(value)}.")
    try:
        return operator.index(value)
    except TypeError:  # an array of several numbers
        raise CallError(f"expected a whole number, got {short(value)}.") from None


def positive(value: object) -> int:
    """A whole number of at least 1."""
    if integer(value) < 1:
        raise ArgumentError(f"expected a whole number of at least 1, got {short(value)}.")
    return integer(value)


def up_to(most: int, at_least: int = 1) -> Callable[[object], int]:
    """A whole number from `at_least` to `most`, for settings that would make tracing take too long."""

    def converted(value: object) -> int:
        if not at_least <= integer(value) <= most:
            raise ArgumentError(f"expected a whole number from {at_least} to {most:,}, got {short(value)}.")
        return integer(value)

    return converted


def count(value: object) -> int:
    """A whole number of at least 0."""
    if integer(value) < 0:
        raise ArgumentError(f"expected a whole number of at least 0, got {short(value)}.")
    return integer(value)


def flag(value: object) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise CallError(f"expected True or False, got {short(value)}.")
    return bool(value)


def not_negative(value: object) -> float:
    """A finite number of at least 0."""
    if not 0 <= number(value) < float("inf"):
        raise ArgumentError(f"expected a finite number of at least 0, got {short(value)}.")
    return number(value)


def above_zero(value: object) -> float:
    """A number above 0."""
    if not number(value) > 0:
        raise ArgumentError(f"expected a number above 0, got {short(value)}.")
    return number(value)


def fixed_seed(value: object) -> int:
    """A whole number that fits into 32 bits."""
    if not 0 <= integer(value) < 2**32:
        raise ArgumentError(f"expected a whole number from 0 to 2**32 - 1, got {short(value)}.")
    return integer(value)


def seed_value(value: object) -> int | None:
    """None, or a whole number that fits into 32 bits. For a `SeedGenerator` it is its initial seed."""
    value = getattr(value, "_lamina_drawn", value)
    return None if value is None else fixed_seed(value)


def rate(value: object) -> float:
    """A number from 0 to 1, as a share."""
    if not 0 <= number(value) <= 1:
        raise ArgumentError(f"expected a number from 0 to 1, got {short(value)}.")
    return number(value)


def layer_name(value: object) -> str:
    """A name of a layer, which is stored in files and begins the paths of weights."""
    controls = {character for character in str(value) if unicodedata.category(character) in ("Cc", "Cs")}
    if not isinstance(value, str) or not 1 <= len(value) <= 128 or {*"/\\", *controls} & set(value):
        raise ArgumentError("a name is a string without '/', '\\' and control characters, of 1 to 128 characters.")
    return value


def one_of(*choices: T) -> Callable[[object], T]:
    """One of a few values."""

    def choice(value: Any) -> Any:
        if np.ndim(value) or value not in choices:
            names = [choice for choice in choices if isinstance(choice, str)]
            hint = "".join(f" Did you mean {found!r}?" for found in nearest(str(value), names))
            raise ArgumentError(f"expected one of {', '.join(map(repr, choices))}, got {short(value)}.{hint}")
        return value

    return choice


def word(*choices: T) -> Callable[[object], T]:
    """One of a few words, in upper or lower case."""
    choice = one_of(*choices)
    return lambda value: choice(value.lower() if isinstance(value, str) else value)


def checked(function: str, name: str, convert: Callable[[object], T], value: object) -> T:
    """Return `convert(value)`. Its errors name the argument."""
    try:
        return convert(value)
    except LaminaError as error:
        raise type(error)(f"{function}({name}={short(value)}): {error}") from None
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        # The config of a broken file may hold values that no converter expects.
        raise ArgumentError(f"{function}({name}={short(value)}): the value does not fit: {error}.") from None


def optional(convert: Callable[[object], T]) -> Callable[[object], T | None]:
    """None, or a value for `convert`."""
    return lambda value: None if value is None else convert(value)


def short(value: Any, limit: int = 60) -> str:
    if isinstance(value, dict) and "class_name" in value:
        config = value.get("config") or {}
        text = str(config)
        if isinstance(config, dict):
            text = f"{value['class_name']}({', '.join(f'{k}={short(v)}' for k, v in config.items() if v is not None)})"
    elif isinstance(value, ModuleType):
        text = value.__name__
    elif getattr(value, "shape", ()) and hasattr(value, "__array__"):
        text = f"an array of shape {tuple(value.shape)}"
    else:
        # Without the address of a function or an object; on one line.
        text = re.sub(r"\s+", " ", re.sub(r" at 0x[0-9a-f]+", "", repr(value)))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def per_axis(
    rank: int, convert: Callable[[Any], Any] = positive, wanted: str = "one value, or one for each of {rank} axes"
) -> Callable[[object], tuple[Any, ...]]:
    """Make a converter for one value for all of `rank` axes, or a sequence with one for each."""

    def converted(value: object) -> tuple[Any, ...]:
        if not isinstance(value, (tuple, list)):
            return (convert(value),) * rank
        if len(value) != rank:
            raise ArgumentError(f"expected {wanted.format(rank=rank)}, got {value!r}.")
        return tuple(convert(each) for each in value)

    return converted
