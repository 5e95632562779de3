"""Work that goes on for long, and from many processes at once: the memory and the folder of programs stay small.

`LAMINA_SOAK=0.01 pytest -m nightly tests/test_soak.py` does a hundredth of it.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly
PART = float(os.environ.get("LAMINA_SOAK", "1"))


def grown(name, count, seconds, fewest=20, **environment):
    """By how many MB a process grows after the first tenth of the work."""
    command = [sys.executable, str(Path(__file__).with_name("soak.py")), name, str(max(int(count * PART), fewest))]
    environment = {**os.environ, "LAMINA_CACHE": "off", "XLA_FLAGS": "", **environment}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
    assert run.returncode == 0, run.stderr[-2000:]
    return float(run.stdout.split()[-1]), run.stdout


@pytest.mark.parametrize(
    ("name", "count", "seconds"), [("fits", 10_000, 2400), ("predictions", 10**6, 2400), ("batches", 10**6, 2400)]
)
def test_the_memory_stays_as_it_is_after_a_tenth_of_the_work(name, count, seconds):
    growth, told = grown(name, count, seconds)
    assert growth < 20, told


@pytest.mark.parametrize(
    ("name", "count", "seconds"), [("equal_models", 10_000, 7200), ("different_models", 1_000, 3600)]
)
def test_models_that_are_dropped_leave_their_memory(name, count, seconds, tmp_path):
    """A process keeps 128 programs, and two are used of each stack: the first 64 of them fill it."""
    fewest = 1000  # of which a tenth is more than that
    growth, told = grown(name, count, seconds, fewest, LAMINA_CACHE=str(tmp_path))
    assert growth < 100, told


PROGRAM = """
import sys
import numpy as np
from lamina._programs import cache
cache.LIMIT = int(sys.argv[2])
from lamina import Sequential, layers
number = int(sys.argv[1])
x = np.ones((32, 4), np.float32)
model = Sequential([layers.Input((4,)), layers.Dense(4 + number % 10, activation="relu"), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x[:, :1], verbose=0)
print(model.predict(x, verbose=0).shape)
"""


@pytest.mark.parametrize(("limit", "all_stay"), [(2**30, True), (2**20, False)], ids=["of 1 GiB", "that is soon full"])
def test_a_hundred_processes_share_a_folder_of_programs(tmp_path, limit, all_stay):
    """Eight at a time write, read and delete its files; none fails, and none says anything.

    Ten stacks have two programs each, in all 1.5 MiB.
    """

    def run(number):
        command = [sys.executable, "-c", PROGRAM, str(number), str(limit)]
        environment = {**os.environ, "LAMINA_CACHE": str(tmp_path), "XLA_FLAGS": ""}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    count = max(int(100 * PART), 16)
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(run, range(count)))
    assert {(each.returncode, each.stdout, each.stderr) for each in ended} == {(0, "(32, 1)\n", "")}
    left = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert 0 < left <= limit
    assert not list(tmp_path.rglob("*-part"))
    assert (len(list(tmp_path.rglob("lamina-*-cache"))) == 20) == all_stay
