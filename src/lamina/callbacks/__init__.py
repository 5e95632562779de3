"""Callbacks: what happens between the batches and epochs of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamina._base.public import public
from lamina.callbacks.backup_and_restore import BackupAndRestore
from lamina.callbacks.callback import Callback
from lamina.callbacks.callback_list import CallbackList
from lamina.callbacks.checkpoint import Checkpoint
from lamina.callbacks.csv_logger import CSVLogger
from lamina.callbacks.early_stopping import EarlyStopping
from lamina.callbacks.history import History
from lamina.callbacks.lambda_callback import LambdaCallback
from lamina.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from lamina.callbacks.model_checkpoint import ModelCheckpoint
from lamina.callbacks.progress_bar import ProgbarLogger
from lamina.callbacks.swap_ema_weights import SwapEMAWeights
from lamina.callbacks.terminate_on_nan import TerminateOnNaN

if TYPE_CHECKING:  # loaded when they are first used
    from lamina.callbacks.remote_monitor import RemoteMonitor
    from lamina.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "Checkpoint", "EarlyStopping", "History",
    "LambdaCallback", "LearningRateScheduler", "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "RemoteMonitor",
    "SwapEMAWeights", "TensorBoard", "TerminateOnNaN",
]  # fmt: skip

_LATER = {
    "RemoteMonitor": "lamina.callbacks.remote_monitor", "TensorBoard": "lamina.callbacks.tensorboard",
}  # fmt: skip


public(__name__, __all__, _LATER)
