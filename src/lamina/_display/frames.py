"""Frames of pandas, which is imported at the first use."""

from __future__ import annotations

from typing import Any

from lamina.errors import MissingPackageError


def pandas_for(method: str, instead: str) -> Any:
    """Import pandas for a method that returns a frame. Without pandas, the error names the attribute to read."""
    try:
        import pandas
    except ImportError:
        raise MissingPackageError(f"{method}() needs pandas: pip install pandas. `{instead}` has the same.") from None
    return pandas
