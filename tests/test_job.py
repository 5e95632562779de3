"""The processes of a job compute one model together, and none waits for one that has failed."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from lamina import Sequential, layers
from lamina._process import job as jobs
from lamina._process import watch as watches
from lamina._process.job import ALONE, Job
from lamina.distribution import initialize
from lamina.distribution.jobs import _place
from lamina.errors import ArgumentError, ProcessError

PROGRAM = Path(__file__).parent / "job_program.py"


def launched(processes, *arguments):
    """The status, what each rank has found, and what stood on stderr."""
    command = [sys.executable, "-m", "lamina", "launch", "-n", str(processes), PROGRAM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "XLA_FLAGS": ""})
    lines = [line.partition("{") for line in done.stdout.splitlines()]
    return done.returncode, [json.loads(brace + rest) for _, brace, rest in lines if brace], done.stderr


def apart(a, b):
    names = ("weights", "loss", "evaluated", "predicted", "eager")
    return max(float(np.abs(np.subtract(a[name], b[name])).max()) for name in names)


def test_two_processes_train_what_one_does():
    status, found, errors = launched(2, "plain")
    assert status == 0 and len(found) == 2, errors
    first, second = ({**each, "rank": 0} for each in found)
    assert first == second  # to the bit
    assert apart(first, launched(1, "plain")[1][0]) < 1e-4  # sums of absolute weights


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("values", ["differ in fit:", "  x: (182, 12) float32"]),
        pytest.param("rows", ["steps of an epoch: 7 on rank 0, 6 on rank 1"], marks=pytest.mark.nightly),
        pytest.param("sizes", ["batch_size: 30 on rank 0, 32 on rank 1"], marks=pytest.mark.nightly),
        pytest.param("seeds", ["set_random_seed: 0 on rank 0, 1 on rank 1"], marks=pytest.mark.nightly),
        pytest.param("uneven", ["x has ended on rank 1, and goes on on rank 0"], marks=pytest.mark.nightly),
        pytest.param("one_verb", ["rank 0 calls fit and rank 1 calls predict"], marks=pytest.mark.nightly),
        pytest.param("unset", ["JAX_NUM_PROCESSES says", "initialize(num_processes=1)"], marks=pytest.mark.nightly),
        pytest.param("changed", ["the checksums of the weights", "kernel: "], marks=pytest.mark.nightly),
        pytest.param("late", ["JAX has run already"], marks=pytest.mark.nightly),
        pytest.param("error", ["ZeroDivisionError: no luck"], marks=pytest.mark.nightly),
    ],
)
def test_what_differs_or_fails_ends_all_with_a_sentence(what, words):
    status, found, errors = launched(2, what)
    assert status == 1 and not found and all(word in errors for word in words), errors


@pytest.mark.nightly
@pytest.mark.parametrize("what", ["stream", "unseeded", "stop"])
def test_ranks_agree(what):
    status, found, errors = launched(2, what)
    assert status == 0, errors
    assert {**found[0], "rank": 0} == {**found[1], "rank": 0}
    assert len(found[0]["loss"]) == {"stream": 1, "unseeded": 3, "stop": 2}[what]


@pytest.mark.nightly
@pytest.mark.parametrize(("how", "status"), [("kill", 137), ("term", 143)])
@pytest.mark.parametrize("after", [1, 2])
def test_a_run_goes_on_with_as_many_processes_or_fewer(tmp_path, how, status, after):
    assert launched(2, how, str(tmp_path))[0] == status
    assert any(tmp_path.iterdir())
    rest, whole = launched(after, "resume", str(tmp_path))[1][0], launched(2, "plain")[1][0]
    assert rest == whole if after == 2 else apart(rest, whole) < 1e-4


@pytest.mark.nightly
def test_process_0_alone_writes_and_prints(tmp_path):
    status, found, errors = launched(2, "files", str(tmp_path))
    assert status == 0 and len(found) == 2, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.keras", "last.keras", "log.csv"]
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4


class Store:
    """Stands for JAX's key-value store, for ranks that are threads of one process."""

    def __init__(self):
        self.values, self.changed, self.gone = {}, threading.Condition(), False

    def key_value_set(self, key, value, allow_overwrite=False):
        with self.changed:
            if self.gone:
                raise jax.errors.JaxRuntimeError("UNAVAILABLE")
            self.values[key] = value
            self.changed.notify_all()

    def blocking_key_value_get(self, key, milliseconds):
        with self.changed:
            if self.gone:
                raise jax.errors.JaxRuntimeError("UNAVAILABLE")
            if not self.changed.wait_for(lambda: key in self.values, milliseconds / 1000):
                raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED")
            return self.values[key]

    def key_value_dir_get(self, folder):
        with self.changed:
            if self.gone:
                raise jax.errors.JaxRuntimeError("UNAVAILABLE")
            return [(key, value) for key, value in self.values.items() if key.startswith(folder + "/")]

    def key_value_delete(self, folder):
        with self.changed:
            self.values = {key: value for key, value in self.values.items() if not f"{key}/".startswith(f"{folder}/")}


def ranks(what, size=2):
    """What each rank's function returns, or its error."""
    store, found = Store(), {}
    members = [Job(store, rank, size) for rank in range(size)]

    def run(member):
        try:
            found[member.rank] = what(member)
        except Exception as error:
            found[member.rank] = error

    threads = [threading.Thread(target=run, args=[member]) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return [found[rank] for rank in range(size)], members, store


def test_ranks_exchange_values_flags_and_numbers():
    def all_of(job):
        with job.verb("fit"), job.verb("evaluate"):
            job.at("step 1")
            job.same("fit", {"rows": 3})
            job.wishes(job.rank == 1, False)
            job.same("fit", {"rows": 3})  # by now the flag of rank 1 has come
            flags = job.wishes(False, False)
            return job.agreed("seed", 7 + job.rank), job.least("x", 3 - job.rank), flags, job.watch.verb

    found, _, _ = ranks(all_of)
    assert found == [(7, 2, [True, False], "fit")] * 2
    alone = ALONE.agreed("seed", 5), ALONE.least("x", 2), ALONE.wishes(True, False)
    assert alone == (5, 2, [True, False]) and ALONE.rank == 0 and ALONE.size == 1
    with ALONE.verb("fit"):
        ALONE.same("fit", {})
        ALONE.at("step 1")


def test_old_exchanges_leave_the_store():
    found, _, store = ranks(lambda job: [job.least("x", 1) for _ in range(jobs.KEPT + 30)][-1])
    assert found == [1, 1] and len(store.values) == 2 * jobs.KEPT


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (
            lambda job: job.same("fit", {"rows": job.rank, "seed": 1}),
            "differ in fit:\n  rows: 0 on rank 0, 1 on rank 1",
        ),
        (lambda job: job.least("x", job.rank), "x has ended on rank 0, and goes on on rank 1"),
        (lambda job: job.verb(["fit", "predict"][job.rank]).__enter__(), "rank 0 calls fit and rank 1 calls predict"),
    ],
)
def test_ranks_that_differ_all_say_so(what, words):
    for error in ranks(what)[0]:
        assert isinstance(error, ProcessError) and words in str(error)


def test_a_failed_an_ended_and_a_lost_rank_are_named(monkeypatch, capsys):
    monkeypatch.setattr(watches, "SILENCE", 0.3)
    monkeypatch.setattr(watches, "BEAT", 0.1)
    monkeypatch.setattr(watches, "GRACE", 0.2)
    ended = []
    monkeypatch.setattr(watches, "end", ended.append)
    store = Store()
    first, second = Job(store, 0, 2), Job(store, 1, 2)
    for beats in (1, 2):
        second.watch.look(beats)
        first.watch.look(beats)
    assert first.watch.fault is None and set(first.watch.seen) == {1}
    with pytest.raises(ProcessError, match="Rank 1 of 2 has gone"), first_verb(first, store):
        raise ValueError("Gloo: Connection closed by peer")
    with pytest.raises(ValueError, match="other"), first_verb(first, store):
        raise ValueError("other")
    second.watch.hook = lambda *error: None
    second.watch.excepthook(ZeroDivisionError, ZeroDivisionError("no luck\nat all"), None)
    first.watch.look(3)
    assert first.watch.fault == "Rank 1 of 2 failed: ZeroDivisionError: no luck"
    with pytest.raises(ProcessError, match="no luck"):
        first.agreed("seed", 1)
    first.watch.verb = "fit"
    time.sleep(0.3)
    first.watch.look(4)
    assert ended == [1] and "no luck This process ends." in capsys.readouterr().err
    first.watch.leave()
    assert ended == [1, 1]

    store = Store()
    first, second = Job(store, 0, 2), Job(store, 1, 2)
    first.watch.verb = "fit"
    second.watch.leave()
    first.watch.look(1)
    assert first.watch.fault == "Rank 1 ended its program, and rank 0 is in fit."
    store.gone = True
    second.watch.look(1)
    assert second.watch.fault == "Rank 0 of 2 has gone: it was killed, or its machine failed."
    with pytest.raises(ProcessError, match="Rank 0 of 2 has gone"):
        second._hear("anything")


def first_verb(job, store):
    """The verb of rank 0, which rank 1 has called too."""
    number = job.exchanges["verb"] + 1
    store.key_value_set(f"{jobs.SAID}/verb/{number}/1", json.dumps("fit"))
    return job.verb("fit")


def test_a_rank_that_does_not_come_is_named_once(capsys):
    store = Store()
    first, second = Job(store, 0, 2), Job(store, 1, 2)
    first.watch.limit = 0.05
    second.at("step 4 of epoch 1")
    for place in ("step 4 of epoch 1", "step 8 of epoch 1"):
        first.at(place)
        second.watch.look(1)
        first.watch.look(1)
    time.sleep(0.1)
    for _ in range(2):
        first.watch.look(2)
    said = capsys.readouterr().err
    assert said == "Rank 1 of 2 has been at step 4 of epoch 1 for 0 s; rank 0 is at step 8 of epoch 1.\n"


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, (None, None, None)),
        (
            {"JAX_COORDINATOR_ADDRESS": "h:1", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "2"},
            ("h:1", 4, 2),
        ),
        (
            {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:1, b:2", "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": "1", "JAX_NUM_PROCESSES": "9",
            },
            ("a:1", 2, 1),
        ),
        ({"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "h", "MASTER_PORT": "500"}, ("h:501", 2, 1)),
        ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "0"}, ("127.0.0.1:29501", 3, 0)),
    ],
)  # fmt: skip
def test_the_place_of_a_process_comes_from_its_launcher(environment, place):
    assert tuple(_place(environment, None, None, None)) == place


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("h:1", 2, None), "job_addresses and num_processes are known, and process_id is not"),
        ((None, 2, 0), "num_processes and process_id are known, and job_addresses is not"),
        (("h:1", 2, 2), "process_id is 2, and num_processes is 2: it counts from 0"),
        (("h:1", "two", 0), "expected a whole number as num_processes, got 'two'"),
    ],
)
def test_a_place_that_is_not_whole_says_what_is_missing(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        _place({}, *arguments)


def test_processes_that_a_launcher_started_do_not_train_alone_in_silence(monkeypatch):
    stack = Sequential([layers.Dense(1)])
    stack.compile("sgd", "mse")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(jobs, "_started", {"job": None, "apart": False})
    with pytest.raises(ProcessError, match="fit: WORLD_SIZE says that this is one of several processes"):
        stack.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    initialize(num_processes=1)
    stack.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    monkeypatch.setattr(jobs, "_started", {"job": None, "apart": False})
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ProcessError, match="JAX has run already"):
        initialize()
    assert jobs.started() is None
