"""Ctrl-C stops a run between two chunks of compiled steps, when all weights are of the same step."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupt:
    """Whether Ctrl-C was pressed. A second press interrupts at once, but not while a program has the weights."""

    def __init__(self) -> None:
        self.presses, self.has_weights = 0, False

    def __bool__(self) -> bool:
        return self.presses > 0

    def note(self, number: int, frame: types.FrameType | None) -> None:
        self.presses += 1
        if self.presses > 1 and not self.has_weights:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Take note of Ctrl-C, where Python's own handler would raise KeyboardInterrupt in the middle of something."""
    interrupt = Interrupt()
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    if before is not signal.default_int_handler:  # somebody handles it already, or nobody can
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt.note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
