"""Keras's callback for a run that goes on after its process was killed."""

from __future__ import annotations

from typing import Literal

from lamina._settings.converters import flag
from lamina._settings.settings import Configured, setting
from lamina.callbacks.checkpoint import Every, Keeping, KeepingCallback, folder_name, interval


def _save_freq(value: object) -> Every | Literal[False]:
    return False if value is False else interval(value)


class BackupAndRestore(KeepingCallback, Configured):
    """Keeps the state of a run, as `Checkpoint` does, under the arguments that Keras has for it.

    In Keras the weights and the number of the epoch come back; here all comes back, in the middle of an epoch too: the
    history is that of the whole run.

    Args:
        backup_dir: the folder. Each run needs one of its own.
        save_freq: "epoch", or after how many steps the state is kept; False: only at Ctrl-C and SIGTERM.
        double_checkpoint: keep the state before the latest one as well.
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
