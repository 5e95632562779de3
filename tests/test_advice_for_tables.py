"""Tables that a stack of numbers refuses: the code that each error prints is typed literally, and then works."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import lamina as keras
from lamina.errors import DataError

polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
RNG = np.random.default_rng(0)
ROWS = 40
A, B = RNG.normal(size=ROWS), RNG.normal(size=ROWS)
WORDS = RNG.choice(["red", "green"], ROWS)
GAPS = np.where(np.arange(ROWS) % 7 == 0, np.nan, B)
Y = RNG.normal(size=ROWS)
FRAME = pd.DataFrame({"a": A, "b": B})
MIXED = np.array([1, "x", 2.5, None] * 10, object)

ADVISED = {
    "text": FRAME.assign(b=WORDS), "category": FRAME.assign(b=pd.Categorical(WORDS)), "gaps": FRAME.assign(b=GAPS),
    "nullable whole numbers": FRAME.assign(b=pd.array([1, None] * 20, "Int64")),
    "nullable booleans": FRAME.assign(b=pd.array([True, None] * 20, "boolean")),
    "dates": FRAME.assign(b=pd.date_range("2020-01-01", periods=ROWS)),
    "dates of a time zone": FRAME.assign(b=pd.date_range("2020-01-01", periods=ROWS, tz="Europe/Rome")),
    "durations": FRAME.assign(b=pd.to_timedelta(np.arange(ROWS), "min")),
    "numbers in quotes": FRAME.assign(b=[f"{b:.3f}" for b in B]), "text with gaps": FRAME.assign(b=["x", None] * 20),
    "polars": polars.DataFrame({"a": A, "b": WORDS}),
    "polars with gaps": polars.DataFrame({"a": A, "b": [1, None] * 20}),
    "polars dates": polars.DataFrame({"a": A, "b": pd.date_range("2020-01-01", periods=ROWS).to_numpy()}),
    "polars durations": polars.DataFrame({"a": A, "b": pd.to_timedelta(np.arange(ROWS), "min").to_numpy()}),
    "pyarrow": pyarrow.table({"a": A, "b": WORDS}), "pyarrow with gaps": pyarrow.table({"a": A, "b": [1, None] * 20}),
    "dict": {"a": A, "b": WORDS}, "dict of lists": {"a": A.tolist(), "b": WORDS.tolist()},
}  # fmt: skip


def fitted(first, x):
    model = keras.Sequential([*first, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, Y, verbose=0)
    return model


@pytest.mark.parametrize("kind", ADVISED)
def test_the_advice_works_when_it_is_typed(kind, capsys):
    x = ADVISED[kind]
    with pytest.raises(DataError) as caught:
        fitted([], x)
    message = " ".join(str(caught.value).split())
    code = re.search(r"keras\.utils\.FeatureSpace\.from_frame\(x(, \{.*?\})?\)", message)
    assert code, message
    model = fitted([eval(code[0], {"keras": keras, "x": x})], x)
    assert np.isfinite(model.predict(x, verbose=0)).all()


WITH_A_SPACE = {
    "an index in another order": FRAME[["b", "a"]].iloc[::-1], "more columns": FRAME.assign(c=WORDS),
    "numbers as text": FRAME.astype(str), "objects": FRAME.astype(object),
    "lazy": polars.LazyFrame(FRAME.to_dict("list")),
    "records": FRAME.to_dict("records"), "gaps": FRAME.assign(b=GAPS),
}  # fmt: skip


@pytest.mark.parametrize("kind", WITH_A_SPACE)
def test_a_model_takes_other_forms_of_its_table(kind):
    model = fitted([keras.utils.FeatureSpace({"a": "float", "b": "float"})], FRAME)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gaps that training had not
        got = model.predict(WITH_A_SPACE[kind], verbose=0)
    want = model.predict(FRAME, verbose=0)
    want = want[::-1] if "order" in kind else want
    keep = ~np.isnan(GAPS) if kind == "gaps" else slice(None)
    np.testing.assert_allclose(got[keep], want[keep], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (FRAME.rename(columns={"b": "c"}), "needs the columns 'b', and the table has 'a', 'c'"),
        (FRAME[["a"]], "needs the columns 'b', and the table has 'a'"),
        (pd.concat([FRAME, FRAME[["b"]]], axis=1), "two columns called 'b'"),
        (FRAME.assign(b=MIXED), "column 'b' holds numbers, and row 1 has 'x'"),
        (
            FRAME.assign(b=np.where(np.arange(ROWS) == 3, np.inf, B)),
            "holds finite numbers, and row 3 has inf",
        ),
        (FRAME.to_numpy(), "is an array of shape"),
    ],
    ids=["renamed", "missing", "twice", "mixed", "infinite", "array"],
)
def test_what_a_model_of_tables_refuses_is_named_and_changes_nothing(x, said):
    model = fitted([keras.utils.FeatureSpace({"a": "float", "b": "float"})], FRAME)
    before = model.get_weights()
    for call in (lambda: model.fit(x, Y, verbose=0), lambda: model.predict(x, verbose=0)):
        with pytest.raises(DataError, match=said):
            call()
    assert all(map(np.array_equal, before, model.get_weights()))


def test_a_column_that_is_all_empty_is_left_out_as_advised():
    x = FRAME.assign(b=np.nan)
    with pytest.raises(DataError, match="column 'b' is empty in all 40 rows"):
        keras.utils.FeatureSpace.from_frame(x)
    fitted([keras.utils.FeatureSpace.from_frame(x, {"b": None})], x)
