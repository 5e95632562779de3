"""The progress display for custom loops."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from lamina import _display
from lamina._messages.tracebacks import user_facing
from lamina.errors import ArgumentError


class Progbar:
    """Shows the progress of a loop, as `fit` does: a bar on a terminal and in a notebook, else one line at its end.

    >>> bar = Progbar(10, verbose=2)
    >>> for step in range(10):
    ...     bar.update(step + 1, [("loss", 0.5)])  # doctest: +ELLIPSIS
    10/10 - 0s - ...s/step - loss: 0.5000

    Args:
        target: the number of steps; None if it is unknown.
        width: the number of characters of the bar.
        verbose: 0 shows nothing, 1 a bar, 2 one line at the end.
        interval: the seconds between two updates of the bar.
        stateful_metrics: the names of the values that are shown unchanged; for other values the mean so far is shown.
        stateless_metrics: the names of the values whose mean is shown; other values are shown unchanged.
        unit_name: the name of a step.
    """

    @user_facing
    def __init__(
        self,
        target: int | None,
        width: int = 20,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
        stateless_metrics: Iterable[str] | None = None,
        unit_name: str = "step",
    ) -> None:
        if stateful_metrics is not None and stateless_metrics is not None:
            raise ArgumentError("Progbar takes stateful_metrics or stateless_metrics: each says what the other is.")
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.unit_name = unit_name
        self.stateless_metrics = None if stateless_metrics is None else set(stateless_metrics)
        self.stateful_metrics = None if stateless_metrics is not None else set(stateful_metrics or ())
        self._lamina = _display.Progress(verbose, steps=target, unit=unit_name, width=width, interval=interval)
        self._lamina.begin()
        self._lamina_sums: dict[str, tuple[float, int]] = {}
        self._lamina_seen, self._lamina_over = 0, False
        weakref.finalize(self, self._lamina.close)

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Show that `current` steps are done.

        Args:
            current: the total number of steps that are done.
            values: the names and values of the latest step.
            finalize: whether the loop is over; None means that it is over when `current` reaches `target`.
        """
        if self._lamina_over:  # the object is used for another loop
            self._lamina.begin()
            self._lamina_over = False
        end = finalize if finalize is not None else self.target is not None and current >= self.target
        new = max(current - self._lamina_seen, 1)
        for name, value in values or ():
            if self.stateful_metrics is None:
                averaged = name in (self.stateless_metrics or ())
            else:
                averaged = name not in self.stateful_metrics
            total, count = self._lamina_sums.get(name, (0.0, 0))
            if end or not averaged:  # the value itself
                total, count = 0.0, 0
            steps = new if averaged and not end else 1
            self._lamina_sums[name] = total + float(np.mean(value)) * steps, count + steps
        self._lamina_seen = current
        logs = {name: total / count for name, (total, count) in self._lamina_sums.items()}
        self._lamina.update(current, logs)
        if end:
            self._lamina.end(logs)
            self._lamina.close()
            self._lamina_over = True

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that `n` more steps are done.

        Args:
            n: the number of steps.
            values: the names and values of the latest step.
        """
        self.update(self._lamina_seen + n, values)
