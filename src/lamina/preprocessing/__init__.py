"""Data before a model, under the module names that Keras keeps for it; all of it stands in `utils` too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina._base.public import public

if TYPE_CHECKING:
    from lamina.preprocessing import image, sequence
    from lamina.utils import (
        image_dataset_from_directory,
        text_dataset_from_directory,
        timeseries_dataset_from_array,
    )

__all__ = [
    "image", "image_dataset_from_directory", "sequence", "text_dataset_from_directory", "timeseries_dataset_from_array",
]  # fmt: skip

LATER = dict.fromkeys(__all__, "lamina.utils") | {name: f"{__name__}.{name}" for name in ("image", "sequence")}
public(__name__, __all__, LATER)
