"""Threads that read items of an iterator, or call a function with them, before they are needed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


def in_advance(pool: Executor, function: Callable[[Any], T], items: Iterator[Any], ahead: int) -> Iterator[T]:
    """Call a function with each item and yield the results in order; the pool begins up to `ahead` calls in advance."""
    begun: deque[Future[T]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def fetched(iterator: Iterator[T], ahead: int) -> Iterator[T]:
    """Yield the items of `iterator`; a thread reads up to `ahead` items in advance."""
    items: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()
    free = threading.Semaphore(max(ahead, 1))
    left = threading.Event()

    def fetch() -> None:
        try:
            while free.acquire() and not left.is_set():
                items.put((next(iterator), None))
        except StopIteration:
            items.put((None, None))
        except BaseException as error:
            items.put((None, error))

    thread = threading.Thread(target=fetch, name="lamina-stream", daemon=True)
    thread.start()
    try:
        while True:
            item, error = items.get()
            if error is not None:
                raise error
            if item is None:
                return
            free.release()
            yield item
    finally:
        left.set()
        free.release()
        thread.join(timeout=5)  # no other thread can read a generator while it still runs in this one
