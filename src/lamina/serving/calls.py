"""One thread makes all calls of a model; requests that arrive during a call go together into the next one."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from lamina.serving.refused import Refused


class Rows(NamedTuple):
    """The rows of one request. Those of equal kind can go through one call of the model together."""

    kind: Hashable
    size: int
    data: Any


class Waiting(NamedTuple):
    """A request that waits for its answer."""

    rows: Rows
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]


class Calls:
    """The thread of a model's calls, and the requests that wait for it.

    Args:
        call: maps the rows of several requests, all of one kind, to an answer for each of them.
        most: the most rows of several requests in one call.
    """

    def __init__(self, call: Callable[[Sequence[Rows]], list[Any]], most: int) -> None:
        self.call, self.most = call, most
        self.waiting: list[Waiting] = []
        self.stopping = False
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self._work, name="lamina calls", daemon=True)
        self.thread.start()

    async def answer(self, rows: Rows) -> Any:
        """The answer to a request, after the call under way."""
        loop = asyncio.get_running_loop()
        one = Waiting(rows, loop, loop.create_future())
        with self.changed:
            if self.stopping:
                raise Refused(503, "the service is stopping.", wait=5)
            self.waiting.append(one)
            self.changed.notify()
        return await one.answer

    def stop(self) -> None:
        """Answer what waits, then end the thread."""
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
                for loop in {each.loop for each in group}:
                    pairs = [(each.answer, got) for each, got in zip(group, answers, strict=True) if each.loop is loop]
                    loop.call_soon_threadsafe(_deliver, pairs)

    def _answers(self, rows: Sequence[Rows]) -> list[Any]:
        """An answer or an error for each request. After an error each is called alone: none disturbs the others."""
        try:
            return self.call(rows)
        except Exception as error:
            return [error] if len(rows) == 1 else [self._answers([one])[0] for one in rows]


def _groups(taken: Sequence[Waiting], most: int) -> list[list[Waiting]]:
    """Requests of one kind in groups of at most `most` rows, or of one request."""
    groups: dict[Hashable, list[list[Waiting]]] = defaultdict(list)
    for one in taken:
        open_ones = groups[one.rows.kind]
        if not open_ones or sum(each.rows.size for each in open_ones[-1]) + one.rows.size > most:
            open_ones.append([])
        open_ones[-1].append(one)
    return [group for several in groups.values() for group in several]


def _deliver(pairs: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    """Set the answers, in the event loop; a client that has left takes none."""
    for future, got in pairs:
        if future.done():
            continue
        if isinstance(got, Exception):
            future.set_exception(got)
        else:
            future.set_result(got)
