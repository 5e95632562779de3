"""The `.keras` file, as a zip archive or as a folder."""

from __future__ import annotations

from typing import Any, NamedTuple

from lamina._saving.hdf5 import Stored


class Archive(NamedTuple):
    """The members of a `.keras` file."""

    config: dict[str, Any]
    """config.json"""
    weights: Stored
    """model.weights.h5"""
    assets: dict[str, bytes]
    """Vocabularies, by their names such as "layers/string_lookup/vocabulary.txt"."""
    extra: dict[str, Any]
    """lamina.json, which Keras does not read: names of columns and classes, and the versions."""
