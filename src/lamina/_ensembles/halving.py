"""Successive halving: after some epochs, the fits wait for each other, and the worst are dropped."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lamina.callbacks.callback import Logs
from lamina.callbacks.monitor import Mode, MonitorCallback
from lamina.models.sequential import Sequential


def rungs(settings: int, first: int, epochs: int, share: int | None) -> list[int]:
    """The epochs after which one in `share` settings is kept: the last at 1 / share of all epochs, and so on backwards.

    >>> rungs(60, 0, 27, 3), rungs(60, 0, 4, 3), rungs(60, 0, 1, 3), rungs(60, 0, 27, None)
    ([1, 3, 9], [1, 2, 3], [], [])
    """
    if share is None:
        return []
    number = 0
    while share ** (number + 1) <= settings:
        number += 1
    number = min(number, epochs - first - 1)
    found: list[int] = []
    for place in range(number, 0, -1):
        found.append(max(first + (epochs - first) // share**place, found[-1] + 1 if found else first + 1))
    return found


class Course:
    """The fits of a sweep, which run, wait or are dropped. Only their values decide which ones are dropped."""

    def __init__(self, models: Sequence[Sequential], first: int, epochs: int, share: int | None, at_once: int) -> None:
        self.models, self.share = models, share
        self.drops = rungs(len(models), first, epochs, share)
        self.turns, self.changed = threading.Semaphore(at_once), threading.Condition()
        self.ended = False
        self.scores: dict[int, float] = {}
        """The latest value of each model. Lower is better."""
        self.sign = 1.0
        """-1 where higher values are better."""
        self.running, self.waiting = set(range(len(models))), set[int]()
        self.competing = set(self.running)
        self.dropped: dict[int, int] = {}
        """The epoch after which each dropped model was dropped."""
        self.how: dict[int, str] = {}
        """How each fit ended."""

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Run a fit when one of the cores is free."""
        with self.turns:
            try:
                yield
            finally:
                with self.changed:
                    self.running.discard(number)
                    self._decide()

    def reach(self, number: int, epoch: int) -> None:
        """Wait at a rung until all running fits have reached it. Fits that are dropped there end."""
        self.turns.release()
        with self.changed:
            self.waiting.add(number)
            self.epoch = epoch
            self._decide()
            self.changed.wait_for(lambda: number not in self.waiting or self.ended)
        self.turns.acquire()

    def _decide(self) -> None:
        if self.share is None or not self.waiting or self.waiting != self.running:
            return
        ranked = sorted(self.competing, key=self.rank)
        self.competing = set(ranked[: math.ceil(len(ranked) / self.share)])
        for number in self.waiting - self.competing:
            self.dropped[number], self.how[number] = self.epoch, "dropped"
            self.models[number].stop_training = True
        self.waiting.clear()
        self.changed.notify_all()

    def rank(self, number: int) -> tuple[bool, float, int]:
        score = self.scores.get(number, math.nan)
        return math.isnan(score), 0.0 if math.isnan(score) else score, number

    def finish(self, number: int) -> None:
        """Record that a fit has ended."""
        with self.changed:
            self.how.setdefault(number, "interrupted" if self.ended else "trained")

    def fail(self, number: int, why: str) -> None:
        """Record that the loss of a fit became NaN or infinite."""
        with self.changed:
            self.how[number] = why
            self.scores[number] = math.nan
            self.competing.discard(number)

    def best(self) -> float | None:
        """The best value so far."""
        good = [score for score in list(self.scores.values()) if not math.isnan(score)]
        return self.sign * min(good) if good else None

    def end(self) -> None:
        """Make all fits end soon."""
        with self.changed:
            self.ended = True
            for model in self.models:
                model.stop_training = True
            self.changed.notify_all()


class Rung(MonitorCallback):
    """Reports the monitored value of one model, and waits at each rung for the comparison with the others."""

    def __init__(self, course: Course, number: int, monitor: str, mode: Mode) -> None:
        super().__init__()
        self.course, self.number, self.monitor, self.mode = course, number, monitor, mode

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        course, value = self.course, self._lamina_current(logs)
        if value is not None:
            course.sign = -1.0 if self._lamina_rises() else 1.0
            course.scores[self.number] = course.sign * value
        if epoch + 1 in course.drops and not self.model.stop_training:
            course.reach(self.number, epoch + 1)
        if course.ended:
            self.model.stop_training = True


Rung.__name__ = "sweep"  # what its errors call it
