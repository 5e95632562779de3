"""Sources whose batch i is `source[i]`, as Keras's PyDataset, and the workers that read their batches."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent import futures  # futures.ProcessPoolExecutor is loaded only when it is first used
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from typing import Any

from lamina._data.threads import in_advance
from lamina.errors import DataError


def is_indexed(source: object) -> bool:
    """Whether batch i is `source[i]`, as in Keras's PyDataset."""
    if hasattr(source, "__iter__") and not hasattr(source, "on_epoch_end"):
        return False
    return hasattr(source, "__getitem__") and (hasattr(source, "__len__") or hasattr(source, "num_batches"))


def is_endless(source: object) -> bool:
    """Whether a source declares that it has no end."""
    if hasattr(source, "cardinality"):  # a method of our datasets and of TensorFlow's
        return int(source.cardinality()) == -1
    return is_indexed(source) and getattr(source, "num_batches", 0) is None


def length_of(source: Any) -> int | None:
    """The number of batches in a pass; None if it is unknown."""
    if is_indexed(source) and hasattr(source, "num_batches"):
        return None if source.num_batches is None else int(source.num_batches)
    try:
        return len(source)
    except TypeError:  # a generator, a function, an infinite data set
        return None


def batches(source: Any, read: Callable[[Any], Any], items: Iterator[Any], name: str) -> Iterator[Any]:
    """Read the batches of some items with `read`, in the threads or processes that an indexed source asks for."""
    workers = getattr(source, "workers", 1) if is_indexed(source) else 1
    processes = workers > 0 and getattr(source, "use_multiprocessing", False)
    if not (processes or workers > 1):
        yield from map(read, items)
        return
    pool: Executor = ThreadPoolExecutor(workers, "lamina-worker")
    if processes:
        pool = futures.ProcessPoolExecutor(workers, initializer=_begin_worker, initargs=(source,))
        read = _read_in_worker
    try:
        yield from in_advance(pool, read, items, max(source.max_queue_size, workers))
    except BrokenExecutor as error:
        raise DataError(
            f"a worker process of {name} ended while it read a batch: the memory was full, or the object "
            "could not be sent to the process. Try use_multiprocessing=False."
        ) from error


_worker: dict[str, Any] = {}
"""The source of the batches, in a worker process."""


def _begin_worker(source: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the training process handles Ctrl-C and ends this process
    _worker["source"] = source


def _read_in_worker(index: int) -> Any:
    return _worker["source"][index]
