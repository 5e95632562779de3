"""Finds out which process of a job has failed, has gone, or does not come, so that the others need not wait for it.

Twice a second, in a thread, each process shows a sign of life in JAX's key-value store and looks at the others'.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
import time
from types import TracebackType
from typing import Any

import jax

SIGNS = "lamina/signs"
"""The folder of the store for what processes say of themselves."""
BEAT = 0.5
"""Seconds between two looks at the others."""
SILENCE = 3.0
"""Seconds without a sign of life after which a process counts as gone, once an exchange of arrays has failed."""
GRACE = 6.0
"""Seconds in which a process can end by itself after another one failed. XLA cannot interrupt an exchange of arrays."""


class Watch:
    """What one process knows of the others. It lives until the process ends.

    Args:
        client: JAX's client of the key-value store.
        rank: the number of this process, from 0.
        size: how many processes there are.
    """

    def __init__(self, client: Any, rank: int, size: int) -> None:
        self.client, self.rank, self.size = client, rank, size
        self.limit = 600.0
        """Seconds after which a process is told that another one does not come."""
        self.fault: str | None = None
        """Why the job has to end."""
        self.verb: str | None = None
        """What this process runs together with the others, such as "fit"."""
        self.place: tuple[int, str] = (0, "the start of the program")
        """How many places this process has passed, and the present one."""
        self.seen: dict[int, tuple[float, str]] = {}
        """For each rank, when its sign of life last changed, and the sign."""
        self.reached: dict[int, tuple[float, list[Any]]] = {}
        """For each rank, when its place last changed, and the place."""
        self.told: set[int] = set()
        self.leaving = False
        """Whether all processes end now, because one was told to."""
        self.gone: set[int] = set()
        """The ranks that have ended their programs."""
        self.failed_at: float | None = None
        self.hook = sys.excepthook
        self.over, self.thread = threading.Event(), threading.current_thread()

    def begin(self) -> None:
        """Watch in a thread, tell the others of an error that ends this process, and end without waiting for them."""
        sys.excepthook = self.excepthook
        atexit.register(self.leave)
        self.thread = threading.Thread(target=self._run, name="lamina-job", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        beats = 0
        while not self.over.wait(BEAT):
            beats += 1
            self.look(beats)

    def look(self, beats: int) -> None:
        """Show a sign of life, and look at those of the others; end a process that waits for one that has failed."""
        try:
            self.say("alive", json.dumps([beats, self.place]))
            signs = self.client.key_value_dir_get(SIGNS)
        except jax.errors.JaxRuntimeError:
            self.fault = self.fault or f"Rank 0 of {self.size} has gone: it was killed, or its machine failed."
            signs = []
        for key, value in signs:
            kind, rank = key.split("/")[-2:]
            if rank != str(self.rank):
                self._note(kind, int(rank), value)
        now = time.monotonic()
        self.failed_at = None if self.fault is None else self.failed_at or now
        if self.failed_at is not None and now - self.failed_at > GRACE and self.verb is not None:
            print(f"{self.fault} This process ends.", file=sys.stderr)
            end(1)

    def say(self, kind: str, text: str) -> None:
        """Let the others read this: "alive", "failed" or "ended", and what belongs to it."""
        self.client.key_value_set(f"{SIGNS}/{kind}/{self.rank}", text, allow_overwrite=True)

    def _note(self, kind: str, rank: int, value: str) -> None:
        now = time.monotonic()
        if kind == "failed":
            self.fault = self.fault or f"Rank {rank} of {self.size} failed: {value}"
        elif kind == "ended":
            self.gone.add(rank)
            if self.verb is None or self.leaving:
                return
            self.fault = self.fault or f"Rank {rank} ended its program, and rank {self.rank} is in {self.verb}."
        elif kind == "alive":
            if value != self.seen.get(rank, (0.0, ""))[1]:
                self.seen[rank] = now, value
            self._compare(rank, json.loads(value)[1], now)

    def _compare(self, rank: int, place: list[Any], now: float) -> None:
        """Say, once, that a process has stayed for long where this one has gone on."""
        since, before = self.reached.get(rank, (now, place))
        if place != before or place[0] >= self.place[0] or rank not in self.reached:
            self.reached[rank] = since, _ = now, place
            self.told.discard(rank)
        if now - since > self.limit and rank not in self.told:
            self.told.add(rank)
            print(
                f"Rank {rank} of {self.size} has been at {place[1]} for {now - since:.0f} s; "
                f"rank {self.rank} is at {self.place[1]}.",
                file=sys.stderr,
            )

    def explained(self, error: Exception) -> str:
        """Why an exchange of arrays failed: which process has failed or gone."""
        until = time.monotonic() + SILENCE + 2 * BEAT
        while self.fault is None and time.monotonic() < until:
            time.sleep(BEAT / 2)
            now = time.monotonic()
            if gone := [str(rank) for rank, (when, _) in self.seen.items() if now - when > SILENCE]:
                return f"Rank {', '.join(gone)} of {self.size} has gone: it was killed, or its machine failed."
        return self.fault or f"An exchange of arrays with the other processes failed: {error}"

    def excepthook(self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        """Tell the others of an error that ends this process, and print it as before."""
        if self.fault is None:
            self._try_to_say("failed", f"{kind.__name__}: {str(error).partition(chr(10))[0]}")
        self.hook(kind, error, traceback)

    def _try_to_say(self, kind: str, text: str) -> None:
        try:
            self.say(kind, text)
        except jax.errors.JaxRuntimeError:  # process 0 has gone, and nobody can read it
            self.fault = self.fault or text

    def leave(self) -> None:
        """End this process. After a failure JAX's own end would wait for the others, for minutes."""
        failed = isinstance(getattr(sys, "last_exc", None) or getattr(sys, "last_value", None), BaseException)
        if failed and self.rank == 0:  # it holds the store, where the others read of the failure
            time.sleep(3 * BEAT)
        if not failed and self.fault is None:
            self._try_to_say("ended", "its program has ended")
            until = time.monotonic() + GRACE
            while self.rank == 0 and self.leaving and len(self.gone) + 1 < self.size and time.monotonic() < until:
                time.sleep(BEAT / 5)  # without process 0, JAX aborts the others
        if failed or self.fault is not None:
            end(1)
        self.over.set()
        if self.thread is not threading.current_thread():
            self.thread.join()  # Python cannot end a thread that is in a call of JAX


def end(status: int) -> None:
    """End this process at once."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
