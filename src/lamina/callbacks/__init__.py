"""Callbacks: what happens between the batches and epochs of a training."""

from __future__ import annotations

from typing import Any

from lamina.callbacks.bars import ProgbarLogger
from lamina.callbacks.csv_files import CSVLogger
from lamina.callbacks.functions import LambdaCallback
from lamina.callbacks.hooks import Callback
from lamina.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from lamina.callbacks.not_finite import TerminateOnNaN
from lamina.callbacks.records import History
from lamina.callbacks.stopping import EarlyStopping
from lamina.callbacks.together import CallbackList
from lamina.errors import missing_attribute, user_facing

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


@user_facing
def __getattr__(name: str) -> Any:
    raise missing_attribute(__name__, name, __all__)
