"""Preparing data for a model, under the module names that Keras keeps for it; `utils` has the same functions."""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public

if FOR_TYPES:
    from lamina.preprocessing import image, sequence
    from lamina.utils import (
        image_dataset_from_directory,
        text_dataset_from_directory,
        timeseries_dataset_from_array,
    )

__all__ = [
    "image", "image_dataset_from_directory", "sequence", "text_dataset_from_directory", "timeseries_dataset_from_array",
]  # fmt: skip

public(__name__, __all__)
