"""FeatureSpace: what a table's columns become, in a direct call and as the first layer of a stack."""

import pickle

import numpy as np
import pandas
import pytest

from lamina import Sequential, layers, models, utils
from lamina._data.raw_table import raw_table
from lamina._layer.host import adapt_on, needs_adapting

FeatureSpace = utils.FeatureSpace
TABLE = {
    "age": [30.0, 40.0, 50.0, 60.0] * 10,
    "city": ["Rome", "Oslo", "Rome", "Bonn"] * 10,
    "rooms": [3, 4, 3, 5] * 10,
}
KINDS = {"age": "float_normalized", "city": "string_categorical", "rooms": "integer_categorical"}
Y = np.arange(40.0, dtype="float32")


def stack(space):
    model = Sequential([space, layers.Dense(4, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


def adapted(table=TABLE, kinds=KINDS, **settings):
    space = FeatureSpace(features=kinds, **settings)
    space.adapt(table)
    return space


def test_a_stack_trains_on_a_frame_and_a_file_keeps_what_was_learned(tmp_path):
    model, frame = stack(adapted()), pandas.DataFrame(TABLE)
    assert len(model.fit(frame, Y, epochs=2, verbose=0).history["loss"]) == 2
    before = model.predict(frame, verbose=0)
    model.save(tmp_path / "model.keras")
    again = models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(frame[["rooms", "city", "age"]], verbose=0), before)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(frame, verbose=0), before)


def test_a_stack_adapts_itself_on_rows_of_a_raw_table():
    model, table = stack(FeatureSpace(features=KINDS)), raw_table(TABLE)
    assert needs_adapting(model) and not model.built
    adapt_on(model, table.take(slice(8)))
    assert not needs_adapting(model)
    assert model.predict(TABLE, verbose=0).shape == (40, 1)


@pytest.mark.parametrize("kind", ["dict", "pandas", "polars", "lazy", "pyarrow", "records", "structured"])
def test_tables_of_every_library_give_the_same(kind):
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(TABLE)
    table = {
        "dict": TABLE, "pandas": frame, "polars": polars.DataFrame(TABLE), "lazy": polars.LazyFrame(TABLE),
        "pyarrow": pyarrow.table(TABLE), "records": frame.to_dict("records"),
        "structured": frame.astype({"city": object}).to_records(index=False),
    }[kind]  # fmt: skip
    np.testing.assert_array_equal(adapted(table)(table), adapted()(TABLE))


def test_gaps_are_filled_with_the_median_and_flagged_and_are_a_category_of_their_own():
    table = {"age": [1.0, None, 3.0, 8.0], "city": ["Rome", None, "Oslo", "Rome"]}
    space = adapted(table, {"age": "float", "city": "string_categorical"})
    want = [[1, 0, 0, 1, 0, 0], [3, 1, 0, 0, 0, 1], [3, 0, 0, 0, 1, 0], [8, 0, 0, 1, 0, 0]]
    np.testing.assert_array_equal(space(table), want)
