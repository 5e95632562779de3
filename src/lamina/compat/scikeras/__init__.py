"""The package scikeras, for programs that import its estimators."""

from __future__ import annotations

from lamina.compat.scikeras import wrappers

__all__ = ["wrappers"]
