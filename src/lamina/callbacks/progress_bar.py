"""The progress display, as a callback."""

from __future__ import annotations

from lamina import _display
from lamina.callbacks.callback import Callback, Logs


class ProgbarLogger(Callback):
    """Shows the progress of a run: a bar, or one line per epoch, by the `verbose` of the call.

    `fit`, `evaluate` and `predict` add one if the callbacks contain none, unless `verbose=0`.

    `verbose="rich"` adds rows per second, the memory of the process, and the time left of all epochs.
    """

    every_batch = False
    _lamina_progress: _display.Progress | None = None
    """The display of this run."""
    _lamina_training = False

    def _lamina_open(self, epochs: int | None = None) -> _display.Progress:
        params = self.params or {}
        shown = _display.Progress(
            params.get("verbose", "auto"), epochs=epochs, steps=params.get("steps"), rows=params.get("rows")
        )
        self._lamina_progress = shown
        return shown

    def _lamina_show(self, step: int, logs: Logs = None) -> None:
        if self._lamina_progress is not None:
            self._lamina_progress.update(step, logs)

    def _lamina_close(self, logs: Logs = None, done: bool = False) -> None:
        """End the line of an epoch or a call that is done, and leave the terminal as it was found."""
        if self._lamina_progress is not None:
            if done:
                self._lamina_progress.end(logs)
            if not (done and self._lamina_training):
                self._lamina_progress.close()

    def on_train_begin(self, logs: Logs = None) -> None:
        self._lamina_training = True
        self._lamina_open((self.params or {}).get("epochs"))

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        (self._lamina_progress or self._lamina_open()).begin(epoch)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._lamina_show(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._lamina_close(logs, done=True)

    def on_train_end(self, logs: Logs = None) -> None:
        self._lamina_training = False
        self._lamina_close()

    def on_test_begin(self, logs: Logs = None) -> None:
        if not self._lamina_training:
            self._lamina_open().begin()

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        if not self._lamina_training:
            self._lamina_show(batch + 1, logs)
        elif self._lamina_progress is not None:
            self._lamina_progress.validate(batch + 1)

    def on_test_end(self, logs: Logs = None) -> None:
        if not self._lamina_training:
            self._lamina_close(logs, done=True)

    def on_predict_begin(self, logs: Logs = None) -> None:
        self._lamina_open().begin()

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        self._lamina_show(batch + 1)

    def on_predict_end(self, logs: Logs = None) -> None:
        self._lamina_close(done=True)
