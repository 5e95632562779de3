"""Keras's callback that resumes a run after its process was killed."""

from __future__ import annotations

from typing import Literal

from lamina._settings.converters import flag
from lamina._settings.settings import Configured, setting
from lamina.callbacks.checkpoint import Every, Keeping, KeepingCallback, folder_name, interval


def _save_freq(value: object) -> Every | Literal[False]:
    return False if value is False else interval(value)


class BackupAndRestore(KeepingCallback, Configured):
    """Saves the state of a run, as `Checkpoint` does, with the arguments that Keras has for it.

    Keras restores the weights and the number of the epoch. Here the whole state is restored, also in the middle of an
    epoch, and the history covers the whole run.

    Args:
        backup_dir: the folder. Each run needs one of its own.
        save_freq: "epoch", or the number of steps between saves; False saves only at Ctrl-C and SIGTERM.
        double_checkpoint: also keep the state before the latest one.
        delete_checkpoint: remove the states when the run has ended.
    """

    backup_dir: str = setting(folder_name)
    save_freq: Every | Literal[False] = setting(_save_freq, default="epoch")
    double_checkpoint: bool = setting(flag, default=False)
    delete_checkpoint: bool = setting(flag, default=True)

    @property
    def _lamina_keeping(self) -> Keeping:
        often = None if self.save_freq is False else self.save_freq
        return Keeping(self.backup_dir, often, 1 + self.double_checkpoint, self.delete_checkpoint, counts=False)
