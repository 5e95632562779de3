"""Data as users have them: `fit` takes each kind as it is, or says what to type, which then works."""

import re

import numpy as np
import pandas as pd
import pytest

import lamina as keras
from lamina import layers
from lamina.errors import LaminaError

polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
dataset, feather, parquet = (pytest.importorskip(f"pyarrow.{name}") for name in ("dataset", "feather", "parquet"))
RNG = np.random.default_rng(0)
X = RNG.normal(size=(48, 2))
Y = (X[:, 0] > 0).astype("int32")
NUMBERS = pd.DataFrame(X, columns=["a", "b"])
MIXED = NUMBERS.assign(t=RNG.choice(["red", "green"], 48))
BATCHES = range(0, 48, 16)


class Rows:
    """A dataset whose items are rows, of no library."""

    def __len__(self):
        return 48

    def __getitem__(self, place):
        return X[place], Y[place]


class Sequence(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, place):
        return X[16 * place :][:16], Y[16 * place :][:16]


def batches(x=X):
    return ((x[at : at + 16], Y[at : at + 16]) for at in BATCHES)


def files():
    """Files in the folder that the test runs in."""
    for table, name in ((MIXED, "mixed"), (NUMBERS, "numbers")):
        table.assign(label=Y).to_csv(f"{name}.csv", index=False)
        table.assign(label=Y).to_parquet(f"{name}.parquet")
    NUMBERS.assign(label=Y).to_csv("numbers.csv.gz", index=False)
    feather.write_feather(pyarrow.Table.from_pandas(NUMBERS.assign(label=Y)), "numbers.feather")
    NUMBERS.assign(label=Y).to_json("numbers.json")


KINDS = {"a": "float_normalized", "b": "float", "t": "string_categorical"}
NUMBERS_TAKEN = {
    "frame": lambda: (NUMBERS, pd.Series(Y)), "series of text as y": lambda: (NUMBERS, MIXED["t"]),
    "batch of pyarrow": lambda: (pyarrow.RecordBatch.from_pandas(NUMBERS), Y),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "sparse columns": lambda: (NUMBERS.astype(pd.SparseDtype("float")), Y),
    "sparse": lambda: (pytest.importorskip("scipy.sparse").csr_matrix(X), Y), "objects": lambda: (X.astype(object), Y),
    "generator": lambda: (batches(), None), "function": lambda: (batches, None),
    "PyDataset": lambda: (Sequence(), None),
    "list of batches": lambda: ([*batches()], None),
    "table files": lambda: (keras.utils.table_dataset("numbers.csv", label="label", batch_size=16), None),
}  # fmt: skip
TABLES_TAKEN = {
    "frame": lambda: (MIXED, pd.DataFrame({"y": Y})), "polars": lambda: (polars.from_pandas(MIXED), Y),
    "polars, lazy": lambda: (polars.from_pandas(MIXED).lazy(), Y), "objects": lambda: (MIXED.astype(object), Y),
    "pyarrow": lambda: (pyarrow.Table.from_pandas(MIXED), pyarrow.array(Y)),
    "batch of pyarrow": lambda: (pyarrow.RecordBatch.from_pandas(MIXED), pyarrow.chunked_array([Y])),
    "dict": lambda: (MIXED.to_dict("list"), Y), "list of dicts": lambda: (MIXED.to_dict("records"), Y.tolist()),
    "records": lambda: (MIXED.to_records(index=False), Y), "label by name": lambda: (MIXED.assign(label=Y), "label"),
    "generator": lambda: (batches(MIXED), None),
    "table files": lambda: (keras.utils.table_dataset("mixed.csv", label="label", batch_size=16), None),
    "table files and y": lambda: (keras.utils.table_dataset("mixed.parquet", batch_size=16), "label"),
}  # fmt: skip
ADVISED = {
    "a path": lambda: ("numbers.csv", "label"), "a path, packed": lambda: ("numbers.csv.gz", "label"),
    "a path of Parquet": lambda: ("numbers.parquet", "label"), "a path of Arrow": lambda: ("numbers.feather", "label"),
    "a path of text": lambda: ("mixed.csv", "label"), "another file": lambda: ("numbers.json", "label"),
    "pyarrow.dataset": lambda: (dataset.dataset("numbers.parquet"), "label"),
    "frame with text": lambda: (MIXED, Y), "records": lambda: (MIXED.to_records(index=False), Y),
    "list of dicts": lambda: (NUMBERS.to_dict("records"), Y), "dict": lambda: (NUMBERS.to_dict("list"), Y),
    "polars, lazy": lambda: (polars.from_pandas(NUMBERS).lazy(), Y),
    "masked": lambda: (np.ma.masked_array(X, X > 2), Y),
    "rows": lambda: ([*zip(X, Y, strict=True)], None), "a dataset of rows": lambda: (Rows(), None),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_folder_with_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files()


def fit(x, y, first=()):
    model = keras.Sequential([*first, layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    return model.fit(x, y, verbose=0).history["loss"]


@pytest.mark.nightly
@pytest.mark.parametrize("kind", NUMBERS_TAKEN)
def test_numbers_are_taken_as_they_are(kind):
    assert np.isfinite(fit(*NUMBERS_TAKEN[kind]()))


@pytest.mark.nightly
@pytest.mark.parametrize("kind", TABLES_TAKEN)
def test_tables_are_taken_as_they_are(kind):
    assert np.isfinite(fit(*TABLES_TAKEN[kind](), [keras.utils.FeatureSpace(KINDS)]))


CODE = re.compile(
    r"keras\.utils\.FeatureSpace\.from_frame\(x\)|keras\.utils\.table_dataset\(.*?\)|x\.collect\(\)|x\.filled\(0\)|"
    r"x, y = map\(numpy\.stack, zip\(\*x\)\)|x = pandas\.read_\w+\(.*?\)"
)


@pytest.mark.parametrize("kind", ADVISED)
def test_the_advice_of_the_error_works_when_it_is_typed(kind, capsys):
    x, y = ADVISED[kind]()
    for _ in range(3):
        with pytest.raises(LaminaError) as caught:
            fit(x, y)
        code = CODE.search(" ".join(str(caught.value).split()))
        assert code, str(caught.value)
        typed = {"keras": keras, "numpy": np, "pandas": pd, "x": x, "y": y}
        exec(code[0] if " = " in code[0] else f"made = {code[0]}", typed)
        if "from_frame" in code[0]:
            assert np.isfinite(fit(x, y, [typed["made"]]))
            return
        x, y = typed.get("made", typed["x"]), None if "table_dataset" in code[0] else typed["y"]
        try:
            assert np.isfinite(fit(x, y))
            return
        except LaminaError:  # a second advice, such as that for text in a file
            x = next(iter(x))[0] if "table_dataset" in code[0] else x
            y = Y[: len(x)]
    raise AssertionError(kind)


@pytest.mark.parametrize("x", [NUMBERS.groupby("a"), object(), 3.0, {1, 2}], ids=["groups", "object", "number", "set"])
def test_what_is_no_data_is_our_error(x):
    with pytest.raises(LaminaError):
        fit(x, Y)
