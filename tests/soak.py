"""Programs that run long, for test_soak.py: `python tests/soak.py NAME COUNT` prints how the memory grew, in MB.

Measured is what the process has in memory, at the most, from the first tenth of the work on.
"""

import gc
import os
import sys
import time

import numpy as np
from quick import quick_compiler

import lamina
from lamina import Sequential, layers

rows = np.random.default_rng(0).random((64, 8), np.float32)
targets = rows.sum(1, keepdims=True)


def made(width=16, second=None):
    lamina.utils.set_random_seed(1)
    more = [layers.BatchNormalization(), layers.Dropout(0.1)] if second is None else [layers.Dense(second)]
    model = Sequential([layers.Input((8,)), layers.Dense(width, activation="relu"), *more, layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def fits(count):
    """Fits with a validation and a callback, of one model."""
    model = made()
    stop = lamina.callbacks.EarlyStopping(patience=3)
    for _ in range(count):
        model.fit(rows, targets, epochs=2, verbose=0, validation_split=0.25, callbacks=[stop])
        yield 1


def predictions(count):
    """Predictions of one row each."""
    model = made()
    for number in range(count):
        model.predict(rows[number % 64 : number % 64 + 1], verbose=0)
        yield 1


def batches(count):
    """One epoch of a generator with so many batches, which measures itself: a callback would cut the steps."""

    def source():
        for number in range(count):
            first = number % 16 * 4
            yield rows[first : first + 4], targets[first : first + 4]
            measured.note(number + 1)  # when the next one is asked for, a few batches before it is trained on

    model = made()
    model.fit(source(), epochs=1, steps_per_epoch=count, verbose=0)
    assert model.optimizer.iterations == count
    assert measured.last > 0.9 * count
    yield 0


def models(count, different, times=1):
    """Models that are made, used and dropped, of so many different stacks, which are as large as each other.

    Each stack is made so many times in a row: a process keeps too few programs for 128, and reads them from the disk.
    """
    with quick_compiler():  # what stays in memory is no more of a good program than of a plain one
        for number in range(count):
            stack = number // times % different
            model = made(8 + stack % 32, 8 + stack // 32)
            model.fit(rows, targets, batch_size=32, epochs=1, verbose=0)
            model.predict(rows[:1], verbose=0)
            yield 1


def equal_models(count):
    yield from models(count, 128, times=4)


def different_models(count):
    yield from models(count, count)


class Measured:
    """The memory from a tenth of the work on: what there was, and the most that there was."""

    def __init__(self, count):
        self.count, self.first, self.most, self.last = count, None, 0.0, 0
        self.begun = time.perf_counter()

    def note(self, done):
        if (done - self.last) * 50 < self.count and done < self.count:
            return
        self.last = done
        gc.collect()
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        if done * 10 >= self.count:
            self.first = now if self.first is None else self.first
            self.most = max(self.most, now)
        print(f"{done} of {self.count} in {time.perf_counter() - self.begun:.0f} s: {now:.1f} MB", flush=True)


if __name__ == "__main__":
    name, count = sys.argv[1], int(sys.argv[2])
    measured, done = Measured(count), 0
    for step in globals()[name](count):
        done += step
        if step:
            measured.note(done)
    print(measured.most - measured.first)
