"""The settings shared by image layers: ranges to draw from, the range of pixel values, the interpolation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from lamina._settings.converters import number, one_of
from lamina._settings.settings import Converted
from lamina.errors import ArgumentError

BYTE = (0, 255)
Pair: TypeAlias = tuple[float, float]
Range: TypeAlias = Converted[float | Sequence[float], Pair]
"""A range to draw from, given as a pair or as one number."""
ValueRange: TypeAlias = Converted[Sequence[float], Pair]
Interpolation: TypeAlias = Literal["bilinear", "nearest"]
interpolations = one_of("bilinear", "nearest")


def interval(lowest: float, highest: float) -> Callable[[object], Pair]:
    """A pair of numbers, or one number f for the pair (-f, f); the lower end is at least `lowest`."""

    def pair(value: object) -> Pair:
        if isinstance(value, (tuple, list)) and len(value) == 2:
            low, high = sorted(map(number, value))
        else:
            low = high = number(value)
        if not lowest <= low <= high <= highest:
            raise ArgumentError(f"expected a number or a pair of numbers from {lowest} to {highest}, got {value!r}.")
        return (low, high) if isinstance(value, (tuple, list)) else (max(-abs(high), lowest), abs(high))

    return pair


share, signed_share = interval(0, 1), interval(-1, 1)


def ordered(value: object) -> Pair:
    """The lowest and the highest value of a pixel."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or number(value[0]) == number(value[1]):
        raise ArgumentError(f"expected the lowest and the highest value of a pixel, as (0, 255), got {value!r}.")
    low, high = sorted(map(number, value))
    return low, high
