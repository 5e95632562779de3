"""Keras 2's helpers for text, sequences and images, which Keras 3 no longer has."""

from __future__ import annotations

from lamina.compat.preprocessing import image, sequence, text
from lamina.utils import image_dataset_from_directory, text_dataset_from_directory, timeseries_dataset_from_array

__all__ = [
    "image", "image_dataset_from_directory", "sequence", "text", "text_dataset_from_directory",
    "timeseries_dataset_from_array",
]  # fmt: skip
