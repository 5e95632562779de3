"""Sequences as arrays."""

from __future__ import annotations

from lamina._imports.public import public
from lamina.utils import pad_sequences

__all__ = ["pad_sequences"]

public(__name__, __all__)
