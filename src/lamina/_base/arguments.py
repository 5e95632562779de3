"""The types of the settings that many classes share: as they are given, and as they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from lamina._base.settings import Converted

Function: TypeAlias = Callable[..., Any]
Config: TypeAlias = dict[str, Any]

ActivationSetting: TypeAlias = Converted[str | Function | Config | None, Function]
InitializerSetting: TypeAlias = Converted[str | Function | Config | None, Function]
RegularizerSetting: TypeAlias = Converted[str | Function | Config | None, Function | None]
ConstraintSetting: TypeAlias = Converted[str | Function | Config | None, Function | None]
DataFormat: TypeAlias = Converted[Literal["channels_last", "channels_first"] | None, str]
Sizes: TypeAlias = Converted[int | Sequence[int], tuple[int, ...]]
"""One whole number for every axis, or one for each."""
