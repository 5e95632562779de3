"""A model file as a web service: predictions over HTTP, for programs and in a form for people."""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public

if FOR_TYPES:
    from lamina.serving.application import app

__all__ = ["app"]

public(__name__, __all__)
