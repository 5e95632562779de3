"""Keras 2's helpers for text, sequences and images, which Keras 3 no longer shows."""

from __future__ import annotations

from lamina.compat.preprocessing import image, sequence, text

__all__ = ["image", "sequence", "text"]
