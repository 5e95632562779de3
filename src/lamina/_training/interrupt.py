"""Ctrl-C stops a run between two chunks of compiled steps, when all weights are of the same step."""

from __future__ import annotations

import inspect
import signal
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from lamina._arrays.devices import job

get_handler, set_handler = inspect.unwrap(signal.getsignal), inspect.unwrap(signal.signal)
"""Without the conversion to enums, which would take 20 of the 290 µs of `train_on_batch` of a small stack."""


class Interrupt:
    """Whether Ctrl-C was pressed. A second press interrupts at once, but not while a program has the weights.

    If the run is saved to a file, it also records whether the system ends the process (SIGTERM).
    """

    def __init__(self) -> None:
        self.presses, self.terminated, self.has_weights = 0, False, False

    def __bool__(self) -> bool:
        return self.presses > 0 or self.terminated

    def shared(self, stops: bool, surely: bool = False) -> bool:
        """Take over what any process of the job was told. Returns whether any of them `stops`."""
        together = job()
        stops, pressed, self.terminated = together.wishes(stops, self.presses > 0, self.terminated, surely=surely)
        self.presses = max(self.presses, int(pressed))
        if self:
            together.leaves()
        return stops

    def leave(self) -> NoReturn:
        """End the call; after SIGTERM end the process with the status of SIGTERM."""
        raise SystemExit(128 + signal.SIGTERM) if self.terminated else KeyboardInterrupt

    def note(self, number: int, frame: types.FrameType | None) -> None:
        self.presses += 1
        if self.presses > 1 and not self.has_weights:
            raise KeyboardInterrupt

    def note_termination(self, number: int, frame: types.FrameType | None) -> None:
        self.terminated = True


@contextmanager
def interruptible(termination: bool = False) -> Iterator[Interrupt]:
    """Record Ctrl-C instead of raising KeyboardInterrupt, which could interrupt a step.

    With `termination`, SIGTERM is recorded too. Existing signal handlers of the user are kept.
    """
    interrupt = Interrupt()
    handlers: list[tuple[signal.Signals, Any, Any]] = [(signal.SIGINT, signal.default_int_handler, interrupt.note)]
    if termination:
        handlers.append((signal.SIGTERM, signal.SIG_DFL, interrupt.note_termination))
    main = threading.current_thread() is threading.main_thread()
    ours = [(number, usual, note) for number, usual, note in handlers if main and get_handler(number) == usual]
    for number, _, note in ours:
        set_handler(number, note)
    try:
        yield interrupt
    finally:
        for number, usual, _ in ours:
            set_handler(number, usual)
