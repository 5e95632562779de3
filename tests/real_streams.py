"""Sources of torch, Hugging Face, Grain and TensorFlow themselves, in an environment of their own.

`test_real_streams.py` runs this file there; it is no part of the daily tests.
"""

import multiprocessing
import os
import random
import signal
import warnings
from pathlib import Path

import datasets
import grain.python as grain
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow
import torch
from dying import Die
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, Subset, TensorDataset

import lamina
from lamina import layers
from lamina._data.row_sources import begun
from lamina.callbacks import Callback, Checkpoint
from lamina.errors import DataError, LaminaWarning

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3)).astype("float32")
Y = (X @ [1, 2, 3]).astype("float32")
BATCHES = [(X[start : start + 16], Y[start : start + 16]) for start in range(0, 90, 16)]
"""The rows in order; arrays fill the short last batch up, which rounds otherwise."""


def model():
    lamina.utils.set_random_seed(1)
    made = lamina.Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def trained(*data, **settings):
    made = model()
    made.fit(*data, epochs=2, verbose=0, **settings)
    return made.get_weights()


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


class Items(Dataset):
    def __len__(self):
        return 90

    def __getitem__(self, place):
        return X[place], Y[place]


class Rows(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


def tensors():
    return TensorDataset(torch.tensor(X), torch.tensor(Y))


def table():
    return datasets.Dataset.from_dict({**{name: X[:, i] for i, name in enumerate("abc")}, "label": Y})


def test_rows_of_torch_train_as_arrays_do():
    want = trained(X, Y, batch_size=16)
    assert same(trained(tensors(), batch_size=16), want)
    assert same(trained(tensors(), batch_size=16, shuffle=False), trained(X, Y, batch_size=16, shuffle=False))
    unshuffled = trained(BATCHES)
    for rows in (Items(), Rows(), Subset(tensors(), range(90)), DataLoader(Items(), 16), DataLoader(tensors(), 16)):
        assert same(trained(rows, batch_size=16, shuffle=False), unshuffled), rows
    assert same(trained(Items(), batch_size=16), trained(Subset(Items(), range(90)), batch_size=16))
    assert not same(trained(Items(), batch_size=16), unshuffled)


def test_a_column_is_the_target():
    unshuffled = trained(BATCHES)
    assert same(trained(table(), "label", batch_size=16, shuffle=False), unshuffled)
    assert same(trained(table().to_iterable_dataset(), "label", batch_size=16, shuffle=False), unshuffled)
    for form in ("torch", "numpy", "pandas", "polars", "arrow"):
        assert same(trained(table().with_format(form), "label", batch_size=16, shuffle=False), unshuffled), form
    loader = DataLoader(table().with_format("torch"), batch_size=16)
    assert same(trained(loader, "label"), unshuffled)
    made = model()
    made.fit(table(), "label", validation_data=table(), verbose=0)
    np.testing.assert_allclose(made.predict(table().remove_columns("label"), verbose=0), made.predict(X, verbose=0))


def test_loaders_over_tensors_give_their_own_batches():
    for settings in (
        {}, {"shuffle": True}, {"shuffle": True, "drop_last": True}, {"sampler": RandomSampler(X, replacement=True)},
        {"shuffle": True, "generator": True}, {"batch_size": None},
        {"collate_fn": lambda rows: torch.utils.data.default_collate(rows[::-1])},
    ):  # fmt: skip
        rounds = []
        for begin in (iter, begun):
            torch.manual_seed(3)
            given = dict(settings, generator=torch.Generator().manual_seed(4)) if "generator" in settings else settings
            loader = DataLoader(tensors(), **{"batch_size": 16, **given})
            rounds.append([[np.asarray(part) for part in batch] for _ in range(2) for batch in begin(loader)])
            rounds[-1].append(torch.rand(1).numpy())  # as many numbers were drawn
        for one, other in zip(*rounds, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
    assert not isinstance(begun(DataLoader(tensors(), batch_size=16)), type(iter(DataLoader([]))))


def test_grain_and_tensorflow():
    unshuffled = trained(BATCHES)
    source = grain.MapDataset.source(list(zip(X, Y, strict=True)))
    assert same(trained(source.batch(16)), unshuffled)
    assert same(trained(source.batch(16).to_iter_dataset()), unshuffled)
    sampler = grain.IndexSampler(90, shuffle=False, num_epochs=1)
    loader = grain.DataLoader(
        data_source=list(zip(X, Y, strict=True)), sampler=sampler, operations=[grain.Batch(16)], worker_count=0
    )
    assert same(trained(loader), unshuffled)
    assert same(trained(tensorflow.data.Dataset.from_tensor_slices((X, Y)).batch(16)), unshuffled)
    endless = source.batch(16).repeat()
    assert same(trained(endless, steps_per_epoch=6), unshuffled)


def test_sizes_and_workers_are_said_once():
    with pytest.warns(LaminaWarning, match="batch_size=8 has no effect: the batches of x have 16 rows of"):
        trained(DataLoader(tensors(), batch_size=16), batch_size=8)
    with pytest.warns(LaminaWarning, match=r"its 2 workers.*multiprocessing_context=\"spawn\""):
        trained(DataLoader(tensors(), batch_size=16, num_workers=2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        workers = DataLoader(tensors(), batch_size=16, num_workers=1, multiprocessing_context="spawn")
        assert same(trained(workers), trained(DataLoader(tensors(), batch_size=16)))


def maps(seed):
    return grain.MapDataset.source(list(zip(X, Y, strict=True))).shuffle(seed=seed).batch(16)


def loaded(seed):
    sampler = grain.IndexSampler(90, shuffle=True, seed=seed, num_epochs=1)
    rows = list(zip(X, Y, strict=True))
    return grain.DataLoader(data_source=rows, sampler=sampler, operations=[grain.Batch(16)], worker_count=0)


@pytest.mark.parametrize("make", [maps, lambda seed: maps(seed).to_iter_dataset(), loaded])
@pytest.mark.parametrize("step", [4, 6, 8])
def test_grain_resumes_at_its_place(tmp_path, make, step):
    want = trained(make(0), callbacks=[Die(0)])
    with pytest.raises(ZeroDivisionError):
        trained(make(0), callbacks=[Die(step)], checkpoint=Checkpoint(str(tmp_path), every=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", LaminaWarning)  # nothing is read again
        assert same(trained(make(0), callbacks=[Die(0)], checkpoint=Checkpoint(str(tmp_path), every=1)), want)


@pytest.mark.filterwarnings("ignore:a DataLoader has no positions")
def test_a_loader_without_a_seed_is_refused_when_it_is_read_again(tmp_path):
    def run(folder, die, seed):
        seeded = {"generator": torch.Generator().manual_seed(0)} if seed else {}
        loader = DataLoader(tensors(), batch_size=16, shuffle=True, **seeded)
        return trained(loader, callbacks=[Die(die)], checkpoint=folder and Checkpoint(str(folder), every=1))

    for seed in (True, False):
        with pytest.raises(ZeroDivisionError):
            run(tmp_path / str(seed), 8, seed)
    assert same(run(tmp_path / "True", 0, True), run(None, 0, True))
    with pytest.raises(DataError, match=r"generator=torch.Generator\(\).manual_seed\(0\)"):
        run(tmp_path / "False", 0, False)


class Sequence(lamina.utils.PyDataset):
    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, place):
        return BATCHES[place]


def generated():
    chance = np.random.default_rng(0)
    for rows in chance.permutation(90).reshape(6, 15):
        yield X[rows], Y[rows]


def of_files(folder):
    path = f"{folder}/rows.parquet"
    if not os.path.exists(path):
        names = {name: X[:, place] for place, name in enumerate("abc")}
        pyarrow.parquet.write_table(pyarrow.table({**names, "label": Y}), path, row_group_size=40)
    return lamina.utils.table_dataset(path, label="label", batch_size=16)


def of_tensorflow():
    return tensorflow.data.Dataset.from_tensor_slices((X, Y)).shuffle(90, seed=0).batch(16)


def seeded(rows):
    return DataLoader(rows, batch_size=16, shuffle=True, generator=torch.Generator().manual_seed(0))


SOURCES = {
    "DataLoader": lambda _: (seeded(Items()),),
    "DataLoader of tensors": lambda _: (seeded(tensors()),),
    "DataLoader without a seed": lambda _: (DataLoader(tensors(), batch_size=16, shuffle=True),),
    "Dataset": lambda _: (Items(),),
    "TensorDataset": lambda _: (tensors(),),
    "IterableDataset": lambda _: (Rows(),),
    "Hugging Face": lambda _: (table(), "label"),
    "Hugging Face, iterable": lambda _: (table().to_iterable_dataset(), "label"),
    "Grain": lambda _: (maps(0),),
    "Grain, iterable": lambda _: (maps(0).to_iter_dataset(),),
    "Grain, loader": lambda _: (loaded(0),),
    "tf.data": lambda _: (of_tensorflow(),),
    "table_dataset": lambda folder: (of_files(folder),),
    "generator": lambda _: (generated,),
    "list": lambda _: (BATCHES,),
    "PyDataset": lambda _: (Sequence(),),
}
"""What `fit` gets, from a folder that the runs share."""


class Kill(Callback):
    """Ends the process as a power cut does, at a step by chance."""

    def __init__(self, chance):
        self.chance = chance

    def on_train_batch_end(self, batch, logs=None):
        if random.SystemRandom().random() < self.chance:
            os.kill(os.getpid(), signal.SIGKILL)

    def get_config(self):
        return {}


def run_once(kind, shared, folder, chance, result):
    """Train in this process, and write the weights or the error into a file."""
    torch.seed()  # another one in each process
    try:
        keeping = Checkpoint(folder, every=1) if folder else None
        weights = trained(*SOURCES[kind](shared), callbacks=[Kill(chance)], checkpoint=keeping)
        text = np.concatenate([weight.ravel() for weight in weights]).tobytes().hex()
    except Exception as error:  # what it was is asserted in the other process
        text = f"{type(error).__name__}: {error}"
    Path(result).write_text(text)


@pytest.mark.parametrize("kind", SOURCES)
def test_ten_kills_at_random_steps_end_as_the_whole_run_or_with_the_error(tmp_path, kind, monkeypatch):
    path = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))  # before Python 3.13 nothing else tells it to the server
    processes = multiprocessing.get_context("forkserver")  # each run begins before JAX has threads
    processes.set_forkserver_preload(["real_streams"])

    def run(folder, chance):
        """The result, or None if the process was killed."""
        result = tmp_path / "result"
        process = processes.Process(target=run_once, args=(kind, str(tmp_path), folder, chance, str(result)))
        process.start()
        process.join(300)
        assert process.exitcode in (0, -signal.SIGKILL)
        return result.read_text() if process.exitcode == 0 else None

    whole, kills, turn, refused = run("", 0), 0, 0, 0
    assert "Error" not in whole
    while kills < 10:
        done = run(str(tmp_path / f"{turn}"), 0.15)
        if done is None:
            kills += 1
            continue
        turn += 1
        if kind == "DataLoader without a seed":
            refused += "DataError: the batches of x differ" in done
            assert "Error" not in done or "DataError: the batches of x differ" in done
        else:
            assert done == whole
    assert refused or kind != "DataLoader without a seed"
