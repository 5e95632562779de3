"""A run on a stream that was interrupted: it ends as it would have, or an error says that the batches differ."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dying import Die

from lamina import Sequential, layers
from lamina._data.checksums import checksum
from lamina.callbacks import Checkpoint
from lamina.errors import DataError, LaminaWarning
from lamina.utils import set_random_seed

X = np.random.default_rng(0).normal(size=(96, 3)).astype("float32")
Y = (X @ [1, 2, 3]).astype("float32")


class Live(Die):
    def on_train_batch_end(self, batch, logs=None):
        pass


Live.__name__ = "Die"  # the same callback, as far as the checkpoint knows


def loader(seed):
    """A function that gives batches in an order by chance, another one in each call, as a DataLoader is read."""
    chance = np.random.default_rng(seed)

    def read():
        for rows in chance.permutation(96).reshape(6, 16):
            yield X[rows], Y[rows]

    return read


def endless(seed):
    chance = np.random.default_rng(seed)
    while True:
        rows = chance.integers(96, size=16)
        yield X[rows], Y[rows]


class Grain:
    """Has iterators that tell where they are, as those of Grain do."""

    def __init__(self, seed):
        self.seed, self.read = seed, 0

    def __iter__(self):
        return GrainIterator(self)


class GrainIterator:
    def __init__(self, source):
        self.source, self.at = source, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.at == 6:
            raise StopIteration
        self.source.read += 1
        rows = slice(16 * self.at, 16 * (self.at + 1))
        self.at += 1
        return X[rows] + self.source.seed, Y[rows]

    def get_state(self):
        return f'{{"at": {self.at}}}'.encode()

    def set_state(self, state):
        self.at = int(state.split(b":")[1].rstrip(b"}"))


def fit(source, folder=None, die=None, other=False, steps=None):
    set_random_seed(1)
    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    keeping = folder and Checkpoint(str(folder), every=1, other_batches=other)
    callbacks = [Die(die) if die else Live(0)]
    model.fit(source, epochs=3, steps_per_epoch=steps, verbose=0, callbacks=callbacks, checkpoint=keeping)
    return model.get_weights()


KINDS = {"loader": (loader, None), "loader, some steps": (loader, 4), "generator": (endless, 5)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, 4, 5, 6, 9, 10])
@pytest.mark.filterwarnings("ignore:a .* has no positions", "ignore:x ran out of batches")
def test_batches_that_are_read_again_are_compared(tmp_path, kind, step):
    make, steps = KINDS[kind]
    want = fit(make(0), steps=steps)
    with pytest.raises(ZeroDivisionError):
        fit(make(0), tmp_path / "0", die=step, steps=steps)
    if not list((tmp_path / "0").glob("*")):
        return  # it died before the first state was kept
    shutil.copytree(tmp_path / "0", tmp_path / "1")
    shutil.copytree(tmp_path / "0", tmp_path / "2")
    assert all(map(np.array_equal, fit(make(0), tmp_path / "0", steps=steps), want))
    with pytest.raises(DataError, match=r"(?s)the batches of x differ.*torch.manual_seed\(0\).*other_batches=True"):
        fit(make(1), tmp_path / "1", steps=steps)
    with pytest.warns(LaminaWarning, match="the batches of x differ.*It goes on with them"):
        other = fit(make(1), tmp_path / "2", other=True, steps=steps)
    assert not all(map(np.array_equal, other, want))


@pytest.mark.filterwarnings("ignore:x ran out of batches")
@pytest.mark.parametrize(("step", "steps"), [(4, None), (6, None), (8, None), (9, 4)])
def test_a_source_of_grain_goes_to_its_place(tmp_path, step, steps):
    want = fit(Grain(0), steps=steps)
    with pytest.raises(ZeroDivisionError):
        fit(Grain(0), tmp_path, die=step, steps=steps)
    source = Grain(0)
    assert all(map(np.array_equal, fit(source, tmp_path, steps=steps), want))
    left = (18 if steps is None else 10) - step + 1
    assert source.read <= 6 + left  # six for the shapes


def test_a_checksum_sees_every_kind_of_batch():
    table = {"a": np.arange(3), "t": np.array(["x", "y", "z"], object)}
    kinds = [X, (X, Y), [X[:2], Y[:2]], table, (table, Y), [[1.0, 2.0], [3.0, 4.0]], np.array(["a", "b"])]
    sums = [checksum(kind) for kind in kinds]
    assert len(set(sums)) == len(sums) and sums == [checksum(kind) for kind in kinds]
    assert checksum(X, checksum(Y)) != checksum(Y, checksum(X))


KILLED = """
import os, random, signal, sys
sys.path.insert(0, {here!r})
from test_stream_resume import *
kind, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
make, steps = {{**KINDS, "grain": (Grain, None)}}[kind]
class Kill(Callback):
    def on_train_batch_end(self, batch, logs=None):
        if random.SystemRandom().random() < seconds:
            os.kill(os.getpid(), signal.SIGKILL)
set_random_seed(1)
model = Sequential([layers.Input((3,)), layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(make(0), epochs=3, steps_per_epoch=steps, verbose=0, callbacks=[Kill()],
          checkpoint=Checkpoint(folder, every=1) if folder else None)
print(np.concatenate([w.ravel() for w in model.get_weights()]).tobytes().hex())
"""


@pytest.mark.nightly
@pytest.mark.parametrize("kind", [*KINDS, "grain"])
def test_ten_kills_at_random_steps_end_as_the_whole_run(tmp_path, kind):
    def run(folder, chance):
        program = KILLED.format(here=str(Path(__file__).parent))
        return subprocess.run(
            [sys.executable, "-c", program, kind, folder, str(chance)], capture_output=True, text=True, check=False
        )

    want, kills, turn = run("", 0).stdout, 0, 0
    assert want
    while kills < 10:
        done = run(str(tmp_path / str(turn)), 0.15)
        kills += done.returncode == -9
        if done.returncode == 0:
            assert done.stdout == want
            turn += 1
        else:
            assert done.returncode == -9, done.stderr
    assert run(str(tmp_path / str(turn)), 0).stdout == want
