"""A run that was killed at any instant goes on as if nothing had happened, to the last bit."""

import hashlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import quick_compiler

import lamina
from lamina import callbacks, layers
from lamina._arrays.packing import NotPlainError, pack, unpack
from lamina._saving import checkpoint as checkpoints
from lamina.errors import ArgumentError, FileError, LaminaWarning, NonFiniteError

ROWS = np.random.default_rng(0)
X = ROWS.normal(size=(150, 4)).astype("float32")
Y = (X[:, :1] * X[:, 1:2] > 0).astype("float32")
EPOCHS = 8  # of 5 steps


@pytest.fixture(autouse=True)
def _a_new_process(monkeypatch):
    monkeypatch.setattr(checkpoints, "_ended", {})


@pytest.fixture
def each_state(monkeypatch):
    """No state takes the place of another one that waits to be written."""
    monkeypatch.setattr(Future, "cancel", lambda future: False)


class Die(callbacks.Callback):
    """Raises an error after so many steps of a process, or at the start of an epoch."""

    def __init__(self, step=None, epoch=None):
        steps = itertools.count(1)  # in no attribute, since these come back

        def count(batch, logs=None):
            if next(steps) == step:
                raise ZeroDivisionError

        def begin(number, logs=None):
            if number == epoch:
                raise ZeroDivisionError

        if step is not None:
            self.on_train_batch_end = count
        self.on_epoch_begin = begin


class Data(callbacks.Callback):
    """Counts the epochs, and resets nothing by itself."""

    def __init__(self, name, data):
        self.name, self.data, self.epochs = name, data, 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


def stack(units=8, seed=1, optimizer="adam", loss="binary_crossentropy"):
    if seed is not None:
        lamina.utils.set_random_seed(seed)
    model = lamina.Sequential(
        [
            layers.Input((4,)), layers.Dense(units, "relu"), layers.BatchNormalization(), layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )  # fmt: skip
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


def watchers(patience=6):
    return [
        callbacks.EarlyStopping(patience=patience, restore_best_weights=True),
        callbacks.ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.01),
    ]


def train(folder=None, *more, every="epoch", epochs=EPOCHS, model=None, keep=2, data=(X, Y), **arguments):
    """One start of the program.  -> all that must be equal: weights, history, predictions, the callbacks' state"""
    model, watching = model or stack(), watchers(6 if epochs <= EPOCHS else 10**6)
    kept = callbacks.Checkpoint(folder, every, keep) if folder else None
    arguments = {"validation_split": 1 / 3, "batch_size": 20, "verbose": 0} | arguments
    record = model.fit(*data, epochs=epochs, callbacks=[*watching, *more], checkpoint=kept, **arguments)
    assert record is model.history
    stopping, plateau = watching
    knows = [stopping.wait, stopping.best, stopping.best_epoch, plateau.wait, plateau.best, plateau.cooldown_counter]
    optimizer = [weight.numpy() for weight in model.optimizer.variables]
    return model.get_weights(), optimizer, record.history, record.epoch, model.predict(X, verbose=0), knows


def same(one, other):
    """Equal to the last bit, types included."""
    assert type(one) is type(other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return one == other


def states(folder):
    return checkpoints.states_in(str(folder))


@pytest.fixture(scope="module")
def undisturbed():
    with quick_compiler():  # as each test
        return train()


@pytest.mark.no_cover
@pytest.mark.parametrize("hooked", [False, True])
def test_a_run_goes_on_from_the_state_after_each_step(tmp_path, undisturbed, each_state, hooked):
    hooks = [callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)] * hooked
    assert same(train(tmp_path / "all", *hooks, every=1, keep=1000), undisturbed)
    names = states(tmp_path / "all")
    assert len(names) == 5 * EPOCHS + 2
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(tmp_path / "all" / name, folder)
        assert same(train(folder, *hooks, every=1), undisturbed), name


@pytest.mark.parametrize("every", ["epoch", 1, 3, 7])
@pytest.mark.parametrize("step", [1, 5, 13, 39])
def test_a_run_that_died_goes_on_when_the_program_is_started_again(tmp_path, undisturbed, every, step):
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Die(step), every=every)
    assert same(train(tmp_path, every=every), undisturbed)


@pytest.mark.parametrize("every", ["epoch", 1])
def test_a_run_that_dies_at_each_start_comes_to_its_end(tmp_path, undisturbed, each_state, every):
    """Each start makes a few steps more than the state that it began with."""
    train(None, whole := Data("a", None))
    starts, last = 0, None
    while last is None:
        starts += 1
        try:
            last = train(tmp_path, counts := Data("a", None), Die(6 if every == "epoch" else 2), every=every)
        except ZeroDivisionError:
            assert starts < 50
    assert starts > 7 and same(last, undisturbed) and counts.epochs == whole.epochs == EPOCHS


def test_a_run_that_has_ended_returns_its_history_without_a_step(tmp_path, undisturbed):
    train(tmp_path)
    before = states(tmp_path)
    checkpoints._ended.clear()
    assert same(train(tmp_path, Die(epoch=0), Die(1)), undisturbed)
    assert states(tmp_path) == before


def test_a_run_that_has_ended_goes_on_with_more_epochs(tmp_path, undisturbed):
    """As one that had so many from the start, although EarlyStopping had put other weights back at its end."""
    for epochs in (2, 3, EPOCHS):
        checkpoints._ended.clear()
        result = train(tmp_path, epochs=epochs, every=2)
    assert same(result, undisturbed)


def test_averaged_weights_are_put_in_place_at_the_end_alone(tmp_path):
    def averaging(folder, epochs):
        checkpoints._ended.clear()
        return train(folder, epochs=epochs, model=stack(optimizer=lamina.optimizers.Adam(use_ema=True)))

    whole = averaging(None, 4)
    averaging(tmp_path, 2)
    assert same(averaging(tmp_path, 4), whole)
    assert same(averaging(tmp_path, 4), whole)


def test_a_second_fit_of_the_program_has_states_of_its_own(tmp_path):
    def program(folder, die=None):
        checkpoints._ended.clear()
        model = stack()
        first = train(folder, model=model, epochs=3)
        model.layers[0].trainable = False
        model.compile("sgd", "mse", metrics=["accuracy"])
        return first, train(folder, *[die] * (die is not None), model=model, epochs=4)

    whole = program(None)
    with pytest.raises(ZeroDivisionError):
        program(tmp_path, Die(epoch=2))
    assert same(program(tmp_path), whole)
    assert same(program(tmp_path, Die(epoch=0)), whole)
    assert states(tmp_path) and states(tmp_path / "fit-2")


def test_a_fit_that_failed_goes_on_in_the_same_process(tmp_path, undisturbed):
    model = stack()
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Die(epoch=4), model=model)
    assert same(train(tmp_path, model=model), undisturbed)


def test_without_a_seed_the_run_that_died_keeps_its_own(tmp_path):
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Die(epoch=2), model=stack(seed=None))
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert same(train(tmp_path, model=stack(seed=None)), train(tmp_path / "copy", model=stack(seed=None)))


def test_fit_takes_the_name_of_a_folder(tmp_path, each_state):
    stack().fit(X, Y, epochs=4, verbose=0, checkpoint=tmp_path / "new" / "folder")
    assert states(tmp_path / "new" / "folder") == [
        "step-0000000015-epoch-000003.safetensors",
        "step-0000000020-epoch-000004.safetensors",
        "step-0000000020-epoch-000004-end.safetensors",
    ]
    stack().fit(X, Y, epochs=4, verbose=0, callbacks=[callbacks.Checkpoint(str(tmp_path / "other"), every=7)])
    assert len(states(tmp_path / "other")) == 3


def test_one_callback_keeps_the_state(tmp_path):
    both = [callbacks.Checkpoint(str(tmp_path)), callbacks.BackupAndRestore(str(tmp_path))]
    with pytest.raises(ArgumentError, match="fit takes one callback that keeps its state"):
        stack().fit(X, Y, verbose=0, callbacks=both)
    with pytest.raises(ArgumentError, match="expected the name of a folder, or a Checkpoint, got 3"):
        stack().fit(X, Y, verbose=0, checkpoint=3)
    for wrong in ({"folder": 3}, {"folder": ""}, {"folder": "a", "every": "batch"}, {"folder": "a", "every": 0}):
        with pytest.raises(ArgumentError):
            callbacks.Checkpoint(**wrong)


CHANGES = {
    "a layer": ({"model": lambda: stack(units=9)}, "layer 1: it was Dense(8, activation='relu'), and is Dense(9"),
    "the loss": ({"model": lambda: stack(loss="mse")}, "loss: it was BinaryCrossentropy"),
    "the optimizer": ({"model": lambda: stack(optimizer="sgd")}, "optimizer: it was Adam(), and is SGD()"),
    "the rate": (
        {"model": lambda: stack(optimizer=lamina.optimizers.Adam(0.1))},
        "learning_rate: it was 0.001, and is 0.1",
    ),
    "the data": ({"data": (X + 1, Y)}, "x: it was (100, 4) float32 "),
    "the rows": ({"data": (X[:120], Y[:120])}, "x: it was (100, 4) float32 "),
    "the batch size": ({"batch_size": 10}, "batch_size: it was 20, and is 10"),
    "shuffle": ({"shuffle": False}, "shuffle: it was True, and is False"),
    "the seed": ({"model": lambda: stack(seed=2)}, "set_random_seed: it was 1, and is 2"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_state_of_another_run_is_refused(tmp_path, change):
    train(tmp_path, epochs=1)
    checkpoints._ended.clear()
    arguments, said = CHANGES[change]
    arguments = dict(arguments)
    model = arguments.pop("model", stack)()
    before = model.get_weights()
    with pytest.raises(FileError) as caught:
        train(tmp_path, epochs=2, model=model, **arguments)
    assert said in str(caught.value) and "Delete that folder to begin anew" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 15
    assert same(model.get_weights(), before) and model.history is None


def test_a_frozen_layer_is_another_run(tmp_path):
    train(tmp_path, epochs=1)
    checkpoints._ended.clear()
    model = stack()
    model.layers[0].trainable = False
    with pytest.raises(FileError, match=r"0.kernel: it was \(4, 8\) float32, trained, and is \(4, 8\) float32\n"):
        train(tmp_path, epochs=2, model=model)


def damage(path, kind):
    data = bytearray(path.read_bytes())
    if kind == "cut":
        data = data[: len(data) // 2]
    elif kind == "empty":
        data = b""
    else:
        place = {"an array": -1, "the facts": data.index(b"BinaryCross"), "the hash": data.index(b"sha256") + 12}[kind]
        data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["cut", "empty", "an array", "the facts", "the hash"])
def test_a_broken_state_gives_way_to_the_one_before(tmp_path, undisturbed, kind):
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Die(epoch=4))
    newest = states(tmp_path)[-1]
    damage(tmp_path / newest, kind)
    with pytest.warns(LaminaWarning, match="The run resumes from the state before it") as said:
        assert same(train(tmp_path), undisturbed)
    assert len(said) == 1 and newest in str(said[0].message)
    assert (tmp_path / (newest + ".broken")).exists()


def test_where_all_states_are_broken_nothing_begins_anew_unasked(tmp_path):
    train(tmp_path, epochs=2)
    checkpoints._ended.clear()
    for name in states(tmp_path):
        damage(tmp_path / name, "cut")
    model = stack()
    with pytest.warns(LaminaWarning), pytest.raises(FileError, match="step-0000000005-epoch-000001"):
        train(tmp_path, model=model)
    assert model.history is None


def test_the_best_state_is_kept_too(tmp_path):
    stack().fit(
        X, Y, epochs=12, validation_split=0.3, verbose=0,
        checkpoint=callbacks.Checkpoint(tmp_path, every=4, monitor="val_loss"),
    )  # fmt: skip
    model = stack()
    history = model.fit(X, Y, epochs=12, validation_split=0.3, verbose=0).history["val_loss"]
    best = checkpoints.read(str(tmp_path / "best.safetensors"))
    assert best.facts["place"]["epoch"] == 1 + int(np.argmin(history))
    assert best.facts["place"]["logs"]["val_loss"] == min(history)
    model.load_weights(tmp_path / "best.safetensors")
    assert model.evaluate(X[105:], Y[105:], verbose=0)[0] == pytest.approx(min(history))
    with pytest.raises(FileError, match=r"these\s+weights\s+differ:\s+stack\.0\.bias,\s+stack\.0\.kernel"):
        stack(units=3).load_weights(tmp_path / "best.safetensors")
    with pytest.raises(ArgumentError, match="Did you mean 'val_loss'"):
        stack().fit(X, Y, verbose=0, checkpoint=callbacks.Checkpoint(tmp_path / "other", monitor="val_los"))


def test_the_file_can_be_read_by_others(tmp_path):
    """It is in the format of safetensors: a length, a header in JSON, the arrays."""
    train(tmp_path, epochs=1)
    data = (tmp_path / states(tmp_path)[0]).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    facts = json.loads(header["__metadata__"]["checkpoint"])
    assert facts["lamina"] == lamina.__version__ and facts["place"]["epoch"] == 1
    assert header["params/stack.0.kernel"]["shape"] == [4, 8]
    assert max(entry["data_offsets"][1] for name, entry in header.items() if name[0] != "_") == len(data) - 8 - size


# What callbacks know.


class Counts(callbacks.Callback):
    """Has an attribute of each kind that is kept, and one that is not."""

    def __init__(self, name="first", data=None):
        self.name, self.data, self.log = name, data, None
        self.function = len

    def on_train_begin(self, logs=None):
        self.steps, self.losses, self.seen, self.at = 0, [], {1: (0.5, None)}, {"a"}
        self.sums, self.scalar, self.worst = np.zeros(3, "int16"), np.float32(0), float("inf")
        self.file = open(os.devnull)  # noqa: SIM115

    def on_train_end(self, logs=None):
        self.file.close()

    def on_epoch_begin(self, epoch, logs=None):
        self.fresh = True

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.fresh = False
        self.losses.append(logs["loss"])
        self.sums[batch % 3] += 1
        self.scalar += np.float32(0.1)
        self.seen[self.steps] = (logs["loss"], "text")
        self.at.add(str(batch))
        self.worst = min(self.worst, logs["loss"])

    @property
    def knows(self):
        return [self.steps, self.losses, self.seen, sorted(self.at), self.sums, self.scalar, self.worst, self.fresh]


@pytest.mark.parametrize("step", [1, 7, 10, 13])
def test_the_attributes_of_a_users_callback_come_back(tmp_path, step):
    whole = Counts()
    train(None, whole, epochs=4)
    said = r"cannot hold Counts.file \(TextIOWrapper .*\): only numbers, strings, arrays, and lists and dicts of them"
    with pytest.warns(LaminaWarning, match=said) as first, pytest.raises(ZeroDivisionError):
        train(tmp_path, died := Counts(), Die(step), every=2, epochs=4)
    died.file.close()
    again = Counts()
    with pytest.warns(LaminaWarning, match=said):
        train(tmp_path, again, every=2, epochs=4)
    assert len(first) == 1
    assert same(again.knows, whole.knows)


def test_a_setting_of_a_users_callback_may_change(tmp_path):
    """What the run has not changed is the program's: neither an argument nor data is put back, or written at all."""
    data = np.zeros(2**19)
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, callbacks.LambdaCallback(), Data("first", data), Die(epoch=2))
    assert (tmp_path / states(tmp_path)[-1]).stat().st_size < 2**16
    train(tmp_path, other := Data("second", data + 1))
    assert other.name == "second" and (other.data == 1).all() and other.epochs == EPOCHS


def test_data_in_a_callback_that_changes_in_its_place_is_kept(tmp_path):
    class Sums(callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.sums = np.zeros(2**18)

        def on_epoch_end(self, epoch, logs=None):
            self.sums[epoch] += logs["loss"]

    train(None, whole := Sums())
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Sums(), Die(epoch=3))
    train(tmp_path, again := Sums())
    assert same(again.sums, whole.sums)


def test_callbacks_may_be_added_and_left_out(tmp_path, undisturbed):
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Data("a", None), Die(epoch=3))
    assert same(train(tmp_path, callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)), undisturbed)


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("every", ["epoch", 3])
def test_the_log_has_each_epoch_once(tmp_path, append, every):
    def log(folder, *more):
        name = f"{tmp_path}/{folder}.csv"
        if append and not os.path.exists(name):
            Path(name).write_text("epoch,loss,val_loss,accuracy,val_accuracy,learning_rate\r\n0,1,1,1,1,1\r\n")
        train(folder and tmp_path / folder, callbacks.CSVLogger(name, append=append), *more, every=every)
        return Path(name).read_text()

    whole = log("")
    for epoch in (2, 5):
        with pytest.raises(ZeroDivisionError):
            log("died", Die(epoch=epoch))
    assert log("died") == whole
    assert len(whole.splitlines()) == EPOCHS + 1 + append


def test_a_schedule_is_not_applied_twice(tmp_path):
    def halving():
        return callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)

    whole = train(None, halving())
    for step in (7, 8):
        with pytest.raises(ZeroDivisionError):
            train(tmp_path, halving(), Die(step), every=2)
    assert same(train(tmp_path, halving(), every=2), whole)


def test_a_callback_that_ended_the_epoch_has_ended_it(tmp_path):
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    class DieInValidation(callbacks.Callback):
        def on_test_begin(self, logs=None):
            raise ZeroDivisionError

    whole = train(None, Stop())
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Stop(), DieInValidation(), every=1)
    assert states(tmp_path)[-1] == "step-0000000003.safetensors"
    assert same(train(tmp_path, Stop(), every=1), whole)


# Signals.


class Signal(callbacks.Callback):
    """Sends this process a signal at one moment."""

    def __init__(self, number, moment, epoch):
        self.epoch, self.at, self.sent = 0, epoch, False

        def send(*place):
            if self.epoch == self.at and not self.sent:
                self.sent = True
                os.kill(os.getpid(), number)

        setattr(self, moment, send)
        if moment != "on_epoch_end":
            self.on_epoch_end = self.count

    def count(self, epoch, logs=None):
        self.epoch = epoch + 1


ENDS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: SystemExit}


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("moment", ["on_epoch_begin", "on_train_batch_end", "on_test_batch_end"])
def test_a_signal_keeps_the_state_of_that_moment(tmp_path, undisturbed, number, moment):
    before = signal.getsignal(number)
    with pytest.raises(ENDS[number]) as caught:
        train(tmp_path, Signal(number, moment, 3), every=1000)
    assert signal.getsignal(number) is before
    assert number == signal.SIGINT or caught.value.code == 143
    done = {"on_epoch_begin": range(16, 21), "on_train_batch_end": [16], "on_test_batch_end": [20]}[moment]
    assert states(tmp_path)[-1] in [f"step-{step:010}.safetensors" for step in done]
    assert same(train(tmp_path, every=1000), undisturbed)


def test_a_signal_at_the_end_ends_the_process_when_all_is_written(tmp_path, undisturbed):
    with pytest.raises(SystemExit) as caught:
        train(tmp_path, Signal(signal.SIGTERM, "on_train_end", EPOCHS))
    assert caught.value.code == 143
    checkpoints._ended.clear()
    assert same(train(tmp_path, Die(1)), undisturbed)


def test_without_a_checkpoint_sigterm_does_what_it_does():
    seen = []
    look = callbacks.LambdaCallback(on_train_begin=lambda logs: seen.append(signal.getsignal(signal.SIGTERM)))
    train(None, look, epochs=1)
    assert seen == [signal.SIG_DFL]


# Processes that die.


def digest(value):
    """A hash of all that a start of the program came to."""
    said = hashlib.sha256()

    def add(part):
        if isinstance(part, (list, tuple)):
            for item in part:
                add(item)
        elif isinstance(part, dict):
            add([*part.items()])
        else:
            said.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())

    add(value)
    return said.hexdigest()


def program(folder, every, step, epochs):
    """One start of a program that dies by SIGKILL after so many steps of the run, or says what it came to."""

    class Kill(callbacks.Callback):
        every_batch = bool(step)

        def on_train_begin(self, logs=None):
            print("begun", flush=True)

        def on_train_batch_end(self, batch, logs=None):
            if step and int(self.model.optimizer.iterations) >= step:
                os.kill(os.getpid(), signal.SIGKILL)

    with quick_compiler():
        print(digest(train(folder, Kill(), every=every, epochs=epochs)))


def start(folder, every=3, step=0, epochs=EPOCHS, cache=None):
    here = os.path.dirname(__file__)
    settings = {**os.environ, "PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
    settings |= {"LAMINA_CACHE": str(cache)} if cache else {}
    code = f"import test_resume; test_resume.program({str(folder)!r}, {every!r}, {step}, {epochs})"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=settings, text=True)


def test_a_process_that_is_killed_again_and_again(tmp_path, undisturbed):
    cache = tmp_path / "cache"
    for step in (4, 18, 33):
        with start(tmp_path, step=step, cache=cache) as process:
            process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
    assert states(tmp_path)
    with start(tmp_path, cache=cache) as process:
        said, _ = process.communicate(timeout=120)
    assert said.split()[-1] == digest(undisturbed)


def test_sigterm_ends_a_process_with_143(tmp_path):
    with start(tmp_path, every=10**9, epochs=10**6) as process:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        process.terminate()
        process.communicate(timeout=120)
    assert process.returncode == 143
    assert len(states(tmp_path)) == 1


@pytest.mark.nightly
@pytest.mark.parametrize("every", ["epoch", 1])
def test_a_process_that_is_killed_at_every_step(tmp_path, undisturbed, every):
    for step in range(1, 41):
        with start(tmp_path, every, step, cache=tmp_path / "cache") as process:
            process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL
    with start(tmp_path, every, cache=tmp_path / "cache") as process:
        said, _ = process.communicate(timeout=120)
    assert said.split()[-1] == digest(undisturbed)


@pytest.mark.nightly
def test_a_process_that_is_killed_at_random_instants(tmp_path):
    """200 times, and whenever the program comes to its end, that is the end that it has undisturbed."""
    random, kills, ends, epochs, cache = np.random.default_rng(0), 0, 0, 400, tmp_path / "cache"
    with start(tmp_path / "whole", 10**9, epochs=epochs, cache=cache) as process:
        whole = process.communicate(timeout=120)[0].split()[-1]
    while kills < 200 or ends == 0:
        with start(tmp_path / str(ends), [1, 7, "epoch"][ends % 3], epochs=epochs, cache=cache) as process:
            first = process.stdout.readline()  # of a run that had ended, what it came to
            try:
                said = first + process.communicate(timeout=random.uniform(0, 1.5))[0]
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                continue
        assert said.split()[-1] == whole
        ends += 1
    print(f"{kills} kills, {ends} ends")


# Streams.

BATCHES = [(X[i : i + 20], Y[i : i + 20]) for i in range(0, 100, 20)]


class Indexed:
    """Batches by number, in an order of its own in each epoch, as a PyDataset may have."""

    def __init__(self):
        self.read, self.order, self.random = 0, list(range(5)), np.random.default_rng(0)

    def __len__(self):
        return 5

    def __getitem__(self, number):
        self.read += 1
        return BATCHES[self.order[number]]

    def on_epoch_end(self):
        self.order = self.random.permutation(5).tolist()


class Positioned:
    """Says where it is and can be set there, as torchdata's StatefulDataLoader can."""

    def __init__(self):
        self.random, self.left, self.read = np.random.default_rng(0), None, 0

    def __iter__(self):
        self.left = self.random.permutation(5).tolist() if self.left is None else self.left
        while self.left:
            self.read += 1
            yield BATCHES[self.left.pop()]
        self.left = None

    def state_dict(self):
        return {"random": self.random.bit_generator.state, "left": self.left and list(self.left)}

    def load_state_dict(self, state):
        self.random.bit_generator.state, self.left = state["random"], state["left"]


class Shuffling:
    """Tells nothing, and is in another order each time, as a DataLoader is."""

    def __init__(self):
        self.random = np.random.default_rng(0)

    def __iter__(self):
        return (BATCHES[number] for number in self.random.permutation(5))


def endless():
    random = np.random.default_rng(0)
    while True:
        yield BATCHES[random.integers(5)]


STREAMS = {
    "list": (lambda: BATCHES, None, ""),
    "list, some steps": (lambda: BATCHES, 3, ""),
    "indexed": (Indexed, None, ""),
    "indexed, some steps": (Indexed, 3, ""),
    "positioned": (Positioned, None, ""),
    "positioned, some steps": (Positioned, 3, ""),
    "loader": (Shuffling, None, "a Shuffling has no positions: its batches are read again up to "),
    "loader, some steps": (Shuffling, 7, "a Shuffling has no positions: its batches are read again up to "),
    "function": (lambda: lambda: iter(BATCHES), None, "a function has no positions"),
    "generator": (endless, 5, "a generator has no positions"),
}


def on_stream(kind, folder):
    make, steps, _ = STREAMS[kind]
    source = make()
    result = train(
        folder, data=(source,), batch_size=None, validation_split=0.0, validation_data=(X[100:], Y[100:]),
        steps_per_epoch=steps, every=1, keep=100, epochs=4,
    )  # fmt: skip
    return result, source


@pytest.mark.filterwarnings("ignore:x ran out of batches")  # some of its epochs end with the data
@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_goes_on_at_its_place(tmp_path, kind, each_state):
    whole, _ = on_stream(kind, None)
    on_stream(kind, tmp_path / "all")
    said = STREAMS[kind][2]
    for number, name in enumerate(states(tmp_path / "all")[:-2:3]):
        folder = tmp_path / str(number)
        folder.mkdir()
        shutil.copy(tmp_path / "all" / name, folder)
        with pytest.warns(LaminaWarning, match=said) if said else nullcontext():
            again, source = on_stream(kind, folder)
        assert same(again, whole), name
    if isinstance(source, (Indexed, Positioned)):
        assert source.read <= 9  # one step, and what is read ahead


def test_a_generator_for_the_validation_is_read_again(tmp_path):
    def run(folder, *more):
        data = {"validation_split": 0.0, "validation_data": endless(), "validation_steps": 3}
        return train(folder, *more, data=(X[:100], Y[:100]), every=2, **data)

    whole = run(None)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, Die(epoch=5))
    with pytest.warns(LaminaWarning, match="a generator has no positions: its batches are read again up to"):
        assert same(run(tmp_path), whole)


def test_a_place_that_cannot_be_kept_is_read_up_to(tmp_path):
    class Odd(Positioned):
        def state_dict(self):
            return {"place": object()}

    def run(folder, *more):
        return train(folder, *more, data=(Odd(),), batch_size=None, validation_data=(X, Y), validation_split=0.0)

    whole = run(None)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, Die(epoch=2))
    with pytest.warns(LaminaWarning, match="a Odd has no positions"):
        assert same(run(tmp_path), whole)


# What can go wrong while a state is written.


class FullDisk:
    """Stands for `files.replacing`, which fails for some of the states."""

    def __init__(self, monkeypatch, fails, error=None):
        self.fails, self.number, self.error = fails, 0, error or FileError("cannot write 'x': the disk is full.")
        self.replacing = checkpoints.files.replacing
        monkeypatch.setattr(checkpoints.files, "replacing", self)

    def __call__(self, path, size):
        self.number += 1
        if self.number in self.fails:
            raise self.error
        return self.replacing(path, size)


def test_a_state_that_cannot_be_written_is_told_and_the_next_one_is(tmp_path, undisturbed, monkeypatch, each_state):
    FullDisk(monkeypatch, fails=[2, 3])
    with pytest.warns(LaminaWarning, match="the disk is full.\nThe training continues, and the earlier states") as said:
        assert same(train(tmp_path), undisturbed)
    assert len(said) == 1
    assert len(states(tmp_path)) == 3


@pytest.mark.parametrize("error", [None, MemoryError("no memory")])
def test_where_the_last_state_cannot_be_written_fit_says_so_at_its_end(
    tmp_path, undisturbed, monkeypatch, each_state, error
):
    FullDisk(monkeypatch, range(6, 100), error)
    model = stack()
    with (
        pytest.warns(LaminaWarning, match="The training continues") as said,
        pytest.raises(type(error) if error else FileError, match=r"no memory|the disk is full"),
    ):
        train(tmp_path, model=model)
    assert len(said) == 1
    assert same(model.get_weights(), undisturbed[0]) and same(model.history.history, undisturbed[2])
    assert states(tmp_path)[-1] == "step-0000000025-epoch-000005.safetensors"
    monkeypatch.undo()
    assert same(train(tmp_path), undisturbed)


def test_a_folder_that_cannot_be_made_is_refused_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError):
        train(tmp_path / "file" / "folder", Die(1))


def test_the_newest_state_takes_the_place_of_one_that_waits(tmp_path, undisturbed, monkeypatch):
    """Where the disk is slower than the training, it waits for no disk, and at the end all is there."""
    go, written = threading.Event(), []
    write = checkpoints.FolderStore._write

    def slow(store, saved, best):
        go.wait(60)
        written.append(saved.name)
        write(store, saved, best)

    monkeypatch.setattr(checkpoints.FolderStore, "_write", slow)
    release = callbacks.LambdaCallback(on_train_end=lambda logs: go.set())
    assert same(train(tmp_path, release, every=1), undisturbed)
    assert written == ["step-0000000001", "step-0000000040-epoch-000008", "step-0000000040-epoch-000008-end"]


def test_it_is_said_that_a_run_goes_on(tmp_path, capsys):
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, Die(8), every=1, verbose=2)
    capsys.readouterr()
    train(tmp_path, every=1, verbose=2, epochs=3)
    assert "Resuming at step 2 of epoch 2.\n" in capsys.readouterr().out
    checkpoints._ended.clear()
    train(tmp_path, every=1, verbose=2, epochs=3)
    assert capsys.readouterr().out == "This run already ended at the end of epoch 3.\n"


# BackupAndRestore, beside Keras's.


def backed_up(library, folder, die=None, epochs=7, **arguments):
    """A run that may die at the start of an epoch.  -> the epochs that were trained, and the history's"""
    trained = []

    class Note(library.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == die:
                raise ZeroDivisionError
            trained.append(epoch)

    model = library.Sequential([library.layers.Input((4,)), library.layers.Dense(1)])
    model.compile("sgd", "mse")
    kept = library.callbacks.BackupAndRestore(str(folder), **arguments)
    try:
        record = model.fit(X, Y, epochs=epochs, batch_size=50, verbose=0, callbacks=[kept, Note()])
    except ZeroDivisionError:
        return trained, None
    return trained, record.epoch


@pytest.mark.parametrize("arguments", [{}, {"save_freq": 3}, {"delete_checkpoint": False}, {"double_checkpoint": True}])
def test_backup_and_restore_goes_on_as_keras(tmp_path, arguments):
    import keras  # not above: each process that is killed imports this file

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for die, epochs in ((4, 7), (5, 7), (None, 7), (None, 7), (None, 9)):
        trained, record = backed_up(lamina, ours, die, epochs, **arguments)
        expected, its_record = backed_up(keras, theirs, die, epochs, **arguments)
        assert trained == expected
        assert record is None or record[len(record) - len(its_record) :] == its_record
        assert ours.exists() == theirs.exists()
        checkpoints._ended.clear()


def test_backup_and_restore_is_exact(tmp_path, undisturbed):
    kept = lambda: callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2)  # noqa: E731
    for step in (5, 9, 14):
        with pytest.raises(ZeroDivisionError):
            train(None, Die(step), kept())
    assert len(states(tmp_path / "backup")) == 1
    assert same(train(None, kept()), undisturbed)
    assert not (tmp_path / "backup").exists()


def test_backup_and_restore_removes_its_own_files_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    train(None, callbacks.BackupAndRestore(tmp_path), epochs=1)
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("wrong", [{"backup_dir": ""}, {"backup_dir": "a", "save_freq": "batch"}])
def test_backup_and_restore_refuses_what_keras_refuses(wrong):
    import keras

    for library in (lamina, keras):
        with pytest.raises(ValueError, match=r"backup_dir|save_freq"):
            library.callbacks.BackupAndRestore(**wrong)


def test_backup_and_restore_keeps_nothing_unless_it_is_interrupted(tmp_path, undisturbed):
    kept = lambda: callbacks.BackupAndRestore(tmp_path / "backup", save_freq=False)  # noqa: E731
    with pytest.raises(SystemExit):
        train(None, Signal(signal.SIGTERM, "on_train_batch_end", 3), kept())
    assert states(tmp_path / "backup") == ["step-0000000016.safetensors"]
    assert same(train(None, kept()), undisturbed)


# Files that nobody of us wrote.

HOSTILE = {
    "no seed": lambda facts: facts.pop("seed"),
    "a seed that is text": lambda facts: facts.update(seed="1"),
    "no place": lambda facts: facts.pop("place"),
    "a place with more": lambda facts: facts["place"].update(more=1),
    "a step below 0": lambda facts: facts["place"].update(done=-1),
    "firsts that are a number": lambda facts: facts["place"].update(firsts=3),
    "an array that is not there": lambda facts: facts["callbacks"][0]["attributes"].update(best={"$numpy": 10**6}),
    "a number that is none": lambda facts: facts["callbacks"][0]["attributes"].update(best={"$float": "one"}),
    "callbacks without a class": lambda facts: facts["callbacks"][0].pop("class"),
    "a run that is a list": lambda facts: facts.update(run=[]),
    "another layer's weights": lambda facts: None,
    "weights of another shape": lambda facts: None,
}


@pytest.mark.parametrize("change", HOSTILE)
def test_a_file_that_is_written_like_a_state_and_is_none_is_refused(tmp_path, change):
    train(tmp_path, epochs=1)
    checkpoints._ended.clear()
    for name in states(tmp_path):
        facts, arrays, _ = checkpoints.read(str(tmp_path / name))
        HOSTILE[change](facts)
        if "another" in change:
            kernel = arrays.pop("params/stack.0.kernel")
            arrays |= {"params/stack.0.kernel": kernel[:1]} if "shape" in change else {"params/stack.9.kernel": kernel}
        (tmp_path / name).write_bytes(b"".join(checkpoints.packed(checkpoints.Saved(facts, arrays))))
    model = stack()
    before = model.get_weights()
    with pytest.raises(FileError, match=r"is not a state of a run|has other arrays than this run"):
        train(tmp_path, model=model)
    assert same(model.get_weights(), before) and model.history is None


def test_a_file_sets_no_setting_of_a_callback(tmp_path):
    log = tmp_path / "log.csv"
    train(tmp_path / "run", callbacks.CSVLogger(log), epochs=1)
    checkpoints._ended.clear()
    for name in states(tmp_path / "run"):
        path = tmp_path / "run" / name
        facts, arrays, _ = checkpoints.read(str(path))
        logger = next(each for each in facts["callbacks"] if each["class"] == "CSVLogger")
        logger["attributes"] |= {"filename": str(tmp_path / "elsewhere"), "on_epoch_end": 1, "_lamina": 1}
        path.write_bytes(b"".join(checkpoints.packed(checkpoints.Saved(facts, arrays))))
    train(tmp_path / "run", callbacks.CSVLogger(log), epochs=2)
    assert len(log.read_text().splitlines()) == 3 and not (tmp_path / "elsewhere").exists()


def test_packing_refuses_what_is_not_plain():
    for odd in (object(), [1, {2: len}], np.array(["a"]), np.array([None]), lamina.Sequential(), range(3)):
        with pytest.raises(NotPlainError):
            pack(odd)
    values = [[1, 2**64], [0.5, float("inf")], ["a", True], None, True, 2**70, -(2**63), float("nan"), {"$a": 1}]
    for value in (*values, {1: {(2, "x"): {3}}}, frozenset({1, "b"})):
        packed = pack([value])
        (back,) = unpack(json.loads(json.dumps(packed.plain, allow_nan=False)), packed.arrays)
        assert back == value or (back != back and value != value)
    scalar, array, device = unpack(*pack([np.int8(3), np.ones((0, 2), "float16"), jnp.ones(2, jnp.bfloat16)]))
    assert isinstance(scalar, np.int8) and array.shape == (0, 2) and array.dtype == np.float16
    assert isinstance(device, jax.Array) and device.dtype == jnp.bfloat16


# Models with more than the usual parts.


class TwoOptimizers(lamina.Sequential):
    """A subclass with a step, an optimizer and a metric of its own."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.second = lamina.optimizers.SGD(0.1, momentum=0.9)
        self.largest = lamina.metrics.Mean(name="largest")

    def train_step(self, data):
        x, y = data

        def objective(params):
            y_pred, _ = self.stateless_call(params, [w.value for w in self.non_trainable_variables], x)
            return self.compute_loss(x, y, y_pred)

        weights = self.trainable_variables
        loss, grads = jax.value_and_grad(objective)([weight.value for weight in weights])
        self.optimizer.apply(grads[:2], weights[:2])
        self.second.apply(grads[2:], weights[2:])
        self.largest.update_state(loss)
        return {"loss": loss, "largest": self.largest.result()}


@pytest.mark.parametrize("step", [1, 7, 15])
def test_a_step_of_ones_own_with_a_second_optimizer_goes_on(tmp_path, step):
    def run(folder, *more):
        lamina.utils.set_random_seed(3)
        model = TwoOptimizers([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(1)])
        model.compile("adam", "mse")
        kept = callbacks.Checkpoint(folder, every=2) if folder else None
        record = model.fit(X, Y, epochs=4, batch_size=30, verbose=0, callbacks=[*more], checkpoint=kept)
        optimizers = [[w.numpy() for w in each.variables] for each in (model.optimizer, model.second)]
        return model.get_weights(), optimizers, record.history

    whole = run(None)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, Die(step))
    assert same(run(tmp_path), whole)


MODELS = {
    "a recurrent layer with a state": lambda: [layers.Reshape((2, 2)), layers.LSTM(3, stateful=True), layers.Dense(1)],
    "random layers": lambda: [layers.GaussianNoise(0.5), layers.Dense(4), layers.AlphaDropout(0.2), layers.Dense(1)],
    "a normalization in a normalization": lambda: [layers.Normalization(mean=0.0, variance=2.0), layers.Dense(1)],
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.filterwarnings("ignore:x ran out of batches")  # the second epoch has the 2 that are left, as in Keras
def test_other_models_and_epochs_that_end_within_the_data_go_on(tmp_path, kind, steps):
    def run(folder, *more):
        lamina.utils.set_random_seed(3)
        model = lamina.Sequential([layers.Input((4,), batch_size=10), *MODELS[kind]()])
        model.compile(lamina.optimizers.RMSprop(lamina.optimizers.schedules.ExponentialDecay(0.1, 3, 0.9)), "mse")
        arguments = {"epochs": 4, "batch_size": 10, "steps_per_epoch": steps, "verbose": 0, "callbacks": [*more]}
        kept = callbacks.Checkpoint(folder, every=2) if folder else None
        record = model.fit(X[:50], Y[:50], validation_data=(X[50:], Y[50:]), checkpoint=kept, **arguments)
        return model.get_weights(), record.history, model.predict(X, batch_size=10, verbose=0)

    whole = run(None)
    for step in (5, 6):
        with pytest.raises(ZeroDivisionError):
            run(tmp_path, Die(step))
    assert same(run(tmp_path), whole)


@pytest.mark.parametrize("steps", [2, 3])
def test_several_steps_for_each_call_of_a_batch_hook_are_the_same_ones(tmp_path, steps):
    def run(folder, *more):
        model = stack()
        model.compile("adam", "mse", metrics=["accuracy"], steps_per_execution=steps)
        calls = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(batch))
        batches.clear()
        return train(folder, calls, *more, model=model, every=4, epochs=4)

    batches = []
    whole = run(None)
    each = list(batches)
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, Die(5))
    assert same(run(tmp_path), whole)
    assert each[-len(batches) :] == batches


def test_the_best_of_a_model_checkpoint_comes_back(tmp_path):
    saved = []

    def run(folder, *more):
        model = stack()
        write = model.save_weights
        model.save_weights = lambda path, **named: (write(path, **named), saved.append(os.path.basename(path)))
        best = callbacks.ModelCheckpoint(
            tmp_path / "{epoch}.weights.h5", monitor="val_loss", save_best_only=True, save_weights_only=True
        )
        return train(folder, best, *more, model=model)

    run(None)
    whole, saved[:] = list(saved), []
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "run", Die(epoch=4))
    run(tmp_path / "run")
    assert saved == whole and len(whole) < EPOCHS


def test_a_loss_that_is_not_finite_leaves_the_states_from_before(tmp_path):
    """The rate is raised until the loss is not finite; each start of the program ends there in the same way."""
    said = []
    for _ in range(2):
        model = lamina.Sequential([layers.Input((4,)), layers.Dense(1)])
        model.compile(lamina.optimizers.SGD(0.01), "mse")
        raised = callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 if epoch < 3 else 1e30)
        with pytest.raises(NonFiniteError) as caught:
            train(tmp_path, raised, every=2, model=model, validation_split=0.2)
        said.append(str(caught.value).splitlines()[0])
        assert states(tmp_path)[-1] == "step-0000000018.safetensors"
    assert said == ["the loss became inf in epoch 4, at step 2."] * 2


def test_a_folder_whose_states_are_all_broken_says_what_to_do(tmp_path, monkeypatch):
    stack().fit(X, Y, epochs=2, verbose=0, checkpoint=tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        file.write_bytes(b"")
    monkeypatch.setattr("lamina._saving.checkpoint._ended", {})  # as in the next process
    with (
        pytest.raises(FileError, match=r"file is\s+empty") as caught,
        pytest.warns(LaminaWarning, match="resumes from the state before"),
    ):
        stack().fit(X, Y, epochs=2, verbose=0, checkpoint=tmp_path)
    assert str(tmp_path) in str(caught.value) and "delete that folder" in str(caught.value)
