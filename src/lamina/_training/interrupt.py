"""Ctrl-C stops a run between two chunks of compiled steps, when all weights are of the same step."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """A list that is empty until the user presses Ctrl-C; a second press interrupts at once.

    Between two pieces the weights are whole, so that is where `fit` stops.
    """
    pressed: list[int] = []

    def note(number: int, frame: types.FrameType | None) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if main else None
    if before is not signal.default_int_handler:  # somebody handles it already, or nobody can
        yield pressed
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
