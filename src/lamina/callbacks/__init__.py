"""Callbacks: what happens between the batches and epochs of a training."""

from __future__ import annotations

from lamina._base.public import public
from lamina.callbacks.bars import ProgbarLogger
from lamina.callbacks.csv_files import CSVLogger
from lamina.callbacks.functions import LambdaCallback
from lamina.callbacks.hooks import Callback
from lamina.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from lamina.callbacks.not_finite import TerminateOnNaN
from lamina.callbacks.records import History
from lamina.callbacks.stopping import EarlyStopping
from lamina.callbacks.together import CallbackList

__all__ = [
    "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback", "LearningRateScheduler",
    "ProgbarLogger", "ReduceLROnPlateau", "TerminateOnNaN",
]  # fmt: skip


public(__name__, __all__)
