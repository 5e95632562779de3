"""Calls a model in one thread. The next call takes all requests together that arrived during the last one."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from lamina.serving.refused import Refused


class Rows(NamedTuple):
    """The rows of one request. Rows of the same kind can share one call of the model."""

    kind: Hashable
    size: int
    data: Any


class Waiting(NamedTuple):
    """A request that waits for its answer."""

    rows: Rows
    answer: asyncio.Future[Any]


class Calls:
    """The thread that calls a model, and the requests that wait for it.

    Args:
        call: a function from the rows of several requests, all of one kind, to the answer to each of them.
        most: the most rows in a call for several requests.
    """

    def __init__(self, call: Callable[[Sequence[Rows]], list[Any]], most: int) -> None:
        self.call, self.most = call, most
        self.waiting: list[Waiting] = []
        self.stopping = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._work, name="lamina calls", daemon=True)
        self.thread.start()

    async def answer(self, rows: Rows) -> Any:
        """Wait for the answer to a request."""
        one = Waiting(rows, asyncio.get_running_loop().create_future())
        with self.changed:
            if self.stopping:
                raise Refused(503, "the service is stopping.", wait=5)
            self.waiting.append(one)
            self.changed.notify()
        return await one.answer

    def stop(self) -> None:
        """Answer the requests that wait, then end the thread."""
        with self.changed:
            self.stopping = True
            self.changed.notify()
        self.thread.join()

    def _work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.stopping)
                taken, self.waiting = self.waiting, []
            if not taken:
                return
            for group in _groups([each for each in taken if not each.answer.done()], self.most):
                answers = self._answers([each.rows for each in group])
                for loop in {each.answer.get_loop() for each in group}:
                    loop.call_soon_threadsafe(_deliver, loop, group, answers)

    def _answers(self, rows: Sequence[Rows]) -> list[Any]:
        """An answer or an error for each request. After an error, each request gets a call of its own."""
        try:
            return self.call(rows)
        except Exception as error:
            return [error] if len(rows) == 1 else [self._answers([one])[0] for one in rows]


def _groups(taken: Sequence[Waiting], most: int) -> list[list[Waiting]]:
    """Requests of one kind, in groups of at most `most` rows or of one request."""
    groups: dict[Hashable, list[list[Waiting]]] = defaultdict(list)
    for one in taken:
        open_ones = groups[one.rows.kind]
        if not open_ones or sum(each.rows.size for each in open_ones[-1]) + one.rows.size > most:
            open_ones.append([])
        open_ones[-1].append(one)
    return [group for several in groups.values() for group in several]


def _deliver(loop: asyncio.AbstractEventLoop, group: Sequence[Waiting], answers: Sequence[Any]) -> None:
    """Set the answers to the requests of an event loop, in that loop. A client that has left gets none."""
    for (_, future), got in zip(group, answers, strict=True):
        if future.get_loop() is loop and not future.done():
            future.set_exception(got) if isinstance(got, Exception) else future.set_result(got)
