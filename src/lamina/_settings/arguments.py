"""The types of settings that many classes share: the type of the argument, and the type of the stored value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from lamina._settings.settings import Converted

Function: TypeAlias = Callable[..., Any]
Config: TypeAlias = dict[str, Any]

Result = TypeVar("Result")


def overridable(method: Callable[..., Result]) -> Callable[..., Result]:
    """Return the method. For type checkers it takes any arguments, so that users may override it with other ones."""
    return method


# The types of arguments.
Named: TypeAlias = str | Function | Config | None
"""A function, an object that is called like one, its name or its config."""
Format: TypeAlias = Literal["channels_last", "channels_first"] | None
Size: TypeAlias = int | Sequence[int]
"""One whole number for every axis, or one for each."""
Padding: TypeAlias = Literal["valid", "same"]
InputShape: TypeAlias = Sequence[int | None] | None

# The types of arguments and of stored values.
Name: TypeAlias = Converted[str | None, str]
"""A name; None is the class's name in snake_case."""
ActivationSetting: TypeAlias = Converted[Named, Function]
InitializerSetting: TypeAlias = Converted[Named, Function]
RegularizerSetting: TypeAlias = Converted[Named, Function | None]
ConstraintSetting: TypeAlias = Converted[Named, Function | None]
DataFormat: TypeAlias = Converted[Format, str]
Sizes: TypeAlias = Converted[Size, tuple[int, ...]]
