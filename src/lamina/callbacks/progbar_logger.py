"""The progress display as a callback, for training loops of your own."""

from __future__ import annotations

from typing import Any

from lamina import display
from lamina.callbacks.callback import Callback, Logs


class ProgbarLogger(Callback):
    """Shows a progress bar; `fit`, `evaluate` and `predict` show one by themselves, by `verbose`."""

    every_batch = False
    _training = False

    def set_params(self, params: dict[str, Any] | None) -> None:
        super().set_params(params)
        given = params or {}
        self.progress = display.Progress(
            given.get("verbose", "auto"), epochs=given.get("epochs"), steps=given.get("steps")
        )

    def on_train_begin(self, logs: Logs = None) -> None:
        self._training = True

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.progress.begin(epoch)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.progress.update(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self.progress.end(logs)

    def on_train_end(self, logs: Logs = None) -> None:
        self._training = False
        self.progress.close()

    def on_test_begin(self, logs: Logs = None) -> None:
        if not self._training:
            self.progress.begin()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        if not self._training:
            self.progress.update(batch + 1, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        if not self._training:
            self.progress.end(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self.progress.begin()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.progress.update(batch + 1)

    def on_predict_end(self, logs: Logs = None) -> None:
        self.progress.end()
