"""Table files and a FeatureSpace: `adapt` takes their path, columns of numbers alone adapt too, and gaps are gaps."""

import numpy as np
import pandas
import pyarrow
import pytest

import lamina as keras
from lamina.errors import DataError

FeatureSpace = keras.utils.FeatureSpace
NUMBERS = pandas.DataFrame({"age": np.arange(90) * 1.5, "rooms": [1, 2, 3] * 30, "label": [0, 1] * 45})
WORDS = NUMBERS.assign(city=["Rome", "Oslo", None] * 30)


def space(table):
    kinds = {"age": "float_normalized", "rooms": "integer_categorical", "city": "string_categorical"}
    return FeatureSpace({name: kind for name, kind in kinds.items() if name in table})


def learned(adapted):
    return {name: each.get_config() for name, each in adapted._lamina.learned.items()}


@pytest.mark.parametrize("table", [NUMBERS, WORDS], ids=["numbers", "words"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_adapt_takes_a_path_and_a_dataset_of_files(table, ending, tmp_path):
    path = tmp_path / f"rows.{ending}"
    table.to_csv(path, index=False) if ending == "csv" else table.to_parquet(path)
    whole, by_path, by_dataset = space(table), space(table), space(table)
    whole.adapt(table)
    by_path.adapt(path)
    by_dataset.adapt(keras.utils.table_dataset(path, label="label"))
    assert learned(by_path) == learned(by_dataset) == learned(whole)
    for adapted in (by_path, by_dataset):
        np.testing.assert_allclose(np.sort(adapted(table), axis=1), np.sort(whole(table), axis=1), atol=1e-6)


@pytest.mark.parametrize("table", [NUMBERS, WORDS], ids=["numbers", "words"])
def test_fit_adapts_to_files_and_predicts_gaps_of_csv_as_those_of_a_frame(table, tmp_path):
    table.to_csv(tmp_path / "rows.csv", index=False)
    model = keras.Sequential([space(table), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(keras.utils.table_dataset(tmp_path / "rows.csv", label="label"), verbose=0)
    files = keras.utils.table_dataset(tmp_path / "rows.csv", shuffle=False)
    np.testing.assert_allclose(model.predict(files, verbose=0), model.predict(table, verbose=0), rtol=1e-5, atol=1e-6)


def test_a_batch_of_pyarrow_is_taken_and_a_reader_is_refused_with_what_works():
    table = pyarrow.Table.from_pandas(WORDS)
    adapted = space(WORDS)
    adapted.adapt(table)
    reader = table.to_reader()
    with pytest.raises(DataError, match=r"Make it a frame: data.read_all\(\)"):
        adapted(reader)
    np.testing.assert_array_equal(adapted(reader.read_all()), adapted(WORDS))
    np.testing.assert_array_equal(adapted(table.to_batches()[0]), adapted(WORDS))
