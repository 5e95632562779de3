"""Small tools around a model."""

from __future__ import annotations

from typing import Any

from lamina.errors import missing_attribute, user_facing
from lamina.random import set_random_seed
from lamina.utils.arrays import normalize, pad_sequences, to_categorical
from lamina.utils.session import clear_session

__all__ = ["clear_session", "normalize", "pad_sequences", "set_random_seed", "to_categorical"]


@user_facing
def __getattr__(name: str) -> Any:
    raise missing_attribute(__name__, name, __all__)
