"""Datasets whose items are rows, loaders over tensors, and targets that are a column.

The classes here stand for those of torch and of Hugging Face, and have their modules; `real_streams.py` has these
themselves.
"""

import warnings

import numpy as np
import pandas
import polars
import pyarrow
import pytest

from lamina import Sequential, layers
from lamina._data import row_sources
from lamina._data.stream import Stream
from lamina.callbacks import Callback, Checkpoint
from lamina.errors import DataError, LaminaWarning
from lamina.utils import set_random_seed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype("float32")
Y = (X @ [1, 2, 3]).astype("float32")
COLUMNS = {name: X[:, place] for place, name in enumerate("abc")} | {"label": Y}


def of(module, name, *bases, **attributes):
    return type(name, bases, {"__module__": module, **attributes})


Data = of("torch.utils.data.dataset", "Dataset")
Iterable = of("torch.utils.data.dataset", "IterableDataset", Data)


class Tensor:
    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


TensorDataset = of("torch.utils.data.dataset", "TensorDataset", Data, tensors=[Tensor(X), Tensor(Y)])


class Items(Data):
    """Rows by their numbers."""

    def __len__(self):
        return len(X)

    def __getitem__(self, place):
        return X[place], Y[place]


class Together(Items):
    """Rows by their numbers, several at a time."""

    def __getitems__(self, places):
        return [self[place] for place in places]


class OneByOne(Iterable):
    def __init__(self):
        self.at = 0

    def __iter__(self):
        while self.at < len(X):
            self.at += 1
            yield X[self.at - 1], Y[self.at - 1]
        self.at = 0

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


class Columns(of("datasets.arrow_dataset", "Dataset")):
    """Rows by their numbers, as a dict of columns."""

    format = {"type": None}
    shape = (50, 4)

    def __init__(self, columns):
        self.columns = columns

    def with_format(self, form):
        assert form == "numpy"
        return self

    def __len__(self):
        return len(X)

    def __getitem__(self, places):
        return {name: column[places] for name, column in self.columns.items()}


def trained(*data, **settings):
    set_random_seed(1)
    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(*data, epochs=2, verbose=0, **settings)
    return [*model.get_weights(), *history.history["loss"]]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_tensors_of_a_dataset_are_arrays():
    want = trained(X, Y, batch_size=8, validation_split=0.2)
    assert same(trained(TensorDataset(), batch_size=8, validation_split=0.2), want)
    model = Sequential([layers.Dense(1)])
    assert model.predict(TensorDataset(), verbose=0).shape == (50, 1)


@pytest.mark.parametrize("rows", [Items(), Together(), OneByOne()], ids=["items", "together", "one by one"])
def test_rows_become_batches(rows):
    assert same(trained(rows, batch_size=8, shuffle=False), trained(X, Y, batch_size=8, shuffle=False))
    assert [table.rows for table in Stream(rows).epoch()] == [32, 18]


def test_rows_by_number_are_shuffled_by_the_seed():
    once = trained(Items(), batch_size=8)
    assert same(once, trained(Together(), batch_size=8)) and not same(
        once, trained(Items(), batch_size=8, shuffle=False)
    )
    orders = row_sources.Rows(Items(), 8)
    seen = [np.concatenate(list(orders.places(np.random.default_rng(seed)))).tolist() for seed in (0, 1)]
    assert sorted(seen[0]) == sorted(seen[1]) == list(range(50)) and seen[0] != seen[1]


def test_a_column_is_the_target_in_every_kind_of_table():
    want = trained(X, Y, batch_size=8, shuffle=False)
    tables = COLUMNS, pandas.DataFrame(COLUMNS), polars.DataFrame(COLUMNS), pyarrow.table(COLUMNS), Columns(COLUMNS)
    for table in tables[1:]:
        assert same(trained(table, "label", batch_size=8, shuffle=False), want), type(table)
    batches = [{name: column[start : start + 8] for name, column in COLUMNS.items()} for start in range(0, 50, 8)]
    assert same(trained(iter(batches * 2), "label", steps_per_epoch=7), want)
    frames = [pandas.DataFrame(batch) for batch in batches]
    assert same(trained(lambda: iter(frames), "label"), want)
    assert trained(tables[1], "label", validation_data=tables[4])


def test_a_column_that_is_not_there_is_named():
    frame = pandas.DataFrame(COLUMNS)
    with pytest.raises(DataError, match=r"y='income': x has no such column. It has 'a', 'b', 'c', 'label'"):
        trained(frame, "income")
    with pytest.raises(DataError, match=r"y='income': batch 0 of x has no such column"):
        trained(Columns(COLUMNS), "income")
    with pytest.raises(DataError, match="y='label' names a column of x, and x is a ndarray without names"):
        trained(X, "label")
    with pytest.raises(DataError, match=r"batch 0 of x has 2 columns, and a row of 'b' \(3,\) is not a number"):
        trained(Columns({"a": Y, "b": X, "label": Y}), "label")


class Batches(of("torch.utils.data.dataloader", "DataLoader")):
    """A loader over tensors that counts the batches that it makes itself."""

    batch_size, num_workers, multiprocessing_context, batch_sampler, dataset = 8, 0, None, True, TensorDataset()
    made = 0

    def collate_fn(self):
        raise AssertionError

    def __len__(self):
        return 7

    def __iter__(self):
        return Iterating(self)


Batches.collate_fn.__name__ = "default_collate"
Batches.__name__, Batches.__module__ = "DataLoader", "torch.utils.data.dataloader"


class Iterating:
    def __init__(self, loader):
        self.loader = loader
        self._sampler_iter = iter(np.split(np.arange(50), range(8, 50, 8)))

    def __iter__(self):
        return self

    def __next__(self):
        places = next(self._sampler_iter)
        self.loader.made += 1
        return [X[places], Y[places]]


def test_a_loader_over_tensors_does_not_load_row_by_row():
    loader, want = Batches(), trained(X, Y, batch_size=8, shuffle=False)
    assert same(trained(loader), want) and loader.made == 0
    loader.collate_fn = lambda rows: rows  # a user's own
    assert same(trained(loader), want) and loader.made == 14


def test_a_size_of_its_own_is_said():
    with pytest.warns(LaminaWarning, match="batch_size=4 has no effect: the batches of x have 8 rows of") as told:
        trained(Batches(), batch_size=4)
    assert len(told) == 1
    trained(Batches(), batch_size=8)
    model = Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    for call in (model.evaluate, model.predict):
        with pytest.warns(LaminaWarning, match="batch_size=4 has no effect: the batches of x have 8 rows of") as told:
            call(Batches(), batch_size=4, verbose=0)
        assert len(told) == 1
        call(Batches(), batch_size=8, verbose=0)
        call([(X[:8], Y[:8]), (X[:3], Y[:3])], batch_size=8, verbose=0)
    model.fit(X, Y, batch_size=4, validation_data=Batches(), verbose=0)  # it has an effect on the training
    with pytest.warns(LaminaWarning, match="validation_batch_size=4 has no effect: the batches of validation_data"):
        model.fit(X, Y, validation_batch_size=4, validation_data=Batches(), verbose=0)


def test_workers_that_fork_are_said_once(monkeypatch):
    monkeypatch.setattr(row_sources, "_said", set())
    monkeypatch.setattr(row_sources.multiprocessing, "get_start_method", lambda: "fork")
    loader = Batches()
    loader.num_workers = 2

    def of_python_and_of_jax():
        Stream(loader)
        warnings.warn("(pid=1) is multi-threaded, use of fork() may lead to deadlocks", DeprecationWarning, 2)
        warnings.warn("os.fork() was called. os.fork() is incompatible with", RuntimeWarning, 2)

    with pytest.warns(LaminaWarning, match=r'DataLoader\(..., multiprocessing_context="spawn"\)') as told:
        of_python_and_of_jax()
    assert len(told) == 1
    Stream(loader)
    row_sources._said.clear()
    loader.multiprocessing_context = row_sources.multiprocessing.get_context("spawn")
    Stream(loader)


@pytest.mark.parametrize("kind", [Items, OneByOne])
def test_a_resumed_run_goes_on_at_its_row(tmp_path, kind):
    def fit(*callbacks):
        keeping = Checkpoint(str(tmp_path), every=1)
        return trained(kind(), batch_size=8, callbacks=[*callbacks, Unrelated()], checkpoint=keeping)

    want = trained(kind(), batch_size=8)
    with pytest.raises(ZeroDivisionError):
        fit(Die())
    assert same(fit(), want)


class Unrelated(Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class Die(Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 4:
            raise ZeroDivisionError
