"""A job: several processes that run one program together.

They agree by JAX's key-value store, which process 0 holds. A single process has no job, and agrees with itself.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn

import jax
from jax._src.distributed import global_state

from lamina._process.watch import Watch
from lamina.errors import ProcessError

SAID = "lamina/said"
"""The folder of the key-value store for what processes tell each other."""
KEPT = 100
"""How many exchanges of each name stay in the store, for processes that are slower than process 0."""
SHOWN = 4
VARIABLES = (
    "KERAS_DISTRIBUTION_NUM_PROCESSES", "JAX_NUM_PROCESSES", "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
)  # fmt: skip
"""The environment variables by which launchers say how many processes they have started."""


class Alone:
    """A process that runs by itself, as most do."""

    rank, size = 0, 1

    # Each process of a job calls these as often as the others.

    def agreed(self, name: str, value: Any) -> Any:
        """The value of process 0, which JSON can hold."""
        return value

    def same(self, name: str, facts: dict[str, Any]) -> None:
        """Raise an error if a fact differs between processes."""

    def least(self, name: str, count: int) -> int:
        """The least number of all processes; where one is 0, all must be."""
        return count

    def wishes(self, *flags: bool, surely: bool = False) -> list[bool]:
        """For each flag, whether it is set in any process; unless `surely`, perhaps only at the next call."""
        return list(flags)

    def verb(self, name: str) -> AbstractContextManager[None]:
        """Run a verb together with the other processes, which must call it too."""
        return nullcontext()

    def at(self, place: str) -> None:
        """Note which step this process has come to."""

    def leaves(self) -> None:
        """Note that all processes end now, because one was told to."""


class Job(Alone):
    """The exchanges of one process with the others. It lives until the process ends.

    Args:
        client: JAX's client of the key-value store.
        rank: the number of this process, from 0.
        size: how many processes there are.
    """

    def __init__(self, client: Any, rank: int, size: int) -> None:
        self.client, self.rank, self.size = client, rank, size
        self.watch = Watch(client, rank, size)
        self.exchanges = Counter[str]()
        """How many exchanges of each name there were."""

    def agreed(self, name: str, value: Any) -> Any:
        key = self._next(name)
        if self.rank:
            return json.loads(self._hear(key))
        self._check()
        self._say(key, value)
        return value

    def same(self, name: str, facts: dict[str, Any]) -> None:
        first, *others = self._gathered(name, facts)
        for rank, other in enumerate(others, start=1):
            if differing := [fact for fact in {**first, **other} if first.get(fact) != other.get(fact)]:
                lines = [
                    f"  {fact}: {first.get(fact)} on rank 0, {other.get(fact)} on rank {rank}" for fact in differing
                ]
                _fail("\n".join([f"the processes of this job differ in {name}:", *lines[:SHOWN]]))

    def least(self, name: str, count: int) -> int:
        counts: list[int] = self._gathered(f"the number of {name}", count)
        if 0 in counts and any(counts):
            over, others = counts.index(0), next(rank for rank, each in enumerate(counts) if each)
            _fail(f"{name} has ended on rank {over}, and goes on on rank {others}: give each process the same batches.")
        return min(counts)

    def wishes(self, *flags: bool, surely: bool = False) -> list[bool]:
        if surely:
            return [any(each) for each in zip(*self._gathered("sure wishes", flags), strict=True)]
        if self.rank and any(flags):
            self._say(f"wish/{self.rank}", flags)
        said = self.client.key_value_dir_get(f"{SAID}/wish") if self.rank == 0 else []
        every = [flags, *(json.loads(value) for _, value in said)]
        return self.agreed("wishes", [any(each) for each in zip(*every, strict=True)])  # type: ignore[no-any-return]

    @contextmanager
    def verb(self, name: str) -> Iterator[None]:
        if self.watch.verb is not None:  # as evaluate within fit
            yield
            return
        self.watch.verb = name
        try:
            verbs = self._gathered("verb", name)
            for rank, other in enumerate(verbs):
                if other != verbs[0]:
                    _fail(f"rank 0 calls {verbs[0]} and rank {rank} calls {other}: call each verb from every process.")
            yield
        except (jax.errors.JaxRuntimeError, ValueError) as error:  # an array that is read raises a ValueError
            if not any(word in str(error) for word in ("Gloo", "NCCL")):  # libraries that exchange arrays
                raise
            raise ProcessError(self.watch.explained(error)) from error
        finally:
            self.watch.verb = None

    def leaves(self) -> None:
        self.watch.leaving = True

    def at(self, place: str) -> None:
        self.watch.place = self.watch.place[0] + 1, place

    def _gathered(self, name: str, value: Any) -> list[Any]:
        """The values of all processes, by rank."""
        key = self._next(name)
        self._say(f"{key}/{self.rank}", value)
        return [json.loads(self._hear(f"{key}/{rank}")) for rank in range(self.size)]

    def _next(self, name: str) -> str:
        """The key of the next exchange of that name."""
        self.exchanges[name] += 1
        number = self.exchanges[name]
        if self.rank == 0 and number > KEPT:
            self.client.key_value_delete(f"{SAID}/{name}/{number - KEPT}")
        return f"{name}/{number}"

    def _say(self, key: str, value: Any) -> None:
        self.client.key_value_set(f"{SAID}/{key}", json.dumps(value), allow_overwrite=True)

    def _hear(self, key: str) -> str:
        """Wait for a key of the store. An error if another process has failed or ended."""
        while True:
            self._check()
            try:
                heard: str = self.client.blocking_key_value_get(f"{SAID}/{key}", 1000)
                return heard
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    raise ProcessError(self.watch.fault or f"process 0 has gone: {error}") from None

    def _check(self) -> None:
        if self.watch.fault is not None:
            raise ProcessError(self.watch.fault)


def _fail(message: str) -> NoReturn:
    """Raise an error that each process finds for itself."""
    raise ProcessError(message)


ALONE = Alone()
_started: dict[str, Any] = {"job": None, "apart": False}


def started() -> Job | None:
    """The job that this process is one of; None if `initialize` was not called, or there is one process."""
    if _started["job"] is None and global_state.client is not None and global_state.num_processes > 1:
        job = _started["job"] = Job(global_state.client, global_state.process_id, global_state.num_processes)
        job.watch.begin()
    return _started["job"]  # type: ignore[no-any-return]


def launched() -> str | None:
    """The environment variable that says that a launcher has started several processes, unless these run apart."""
    several = (name for name in VARIABLES if os.environ.get(name, "").isdigit() and int(os.environ[name]) > 1)
    return None if _started["apart"] else next(several, None)


def run_apart() -> None:
    """Note that this process runs by itself, although a launcher has started several."""
    _started["apart"] = True
