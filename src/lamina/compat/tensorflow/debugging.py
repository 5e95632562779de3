"""Checks of values, which raise an error at once."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["assert_all_finite", "assert_equal", "check_numerics", "set_log_device_placement"]


def assert_equal(x: object, y: object, message: str = "", summarize: object = None, name: str | None = None) -> None:
    """Raise an error if the two differ."""
    np.testing.assert_array_equal(np.asarray(x), np.asarray(y), message)


def assert_all_finite(x: Any, message: str = "") -> Any:
    """Return the array, or raise an error if a number is not finite."""
    if not np.isfinite(np.asarray(x)).all():
        raise ValueError(f"{message}: the array has numbers that are not finite.".lstrip(": "))
    return x


check_numerics = assert_all_finite


def set_log_device_placement(enabled: bool) -> None:
    """Have no effect: JAX places arrays by itself."""
