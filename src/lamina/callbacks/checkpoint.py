"""Save the state of a run in files, so that the run can be resumed after its process was killed."""

from __future__ import annotations

import os
from abc import abstractmethod
from typing import Any, Literal, NamedTuple

from lamina._files import files
from lamina._settings.converters import flag, one_of, positive
from lamina._settings.settings import Configured, setting
from lamina.callbacks.callback import Callback, Logs
from lamina.callbacks.callback_list import CallbackList
from lamina.callbacks.monitor import Mode, MonitorCallback, log_name
from lamina.errors import ArgumentError

Every = int | Literal["epoch"]


class Keeping(NamedTuple):
    """The folder for the states of a run, how often they are saved, and how many are kept."""

    folder: str
    every: Every | None
    """The number of steps between saves; None saves only at an interruption and at the end."""
    keep: int
    deletes: bool = False
    """Whether the states are removed when the run has ended."""
    counts: bool = True
    """Whether a second `fit` of the same program has states of its own, in a folder within the folder."""
    goes_on: bool = False
    """Whether a resumed run continues if its stream gives other batches than before."""


class KeepingCallback(MonitorCallback):
    """Base of the callbacks that save the state of a run. `fit` itself takes the states, between steps."""

    monitor: str = ""
    mode: Mode = "auto"
    min_delta: float = 0.0
    best: float | None = None

    @property
    @abstractmethod
    def _lamina_keeping(self) -> Keeping: ...

    def on_train_begin(self, logs: Logs = None) -> None:
        self.best = None

    def _lamina_is_best(self, logs: Logs) -> bool:
        """Whether an epoch with these logs is the best one so far; it is then the one to beat."""
        current = self._lamina_current(logs) if self.monitor else None
        better = current is not None and self._lamina_improves(current, self.best)
        self.best = current if better else self.best
        return better


def folder_name(value: Any) -> str:
    """The name of a folder."""
    return files.name_of(value, 'the name of a folder, such as "checkpoints"')


def interval(value: object) -> Every:
    """A number of steps, or "epoch"."""
    if isinstance(value, str):
        if value != "epoch":
            raise ArgumentError(f'expected a number of steps, or "epoch", got {value!r}.')
        return "epoch"
    return positive(value)


def _monitor(value: object) -> str:
    return "" if value is None else log_name(value)


class Checkpoint(KeepingCallback, Configured):
    """Saves the state of a run in a folder. The same program, started again, resumes the run.

    The state is everything that decides the next steps: weights, optimizer, place in the data, random numbers, metrics,
    callbacks and history. A resumed run gives the same weights and history, to the last bit, as a run that was never
    killed. States are written while the training continues. If the disk is slower, the newest state replaces one that
    still waits.

    `fit(..., checkpoint="folder")` does the same after each epoch.

    >>> Checkpoint("checkpoints", every=200, monitor="val_loss")
    Checkpoint('checkpoints', every=200, monitor='val_loss')

    Args:
        folder: the folder, which is created if needed. A second `fit` of the same program uses a folder inside it.
        every: the number of steps between saves, or "epoch".
        keep: how many states stay in the folder.
        monitor: the name of a number in the logs. The state of its best epoch is also kept, in `best.safetensors`.
        mode: "min" or "max" is better; "auto" goes by the metric.
        other_batches: whether a resumed run continues with a warning, instead of an error, if a stream that is read
            again gives other batches than before.
    """

    folder: str = setting(folder_name)
    every: Every = setting(interval, default=50)
    keep: int = setting(positive, default=2)
    monitor: str = setting(_monitor, default=None)
    mode: Mode = setting(one_of("auto", "min", "max"), default="auto")
    other_batches: bool = setting(flag, default=False)

    @property
    def _lamina_keeping(self) -> Keeping:
        return Keeping(self.folder, self.every, self.keep, goes_on=self.other_batches)


def keeping_of(callbacks: object, checkpoint: object) -> tuple[list[Callback], KeepingCallback | None]:
    """The callbacks of a `fit`, and the callback among them that saves its state."""
    if isinstance(checkpoint, (str, os.PathLike)):
        checkpoint = Checkpoint(os.fspath(checkpoint), every="epoch")
    if checkpoint is not None and not isinstance(checkpoint, KeepingCallback):
        raise ArgumentError(f"fit(checkpoint=...): expected the name of a folder, or a Checkpoint, got {checkpoint!r}.")
    every = CallbackList([callbacks, checkpoint] if callbacks is not None else checkpoint)
    found = [each for each in every if isinstance(each, KeepingCallback)]
    if len(found) > 1:
        raise ArgumentError(f"fit takes one callback that keeps its state, got {', '.join(map(repr, found))}.")
    return list(every), found[0] if found else None
