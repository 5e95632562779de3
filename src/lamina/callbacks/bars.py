"""The progress display as a callback, for training loops of your own."""

from __future__ import annotations

from lamina import _display as display
from lamina.callbacks.hooks import Callback, Logs


class ProgbarLogger(Callback):
    """Shows a progress bar; `fit`, `evaluate` and `predict` show one by themselves, by `verbose`."""

    every_batch = False
    _training = False

    def _open(self, epochs: int | None = None) -> None:
        params = self.params or {}
        self.progress = display.Progress(params.get("verbose", "auto"), epochs=epochs, steps=params.get("steps"))

    def on_train_begin(self, logs: Logs = None) -> None:
        self._training = True
        self._open((self.params or {}).get("epochs"))

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
            self._open()
            self.progress.begin()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        if not self._training:
            self.progress.update(batch + 1, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        if not self._training:
            self.progress.end(logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._open()
        self.progress.begin()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.progress.update(batch + 1)

    def on_predict_end(self, logs: Logs = None) -> None:
        self.progress.end()
