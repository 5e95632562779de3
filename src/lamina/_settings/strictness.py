"""What is refused, and what only said, in this process: a setting for each thing that programs for Keras rely on."""

from __future__ import annotations

from typing import Literal, TypedDict

NonFinite = Literal["raise", "warn", "stop"]
"""What a loss that is not finite does: end the training with an error, no more than a warning, or end it as if done."""


class Strictness(TypedDict):
    non_finite: NonFinite
    missing_class: Literal["raise", "warn"]
    """A class of y that has no weight in `class_weight`; where it is only said, the class weighs 1."""
    checks: Literal["on", "off"]
    """Whether `fit` looks for probable mistakes in the data and in the run."""


strictness: Strictness = {"non_finite": "raise", "missing_class": "raise", "checks": "on"}
AS_KERAS: Strictness = {"non_finite": "warn", "missing_class": "warn", "checks": "on"}
