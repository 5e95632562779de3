"""The types of the settings that many classes share: as they are given, and as they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from lamina._settings.settings import Converted

Function: TypeAlias = Callable[..., Any]
Config: TypeAlias = dict[str, Any]

Result = TypeVar("Result")


def overridable(method: Callable[..., Result]) -> Callable[..., Result]:
    """The method itself. To a type checker it takes anything, so users may override it with arguments of their own."""
    return method


# As they are given.
Named: TypeAlias = str | Function | Config | None
"""A function, an object that is called like one, its name or its config."""
Format: TypeAlias = Literal["channels_last", "channels_first"] | None
Size: TypeAlias = int | Sequence[int]
"""One whole number for every axis, or one for each."""
Padding: TypeAlias = Literal["valid", "same"]
InputShape: TypeAlias = Sequence[int | None] | None

# As they are given and kept.
Name: TypeAlias = Converted[str | None, str]
"""A name; None is the class's name in snake_case."""
ActivationSetting: TypeAlias = Converted[Named, Function]
InitializerSetting: TypeAlias = Converted[Named, Function]
RegularizerSetting: TypeAlias = Converted[Named, Function | None]
ConstraintSetting: TypeAlias = Converted[Named, Function | None]
DataFormat: TypeAlias = Converted[Format, str]
Sizes: TypeAlias = Converted[Size, tuple[int, ...]]
