"""Callbacks: objects that `fit` calls between batches and between epochs."""

from __future__ import annotations

from lamina._imports.lazy import FOR_TYPES
from lamina._imports.public import public
from lamina.callbacks.callback import Callback
from lamina.callbacks.callback_list import CallbackList
from lamina.callbacks.history import History
from lamina.callbacks.progress_bar import ProgbarLogger

if FOR_TYPES:
    from lamina.callbacks.backup_and_restore import BackupAndRestore
    from lamina.callbacks.checkpoint import Checkpoint
    from lamina.callbacks.csv_logger import CSVLogger
    from lamina.callbacks.early_stopping import EarlyStopping
    from lamina.callbacks.lambda_callback import LambdaCallback
    from lamina.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
    from lamina.callbacks.model_checkpoint import ModelCheckpoint
    from lamina.callbacks.remote_monitor import RemoteMonitor
    from lamina.callbacks.swap_ema_weights import SwapEMAWeights
    from lamina.callbacks.tensorboard import TensorBoard
    from lamina.callbacks.terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "Checkpoint", "EarlyStopping", "History",
    "LambdaCallback", "LearningRateScheduler", "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "RemoteMonitor",
    "SwapEMAWeights", "TensorBoard", "TerminateOnNaN",
]  # fmt: skip

public(__name__, __all__)
