"""Parquet, CSV and Arrow files as a dataset of batches."""

import subprocess
import sys

import numpy as np
import pandas
import pyarrow
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

from lamina import Sequential, layers
from lamina.callbacks import Callback, Checkpoint
from lamina.errors import DataError, LaminaWarning
from lamina.utils import FeatureSpace, set_random_seed, table_dataset

RNG = np.random.default_rng(0)
ROWS = 20_000
X = RNG.normal(size=(ROWS, 3)).astype("float32")
Y = RNG.integers(0, 3, ROWS).astype("int32")
TABLE = pyarrow.table({"a": X[:, 0], "label": Y, "b": X[:, 1], "c": X[:, 2]})


@pytest.fixture
def files(tmp_path):
    """Two Parquet files, the first of three row groups."""
    pyarrow.parquet.write_table(TABLE.slice(0, 12_000), tmp_path / "0.parquet", row_group_size=4000)
    pyarrow.parquet.write_table(TABLE.slice(12_000), tmp_path / "1.parquet")
    return str(tmp_path / "*.parquet")


def whole(dataset):
    x, y = zip(*dataset, strict=True)
    return np.concatenate(x), np.concatenate(y)


def test_batches_are_the_rows_in_their_order(files, tmp_path):
    pyarrow.csv.write_csv(TABLE, tmp_path / "rows.csv")
    pandas.DataFrame(TABLE.to_pandas()).to_csv(tmp_path / "rows.csv.gz", index=False)
    pyarrow.feather.write_feather(TABLE, tmp_path / "rows.arrow")
    both = [str(tmp_path / f"{number}.parquet") for number in range(2)]
    for given in (files, both, tmp_path / "rows.csv", tmp_path / "rows.csv.gz", tmp_path / "rows.arrow"):
        x, y = whole(dataset := table_dataset(given, label="label", batch_size=48, shuffle=False))
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)
        assert {len(batch) for batch, _ in dataset} == {48, ROWS % 48}
        assert dataset.cardinality() == (-2 if "csv" in str(given) else -(-ROWS // 48))
    x = np.concatenate(list(table_dataset(files, shuffle=False)))
    np.testing.assert_array_equal(x[:, [0, 2, 3]], X)


def test_the_order_is_a_function_of_the_seed_and_the_pass(files):
    def passes(seed):
        set_random_seed(5)
        dataset = table_dataset(files, label="label", batch_size=512, seed=seed)
        return [whole(dataset)[0] for _ in range(2)]

    (first, second), again, other = passes(1), passes(1), passes(2)
    assert np.array_equal(first, again[0]) and np.array_equal(second, again[1])
    assert not np.array_equal(first, second) and not np.array_equal(first, other[0])
    for each in (first, second, other[0]):
        np.testing.assert_array_equal(np.sort(each, axis=0), np.sort(X, axis=0))
    moved = np.abs(np.argsort(first[:, 0]) - np.argsort(X[:, 0]))
    assert np.median(moved) > 1000


def test_text_in_the_label_column_is_numbered(tmp_path):
    words = np.array(["no", "maybe", "yes"])[Y]
    for number, column in enumerate((pyarrow.array(words), pyarrow.array(words).dictionary_encode())):
        path = str(tmp_path / f"{number}.parquet")
        pyarrow.parquet.write_table(TABLE.set_column(1, "label", column), path)
        dataset = table_dataset(path, label="label", shuffle=False)
        assert dataset.class_names == ["maybe", "no", "yes"]
        assert [dataset.class_names[place] for place in whole(dataset)[1]] == words.tolist()


def model(*first):
    set_random_seed(1)
    made = Sequential([*first, layers.Dense(3, activation="softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy")
    return made


def test_a_fit_is_that_on_arrays_and_resumes(files, tmp_path):
    def fit(data, *callbacks, **settings):
        made = model(layers.Input((3,)))
        made.fit(data, epochs=2, verbose=0, callbacks=[Every(), *callbacks], **settings)
        return made.get_weights()

    ordered = fit(table_dataset(files, label="label", batch_size=500, shuffle=False))
    made = model(layers.Input((3,)))
    made.fit(X, Y, batch_size=500, epochs=2, shuffle=False, verbose=0)
    assert all(map(np.array_equal, ordered, made.get_weights()))
    shuffled = fit(table_dataset(files, label="label", batch_size=500))
    with pytest.raises(ZeroDivisionError):
        fit(table_dataset(files, label="label", batch_size=500), Die(), checkpoint=Checkpoint(str(tmp_path / "c"), 7))
    again = fit(table_dataset(files, label="label", batch_size=500), checkpoint=Checkpoint(str(tmp_path / "c"), 7))
    assert all(map(np.array_equal, shuffled, again)) and not np.array_equal(ordered[0], shuffled[0])


class Every(Callback):
    def on_train_batch_end(self, batch, logs=None):
        pass


class Die(Callback):
    def __init__(self):
        self.last = None

    def on_epoch_end(self, epoch, logs=None):
        self.last = epoch

    def on_train_batch_end(self, batch, logs=None):
        if batch == 25 and self.last is not None:
            raise ZeroDivisionError


def test_a_table_of_any_columns_goes_through_a_feature_space(tmp_path):
    frame = pandas.DataFrame({"size": X[:, 0], "kind": np.array(["p", "q"])[Y % 2], "label": Y})
    frame.to_parquet(tmp_path / "rows.parquet")
    space = FeatureSpace(features={"size": "float_normalized", "kind": "string_categorical"}, output_mode="concat")
    space.adapt(frame.drop(columns="label"))
    made, plain = model(space), model(FeatureSpace.from_config(space.get_config()))
    plain.layers[0].adapt(frame.drop(columns="label"))
    made.fit(table_dataset(tmp_path / "rows.parquet", label="label", batch_size=64, shuffle=False), verbose=0)
    plain.fit(frame.drop(columns="label"), Y, batch_size=64, shuffle=False, verbose=0)
    for one, other in zip(made.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_rows_are_encoded_many_at_a_time(files):
    counts = []

    def encode(table):
        counts.append(len(table))
        return np.zeros((len(table), 1), "float32")

    for _ in table_dataset(files, label="label", window=8192)._lamina_encoded(encode):
        pass
    assert counts == [8192] * 2 + [ROWS - 2 * 8192]


def test_sorted_files_are_said(tmp_path):
    path = str(tmp_path / "sorted.parquet")
    order = np.argsort(Y, kind="stable")
    pyarrow.parquet.write_table(TABLE.take(order), path)
    with pytest.warns(LaminaWarning, match=r"sorted by 'label'.*table_dataset\(\.\.\., window=131072\)"):
        table_dataset(path, label="label", window=8192)
    table_dataset(path, label="label", window=131072)
    table_dataset(path, label="label", window=8192, shuffle=False)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda files: table_dataset("nothing/*.parquet"), "there is no file 'nothing/\\*.parquet'"),
        (lambda files: table_dataset(files, label="income"), "no such column. They have a, label, b, c"),
        (lambda files: table_dataset(__file__), "reads files of one kind, Parquet, CSV or Arrow"),
    ],
)
def test_wrong_files_are_refused(files, make, told):
    with pytest.raises(DataError, match=told):
        make(files)


def test_files_that_differ(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2], "label": [0, 1]}), tmp_path / "0.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"a": [0.5, None], "label": [0, 1]}), tmp_path / "1.parquet")
    x, _ = whole(table_dataset(tmp_path, label="label", shuffle=False))
    np.testing.assert_array_equal(x, [[1], [2], [0.5], [np.nan]])
    pyarrow.parquet.write_table(pyarrow.table({"b": [0.5], "label": [0]}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"(?s)2.parquet and.*0.parquet differ in the columns a, b"):
        table_dataset(tmp_path, label="label")
    (tmp_path / "2.parquet").unlink()
    pyarrow.parquet.write_table(pyarrow.table({"a": [0.5], "label": [None]}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match="the label 'label' has 1 gaps"):
        whole(table_dataset(tmp_path, label="label"))


LARGE = """
import resource, sys
import lamina
dataset = lamina.utils.table_dataset(sys.argv[1], label="label", batch_size=512)
model = lamina.Sequential([lamina.layers.Dense(8, activation="relu"), lamina.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(dataset, verbose=0)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.nightly
def test_a_file_of_a_gigabyte_adds_at_most_300_megabytes(tmp_path):
    path = tmp_path / "large.parquet"
    schema = pyarrow.schema([*((f"c{place}", pyarrow.float32()) for place in range(30)), ("label", pyarrow.float32())])
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        for _ in range(9):
            columns = RNG.normal(size=(31, 1_000_000)).astype("float32")
            writer.write_table(pyarrow.table(list(columns), schema=schema))
    assert path.stat().st_size > 1e9
    small = tmp_path / "small.parquet"
    pyarrow.parquet.write_table(pyarrow.table(list(columns[:, :50_000]), schema=schema), small)

    def peak(file):
        done = subprocess.run([sys.executable, "-c", LARGE, file], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert peak(path) - peak(small) <= 300
