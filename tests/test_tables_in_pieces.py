"""Large tables are encoded in pieces by `predict`; the results, the errors and the time of one row are as before."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas
import pytest

import lamina as keras
from lamina._training import predict as predicting
from lamina.errors import DataError

RNG = np.random.default_rng(0)


def made(table, y):
    model = keras.Sequential([keras.utils.FeatureSpace.from_frame(table), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(table, y, verbose=0)
    return model


def table_of(rows):
    codes = [f"c{code}" for code in RNG.integers(0, 40, rows)]
    return pandas.DataFrame({"city": codes, "age": RNG.normal(size=rows), "rooms": RNG.integers(0, 5, rows)})


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(predicting, "ENCODED", 64)


@pytest.mark.parametrize("options", [{}, {"batch_size": 7}, {"steps": 5}, {"steps": 5, "batch_size": 30}])
def test_pieces_give_the_same_rows(options, monkeypatch, capsys):
    table = table_of(300)
    model = made(table, RNG.normal(size=300))
    whole = model.predict(table, verbose=0, **options)
    monkeypatch.setattr(predicting, "ENCODED", 64)
    np.testing.assert_allclose(model.predict(table, verbose=0, **options), whole, rtol=1e-5, atol=1e-6)


def test_an_error_says_the_row_of_the_whole_table(small_pieces):
    table = table_of(300)
    model = made(table, RNG.normal(size=300))
    table["age"] = table["age"].astype(object)
    table.loc[250, "age"] = "old"
    with pytest.raises(DataError, match="column 'age' holds numbers, and row 250 has 'old'"):
        model.predict(table, verbose=0)


def test_callbacks_see_all_batches_of_a_large_table(small_pieces):
    seen = []
    table = table_of(300)
    model = made(table, RNG.normal(size=300))
    told = keras.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(len(logs["outputs"])))
    model.predict(table, batch_size=40, callbacks=[told], verbose=0)
    assert seen == [40] * 7 + [20]


@pytest.mark.nightly
def test_one_row_of_a_frame_takes_at_most_two_milliseconds():
    table = table_of(2000).assign(**{f"n{i}": RNG.normal(size=2000) for i in range(10)})
    model = made(table, RNG.normal(size=2000))
    took = []
    for row in range(200):
        one = table.iloc[[row]]
        start = time.perf_counter()
        model.predict(one, verbose=0)
        took.append(time.perf_counter() - start)
    assert np.median(took) <= 2e-3


PROGRAM = """
import numpy as np, pandas
import lamina as keras
def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
rows, categories = 1_000_000, 10_000
table = pandas.DataFrame({"code": np.random.default_rng(0).integers(0, categories, rows)})
table.loc[:categories - 1, "code"] = np.arange(categories)
space = keras.utils.FeatureSpace({"code": "integer_categorical"})
model = keras.Sequential([space, keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(table[:20_000], np.zeros(20_000), verbose=0)
model.predict(table[:20_000], verbose=0)
open("/proc/self/clear_refs", "w").write("5")  # the peak is counted anew
before = peak()
assert model.predict(table, verbose=0).shape == (rows, 1)
print(peak() - before)
"""


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak is read from /proc")
def test_a_million_rows_of_ten_thousand_categories_take_little_memory():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert float(ran.stdout.split()[-1]) < 50  # MiB; as one-hot vectors they would take 37 GiB
