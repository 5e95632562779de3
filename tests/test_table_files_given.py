"""Files with tables, given to `fit`, `evaluate` or `predict`: the error names the line that reads them, which works."""

import numpy as np
import pandas
import pyarrow.dataset
import pyarrow.parquet
import pytest

import lamina as keras
from lamina.errors import DataError

RNG = np.random.default_rng(0)
FRAME = pandas.DataFrame(RNG.normal(size=(64, 3)), columns=["a", "b", "label"])


def stack():
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def advised(call):
    with pytest.raises(DataError) as caught:
        call()
    return "keras.utils" + " ".join(str(caught.value).partition("keras.utils")[2].split())


@pytest.mark.parametrize("kind", ["csv", "parquet", "path", "folder", "dataset"])
def test_the_line_in_the_error_works(kind, tmp_path):
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "rows").mkdir()
    FRAME.to_parquet(tmp_path / "rows" / "0.parquet")
    parquet = str(tmp_path / "rows" / "0.parquet")
    x = {
        "csv": str(tmp_path / "rows.csv"), "parquet": parquet, "path": tmp_path / "rows.csv",
        "folder": tmp_path / "rows", "dataset": pyarrow.dataset.dataset(parquet),
    }[kind]  # fmt: skip
    model = stack()
    line = advised(lambda: model.fit(x, y="label", batch_size=8, verbose=0))
    model.fit(eval(line, {"keras": keras}), verbose=0)
    model.evaluate(eval(advised(lambda: model.evaluate(x, y="label")), {"keras": keras}), verbose=0)
    FRAME[["a", "b"]].to_csv(tmp_path / "rows.csv", index=False)
    FRAME[["a", "b"]].to_parquet(parquet)
    rows = eval(advised(lambda: model.predict(x)), {"keras": keras})
    want = model.predict(FRAME[["a", "b"]].to_numpy(), verbose=0)
    np.testing.assert_allclose(model.predict(rows, verbose=0), want, rtol=1e-5, atol=1e-6)  # in the files' order


def test_a_parquet_file_that_pyarrow_has_opened_is_refused_too(tmp_path):
    FRAME.to_parquet(tmp_path / "rows.parquet")
    file = pyarrow.parquet.ParquetFile(tmp_path / "rows.parquet")
    line = advised(lambda: stack().fit(file, verbose=0))
    assert line == "keras.utils.table_dataset('PATH', label='...', batch_size=32)"


def test_y_names_a_column_of_table_files(tmp_path):
    FRAME.to_parquet(tmp_path / "rows.parquet")
    losses = []
    for rows, y in (
        (keras.utils.table_dataset(tmp_path / "rows.parquet", shuffle=False), "label"),
        (keras.utils.table_dataset(tmp_path / "rows.parquet", label="label", shuffle=False), None),
    ):
        keras.utils.set_random_seed(0)
        losses.append(stack().fit(rows, y, verbose=0).history["loss"])
    assert losses[0] == losses[1]
