"""Where Keras keeps its models: here there is one kind, the stack."""

from __future__ import annotations

from typing import Any

from lamina.errors import missing_attribute, user_facing
from lamina.verbs import Sequential

__all__ = ["Sequential"]


@user_facing
def __getattr__(name: str) -> Any:
    raise missing_attribute(__name__, name, __all__)
