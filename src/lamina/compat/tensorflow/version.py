"""The release of TensorFlow whose names and defaults these modules have."""

from __future__ import annotations

__all__ = ["COMPILER_VERSION", "GIT_VERSION", "GRAPH_DEF_VERSION", "VERSION"]

VERSION = "2.20.0"
GIT_VERSION = f"v{VERSION}-lamina"
COMPILER_VERSION = "XLA"
GRAPH_DEF_VERSION = 0
