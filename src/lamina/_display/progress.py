"""The progress of `fit`, `evaluate` and `predict`: a bar on a terminal or in a notebook, else a line for each epoch."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Iterator
from importlib import import_module
from threading import RLock
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from lamina._display.details import clock, details
from lamina._display.encoding import say
from lamina._display.html import TRAINING, VALIDATION, Line, panel
from lamina._display.verbosity import level

INTERVAL = 0.1
"""Seconds between two drawings of the bar. Drawing costs about a millisecond, and reads the numbers back."""
SILENCE = 60.0
"""The seconds between two lines about a long epoch in a file."""
WIDTH = 20
TOGETHER = 50
"""The most finished epochs in one output of a notebook, because all of its text is sent again with each drawing."""


class Progress:
    """Shows the epochs of one call.

    >>> with Progress(2, epochs=5, steps=79) as progress:  # doctest: +ELLIPSIS
    ...     progress.begin(epoch=0)
    ...     progress.update(79, {"loss": 0.41})
    ...     progress.end({"loss": 0.41, "val_loss": 0.39})
    Training begins: 5 epochs of 79 steps
    Epoch 1/5 - 79/79 - 0s - ... - loss: 0.4100 - val_loss: 0.3900

    Args:
        verbose: 0 shows nothing, 1 or "auto" a bar on a terminal or in a notebook, 2 one line for each epoch, 3 the
            number of each epoch. "rich" is 1 with rows per second, the memory, and the time left for all epochs.
        epochs: the number of all epochs, those before `initial_epoch` included; None for evaluate and predict.
        steps: the number of steps in an epoch; None if it is not known yet.
        initial_epoch: the epoch of the first `begin` without an epoch.
        unit: the name of a step.
        width: the most characters of the bar.
        interval: the seconds between two drawings of the bar.
        rows: the number of rows in a step, if it is known.
    """

    def __init__(
        self,
        verbose: int | str = "auto",
        *,
        epochs: int | None = None,
        steps: int | None = None,
        initial_epoch: int = 0,
        unit: str = "step",
        width: int = WIDTH,
        interval: float = INTERVAL,
        rows: int | None = None,
    ) -> None:
        self._rich, self.rows = verbose == "rich", rows
        self.verbose, self.epochs, self.steps = level(verbose), epochs, steps
        self._numbers_alone = self.verbose == 3
        self.verbose = 0 if self._numbers_alone else self.verbose
        self.unit, self.width, self.interval = unit, width, interval
        self._next_epoch = initial_epoch
        self._begun = self._running = self._shown = False
        self._console: Console | None = None
        self._screen: Screen | None = None
        self._drawn = self._validation_took = 0.0

    def begin(self, epoch: int | None = None) -> None:
        """Begin an epoch, counted from 0; None begins the one after the last."""
        epoch = self._next_epoch if epoch is None else epoch
        self._next_epoch = epoch + 1
        self._heading = f"Epoch {epoch + 1}/{self.epochs}" if self.epochs and self.epochs > 1 else ""
        if self._numbers_alone and self._heading:
            print(self._heading, flush=True)
        self._seen = self._validated = 0
        self._logs: dict[str, Any] | None = None
        self._start = self._latest = self._told = time.perf_counter()
        self._first: tuple[int, float] | None = None
        self._console = Console(highlight=False) if self.verbose == 1 else None
        if self._console is not None and not _is_interactive(self._console):
            self._console = None
        if self.verbose and self.epochs and self._console is None and not self._begun:
            steps = f" of {_number(self.steps, 'step')}" if self.steps else ""
            print(f"Training begins: {_number(self.epochs - epoch, 'epoch')}{steps}", flush=True)
        self._begun = self._running = True
        self._show_sometimes()

    def update(self, step: int, logs: dict[str, Any] | None = None) -> None:
        """Record that `step` steps of the epoch are done. The values of `logs` are read only for a drawing."""
        self._seen, self._logs, self._latest = step, logs, time.perf_counter()
        self._first = self._first or (step, self._latest)
        self._show_sometimes(at_once=self._shown and step == self.steps)  # the validation may take long

    def validate(self, step: int) -> None:
        """Record that `step` steps of the epoch's validation are done."""
        self._validated = step
        self._show_sometimes()

    def end(self, logs: dict[str, Any] | None = None) -> None:
        """End the epoch, after its validation."""
        self._validation_took = time.perf_counter() - self._latest
        self._seen = self._seen or self.steps or 0
        self.steps = self.steps or self._seen
        self._logs, self._validated, self._running = logs, 0, False
        if self._console is not None:
            self._screen_of(self._console).finish(self._line(self._console.width), logs or {})
            self._shown = False
        elif self.verbose:
            say(self._line())

    def close(self) -> None:
        """Leave the terminal as it was found: the cursor shown, at the start of a line."""
        if self._console is not None and self._screen is not None:
            if self._running:  # it was interrupted here
                self._screen.show(self._bar(self._console))
            self._screen.close()
            self._screen = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _show_sometimes(self, at_once: bool = False) -> None:
        now = time.perf_counter()
        if self._console is not None and (at_once or now - self._drawn >= self.interval):
            self._drawn, self._shown = now, True
            self._screen_of(self._console).show(self._bar(self._console))
        elif self._console is None and self.verbose and now - self._told >= SILENCE:
            self._told = now
            say(self._line())

    def _screen_of(self, console: Console) -> Screen:
        if self._screen is None:
            self._screen = NotebookOutput() if console.is_jupyter else TerminalLine(console)
        return self._screen

    def _line(self, width: int | None = None) -> str:
        """The epoch in words. Where they do not fit, the count and the speed are left out, except in "rich"."""
        words, elapsed = _words(self._logs), f"{time.perf_counter() - self._start:.0f}s"
        speed = self._speed(), self._details()
        forms: list[tuple[str, ...]] = [(self._heading, self._count(), self._stage(), elapsed, *speed)]
        if self._heading and not self._rich:
            forms += [(self._heading, self._count(), elapsed), (self._heading, elapsed)]
        lines = [" - ".join(part for part in (*form, *words) if part) for form in forms]
        whole = lines[0]
        if width is None:
            return whole
        whole = whole.replace(" ", "\0").replace("\0-\0", "\0- ")  # a line ends only between two numbers
        wrapped = textwrap.wrap(whole, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        return next((line for line in lines if cell_len(line) <= width), "\n".join(wrapped).replace("\0", " "))

    def _bar(self, console: Console) -> Text:
        """The epoch in one line. If it does not fit, the bar is shorter, and speed and some metrics are left out."""
        left, speed, words = self._stage(), "", _words(self._logs)
        if self._seen:  # else the first step is being compiled
            seconds = self._per_step() * (self.steps - self._seen) if self.steps else self._latest - self._start
            left, speed = left or clock(seconds), " - ".join(filter(None, (self._speed(), self._details())))
        head, width = " ".join(filter(None, (self._heading, self._count()))), console.width
        wanted = [word for word in words if not self._rich or word.startswith("loss: ")]
        if cell_len(" - ".join([f"{head} {left} {speed}", *wanted])) > width:
            speed = self._speed() if self._rich and self._seen else ""
        tail = " - ".join([f" {speed}".rstrip(), *_fitting(words, width - cell_len(f"{head} {left} {speed}"))])
        mark = "=" if console.options.ascii_only else "━"
        rest = mark if console.color_system and not console.no_color else " "
        text = Text.assemble((head, "bold"), no_wrap=True, overflow="crop")
        length = min(self.width, width - cell_len(f"{head}  {left}{tail}")) if self.steps else 0
        if self.steps and length > 0:
            done = length * min(self._seen, self.steps) // self.steps
            text.append(" ").append(mark * done, "green").append(rest * (length - done), "white")
        return text.append(f" {left}" if left else "", "bold").append(tail)

    def _stage(self) -> str:
        return f"validation step {self._validated}" if self._validated else ""

    def _count(self) -> str:
        return f"{self._seen:{len(str(self.steps))}}/{self.steps}" if self.steps else f"{self._seen:7}/Unknown"

    def _per_step(self) -> float:
        """The seconds per step. The first steps, which wait for the compiler, do not count if there are more."""
        if self._first and self._seen > self._first[0]:
            return (self._latest - self._first[1]) / (self._seen - self._first[0])
        return (self._latest - self._start) / max(self._seen, 1)

    def _speed(self) -> str:
        seconds = self._per_step()
        if seconds >= 1 or seconds == 0:
            return f"{seconds:.0f}s/{self.unit}"
        number = f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"
        return f"{number}/{self.unit}"

    def _details(self) -> str:
        """The rows per second, the memory, and the time for the remaining steps and validations."""
        if not self._rich:
            return ""
        left = None
        if self.steps:
            epochs = (self.epochs or self._next_epoch) - self._next_epoch  # that follow this one
            left = self._per_step() * (self.steps * (epochs + 1) - self._seen)
            left += self._validation_took * (epochs + self._running)
        return details(self._per_step(), self.rows, left)


class Screen(Protocol):
    """A place whose last line can be replaced."""

    def show(self, bar: Text) -> None: ...

    def finish(self, line: str, logs: dict[str, Any]) -> None:
        """Replace the bar by this line for good. `logs` has the values of the finished epoch."""

    def close(self) -> None: ...


class TerminalLine:
    """The last line of a terminal. Other output is printed above it. A run inside the run replaces the line."""

    shown: ClassVar[TerminalLine | None] = None
    lock: ClassVar[RLock] = RLock()  # several threads may train at the same time

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live: Live | None = None

    def show(self, bar: Text) -> None:
        with self.lock:
            if self.live is None:
                if TerminalLine.shown is not None:
                    TerminalLine.shown.close(erase=True)
                # No refresh thread, which would take time from training; and errors sent to a file stay there.
                self.live = Live(console=self.console, auto_refresh=False, redirect_stderr=_is_terminal(sys.stderr))
                self.live.start()
                TerminalLine.shown = self
            self.live.update(bar, refresh=True)

    def finish(self, line: str, logs: dict[str, Any]) -> None:
        with self.lock:
            self.close(erase=True)
            say(line)

    def close(self, erase: bool = False) -> None:
        with self.lock:
            if self.live is not None:
                self.live.transient = erase
                self.live.stop()
                self.live = TerminalLine.shown = None


class WithCurve(Text):
    """Lines with a picture below them in a notebook; elsewhere the lines alone."""

    curve = ""

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        bundle = super()._repr_mimebundle_(*args, **kwargs)
        return bundle | {"text/html": bundle["text/html"] + self.curve}


class NotebookOutput:
    """An output of a notebook's cell: finished epochs, then the bar. Rich's own display would need ipywidgets here."""

    handle: Any = None
    bar: Text | None = None

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.losses: dict[str, list[float]] = {"loss": [], "val_loss": []}
        """The losses of all epochs that are over; NaN where an epoch has none."""

    def show(self, bar: Text | None, curve: bool = True) -> None:
        self.bar = bar
        text = WithCurve(no_wrap=True, overflow="ignore")
        text.append_text(Text("\n").join([*map(Text, self.lines), *([bar] if bar else [])]))
        if curve and len(self.losses["loss"]) > 1:
            text.curve = panel("loss", list(_loss_lines(self.losses)))
        if self.handle is None:
            self.handle = import_module("IPython.display").display(text, display_id=True)
        else:
            self.handle.update(text)

    def finish(self, line: str, logs: dict[str, Any]) -> None:
        """Store the line. It is drawn with the next bar or at the end: there may be a thousand epochs a second."""
        if len(self.lines) == TOGETHER:
            self.close(more=True)
        self.lines.append(line)
        self.bar = None
        for name, losses in self.losses.items():
            losses.append(float(np.mean(logs.get(name, np.nan))))

    def close(self, more: bool = False) -> None:
        """End this output; the next line begins a new one. Unless `more` outputs follow, it shows the curve."""
        if self.lines or self.bar:
            self.show(self.bar, curve=not more)
        self.handle, self.lines, self.bar = None, [], None


def _is_interactive(console: Console) -> bool:
    """Whether the output is a terminal or a notebook. Rich's own answer is wrong for a log file with FORCE_COLOR."""
    terminal = console.is_terminal and not console.is_dumb_terminal
    return console.is_jupyter or (terminal and _is_terminal(sys.stdout) and console.width > 0)


def _is_terminal(stream: object) -> bool:
    return bool(getattr(stream, "isatty", bool)())


def _loss_lines(losses: dict[str, list[float]]) -> Iterator[Line]:
    looks = ("training", TRAINING), ("validation", VALIDATION)
    for (name, colour), values in zip(looks, losses.values(), strict=True):
        if not np.isnan(values).all():
            yield Line(name, (range(1, len(values) + 1), values), colour)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _fitting(words: list[str], width: int) -> list[str]:
    """The words that fit into the width, with the loss first."""
    shown: list[str] = []
    for word in sorted(words, key=lambda word: not word.startswith("loss: ")):
        if cell_len(" - ".join(["", *shown, word])) <= width:
            shown.append(word)
    return [word for word in words if word in shown]


def _words(logs: dict[str, Any] | None) -> list[str]:
    """Format the logs as `loss: 0.4100`, sorted by name."""
    values = {name: float(np.mean(value)) for name, value in sorted((logs or {}).items())}
    return [f"{name}: {value:{'.4f' if abs(value) > 1e-3 else '.4e'}}" for name, value in values.items()]
