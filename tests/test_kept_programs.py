"""How many compiled programs a process keeps: by their number, and by their bytes."""

import subprocess
import sys
from collections import OrderedDict
from concurrent.futures import Future

import numpy as np
import pytest

import lamina
from lamina import layers
from lamina._programs import programs


@pytest.fixture
def kept(monkeypatch):
    monkeypatch.setattr(programs, "_compiled", OrderedDict())
    return lambda: [each.result().size for each in programs._compiled.values()]


def predict(units):
    model = lamina.Sequential([layers.Input((3,)), *[layers.Dense(units, activation="tanh") for _ in range(3)]])
    model.predict(np.ones((2, 3), "float32"), verbose=0)


def test_the_oldest_programs_go_when_all_take_too_many_bytes(kept, monkeypatch):
    predict(2)
    (size,) = kept()
    assert size > 0
    monkeypatch.setattr(programs, "FEWEST", 2)
    monkeypatch.setattr(programs, "MOST", int(3.5 * size))  # they are nearly of one size
    for units in range(3, 8):
        predict(units)
    assert len(kept()) == 3
    made = list(programs._compiled)
    predict(5)
    assert list(programs._compiled) == [*made[1:], made[0]]  # it was still there, and is the latest now


def test_the_latest_programs_stay_however_large_they_are(kept, monkeypatch):
    monkeypatch.setattr(programs, "FEWEST", 2)
    monkeypatch.setattr(programs, "MOST", 0)
    for units in range(1, 5):
        predict(units)
    assert len(kept()) == 2


def test_a_program_that_is_being_compiled_or_failed_has_no_size(kept, monkeypatch):
    monkeypatch.setattr(programs, "FEWEST", 0)
    failed = Future()
    failed.set_exception(ValueError())
    programs._compiled.update({1: Future(), 2: failed})
    assert not programs._too_many()
    programs._compiled[3] = programs._now(programs.Program, print, (), programs.MOST + 1)
    assert programs._too_many()


MEASURED = """
import gc, os
import numpy as np
import jax
import lamina
from lamina import layers
from lamina._programs import heap, programs

def resident():
    gc.collect()
    heap.give_back()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

for units in range(8, 13):
    model = lamina.Sequential([
        layers.Input((8, units)), layers.LSTM(units, return_sequences=True), layers.LayerNormalization(),
        *[layer for _ in range(4) for layer in (layers.Dense(units), layers.Dropout(0.1), layers.BatchNormalization())],
    ])
    model.compile("adam", "mse", metrics=["mae"])
    x = np.ones((8, 8, units), "float32")
    model.fit(x, x, verbose=0)
    model.predict(x, verbose=0)
del model
said, before = sum(each.result().size for each in programs._compiled.values()), resident()
programs.clear()
jax.clear_caches()
print(said / (before - resident()))
"""


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory from /proc")
def test_what_a_program_is_said_to_take_is_about_what_it_takes():
    run = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert 0.4 < float(run.stdout) < 2.5
