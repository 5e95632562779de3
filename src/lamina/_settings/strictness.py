"""Settings of the process for cases that are errors here and work in Keras: raise an error, or only warn."""

from __future__ import annotations

from typing import Literal, TypedDict

NonFinite = Literal["raise", "warn", "stop"]
"""The response to a loss that is not finite: an error, only a warning, or the end of the training without an error."""


class Strictness(TypedDict):
    non_finite: NonFinite
    missing_class: Literal["raise", "warn"]
    """The response to a class without a weight in `class_weight`. With "warn", its weight is 1."""
    checks: Literal["on", "off"]
    """Whether `fit` looks for probable mistakes in the data and in the run."""


strictness: Strictness = {"non_finite": "raise", "missing_class": "raise", "checks": "on"}
AS_KERAS: Strictness = {"non_finite": "warn", "missing_class": "warn", "checks": "on"}
