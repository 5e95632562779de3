"""How far a `fit`, `evaluate` or `predict` is: a bar on a terminal and in a notebook, else one line an epoch."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import Any, Protocol, Self

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.text import Text

from lamina._display.verbosity import VERBOSE, verbosity

INTERVAL = 0.1
"""Seconds between two drawings of the bar. Drawing costs about a millisecond, and reads the numbers back."""
WIDTH = 20


class Progress:
    """Shows the epochs of one call.

    >>> with Progress(2, epochs=5, steps=79) as progress:  # doctest: +ELLIPSIS
    ...     progress.begin(epoch=0)
    ...     progress.update(79, {"loss": 0.41})
    ...     progress.end({"loss": 0.41, "val_loss": 0.39})
    Epoch 1/5 - 79/79 - 0s - ... - loss: 0.4100 - val_loss: 0.3900

    Args:
        verbose: 0 shows nothing, 1 or "auto" a bar where there is a terminal or a notebook, 2 one line an epoch.
        epochs: how many in all, counted from the very first; None for evaluate and predict.
        steps: how many make an epoch; None if only its end will tell.
        initial_epoch: the epoch of the first `begin` that names none.
    """

    def __init__(
        self,
        verbose: int | str = "auto",
        *,
        epochs: int | None = None,
        steps: int | None = None,
        initial_epoch: int = 0,
    ) -> None:
        self.verbose, self.epochs, self.steps = VERBOSE[verbosity(verbose)], epochs, steps
        self._next_epoch = initial_epoch
        self._console: Console | None = None
        self._screen: Screen | None = None
        self._drawn = 0.0

    def begin(self, epoch: int | None = None) -> None:
        """A new epoch, counted from 0, begins; if None, the one after the last."""
        epoch = self._next_epoch if epoch is None else epoch
        self._next_epoch = epoch + 1
        self._heading = f"Epoch {epoch + 1}/{self.epochs}" if self.epochs and self.epochs > 1 else ""
        self._seen = 0
        self._start = self._latest = time.perf_counter()
        self._first: tuple[int, float] | None = None
        self._console = Console(highlight=False) if self.verbose == 1 else None
        if self._console is not None and not _is_interactive(self._console):
            self._console = None
        if self._console is not None:
            if self._heading:
                print(self._heading, flush=True)
            self._draw_sometimes(None)

    def update(self, step: int, logs: dict[str, Any] | None = None) -> None:
        """`step` steps of the epoch are done. The values of `logs` are read only when they are drawn."""
        self._seen, self._latest = step, time.perf_counter()
        self._first = self._first or (step, self._latest)
        self._draw_sometimes(logs)

    def end(self, logs: dict[str, Any] | None = None) -> None:
        """The epoch is over, and its validation too."""
        if not self._seen:
            self._seen = self.steps or 0
        self.steps = self.steps or self._seen
        if self._console is not None:
            text = self._bar(self._console, logs, final=True)
            if self._screen is None:
                self._console.print(text)
            else:
                self._screen.show(text)
        elif self.verbose:
            words = [self._heading, self._count(), self._elapsed(), self._speed(), *_words(logs)]
            print(" - ".join(word for word in words if word), flush=True)
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was found: the cursor shown, at the start of a line."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _draw_sometimes(self, logs: dict[str, Any] | None) -> None:
        now = time.perf_counter()
        if self._console is None or now - self._drawn < INTERVAL:
            return
        self._drawn = now
        text = self._bar(self._console, logs, final=False)
        if self._screen is None:
            self._screen = NotebookOutput() if self._console.is_jupyter else TerminalLine(self._console)
        self._screen.show(text)

    def _bar(self, console: Console, logs: dict[str, Any] | None, final: bool) -> Text:
        text = Text.assemble((self._count(), "bold"))
        if self.steps:
            done = min(WIDTH, WIDTH * self._seen // self.steps)
            mark = "=" if console.options.ascii_only else "━"
            rest = mark if console.color_system and not console.no_color else " "
            text.append(" ").append(mark * done, "green").append(rest * (WIDTH - done), "white")
        if not self._seen:  # the first step is being compiled
            return text
        left = self._elapsed() if final or not self.steps else _clock(self._per_step() * (self.steps - self._seen))
        text.append(f" {left}", style="bold")
        return text.append(" - ".join([f" {self._speed()}", *_words(logs)]))

    def _count(self) -> str:
        return f"{self._seen:{len(str(self.steps))}}/{self.steps}" if self.steps else f"{self._seen:7}/Unknown"

    def _elapsed(self) -> str:
        return f"{time.perf_counter() - self._start:.0f}s"

    def _per_step(self) -> float:
        """Seconds a step; without the first ones where there are more, because these wait for the compiler."""
        if self._first and self._seen > self._first[0]:
            return (self._latest - self._first[1]) / (self._seen - self._first[0])
        return (self._latest - self._start) / max(self._seen, 1)

    def _speed(self) -> str:
        seconds = self._per_step()
        if seconds >= 1 or seconds == 0:
            return f"{seconds:.0f}s/step"
        return f"{seconds * 1e3:.0f}ms/step" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/step"


class Screen(Protocol):
    """A place whose text can be replaced."""

    def show(self, text: Text) -> None: ...

    def close(self) -> None: ...


class TerminalLine:
    """The last line of a terminal. What is printed meanwhile goes above it."""

    def __init__(self, console: Console) -> None:
        # No refresh thread, which would take time from training; and errors sent to a file stay there.
        self.live = Live(console=console, auto_refresh=False, redirect_stderr=_is_terminal(sys.stderr))

    def show(self, text: Text) -> None:
        self.live.update(text)
        self.live.start()
        self.live.refresh()

    def close(self) -> None:
        self.live.stop()


class NotebookOutput:
    """An output of a notebook's cell. Rich's own live display would need ipywidgets here."""

    handle: Any = None

    def show(self, text: Text) -> None:
        if self.handle is None:
            self.handle = import_module("IPython.display").display(text, display_id=True)
        else:
            self.handle.update(text)

    def close(self) -> None:
        self.handle = None


def _is_interactive(console: Console) -> bool:
    """Not by rich's word alone, which FORCE_COLOR turns into yes for a log file."""
    terminal = console.is_terminal and not console.is_dumb_terminal
    return console.is_jupyter or (terminal and _is_terminal(sys.stdout))


def _is_terminal(stream: Any) -> bool:
    return bool(getattr(stream, "isatty", bool)())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}" if minutes else f"{rest}s"


def _words(logs: dict[str, Any] | None) -> list[str]:
    """`loss: 0.4100`, sorted by name."""
    values = {name: float(np.mean(value)) for name, value in sorted((logs or {}).items())}
    return [f"{name}: {value:{'.4f' if abs(value) > 1e-3 else '.4e'}}" for name, value in values.items()]
