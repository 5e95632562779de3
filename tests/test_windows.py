"""Sources that give many batches at a time train as the same batches do one by one."""

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from dying import Die

from lamina import Sequential, layers
from lamina._data.windows import Window, Windows
from lamina.callbacks import Checkpoint
from lamina.utils import set_random_seed, table_dataset

ROWS, SIZE = 20_000, 48
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype("float32")
Y = (X @ [1, 2, 3]).astype("float32")


@pytest.fixture
def path(tmp_path):
    table = pyarrow.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "label": Y})
    pyarrow.parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=9000)
    return tmp_path / "rows.parquet"


def model():
    set_random_seed(1)
    made = Sequential([layers.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1)])
    made.compile("sgd", "mse", metrics=["mae"])
    return made


def trained(data, **settings):
    made = model()
    history = made.fit(data, verbose=0, **settings)
    return [*made.get_weights(), *map(np.array, history.history.values())]


def same(one, other):
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def single(dataset):
    """The same batches, which are made one by one."""
    return dataset.map(lambda x, y: (x, y))


@pytest.mark.parametrize("settings", [{"epochs": 2}, {"epochs": 5, "steps_per_epoch": 150}, {"steps_per_epoch": 1}])
@pytest.mark.filterwarnings("ignore:x ran out of batches")
def test_windows_train_as_their_batches(path, settings):
    dataset = table_dataset(path, label="label", batch_size=SIZE, window=8192, seed=3)
    assert len(list(dataset)[-1][0]) == ROWS % SIZE
    other = {"validation_data": dataset, "validation_steps": 3}
    assert same(trained(dataset, **settings, **other), trained(single(dataset), **settings, **other))
    ordered = table_dataset(path, label="label", batch_size=SIZE, window=8192, shuffle=False)
    made = model()
    assert made.evaluate(ordered, verbose=0) == made.evaluate(list(ordered), verbose=0)
    np.testing.assert_array_equal(made.predict(ordered, verbose=0), made.predict(list(ordered), verbose=0))


def test_a_fit_takes_no_single_batches_of_windows(path, monkeypatch):
    dataset = table_dataset(path, label="label", batch_size=SIZE, window=8192, seed=3)
    want = trained(dataset)
    monkeypatch.setattr(Windows, "__next__", None)
    assert same(trained(table_dataset(path, label="label", batch_size=SIZE, window=8192, seed=3)), want)


@pytest.mark.parametrize(("step", "steps"), [(417, None), (250, 150)])
@pytest.mark.filterwarnings("ignore:x ran out of batches", "ignore:a Dataset has no positions")
def test_a_run_goes_on_within_a_window(path, tmp_path, step, steps):
    def run(die, folder=None):
        dataset = table_dataset(path, label="label", batch_size=SIZE, window=8192)
        dataset = single(dataset) if folder is None else dataset
        keeping = folder and Checkpoint(str(folder), every=50)
        return trained(dataset, epochs=4, steps_per_epoch=steps, callbacks=[Die(die)], checkpoint=keeping)

    with pytest.raises(ZeroDivisionError):
        run(step, tmp_path / "kept")
    assert same(run(0, tmp_path / "kept"), run(0))


def test_a_window_gives_whole_batches_and_then_its_rest():
    x, order = np.arange(10), np.arange(10)[::-1]
    for given, want in ((None, x), (order, x[order])):
        windows = Windows([Window((x,), 3, 0, 10, given), Window((x,), 4, 2, 4, given)])
        taken = [windows.take(most) for most in (2, 5, 5, 5, 5)]
        assert [(window.steps, window.size) for window in taken[:4]] == [(2, 3), (1, 3), (1, 1), (1, 2)]
        assert taken[4] is None
        np.testing.assert_array_equal(np.concatenate([w.batches(0, w.steps)[0] for w in taken[:3]]), want)
        assert taken[0].after(1).steps == 1 and taken[0].after(9).steps == 0
        again = Windows([Window((x,), 3, 0, 10, given)])
        np.testing.assert_array_equal(np.concatenate(list(again)), want)
