"""FeatureSpace: what a table's columns become, in a direct call and as the first layer of a stack."""

import pickle
import tracemalloc
import warnings
from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas
import pytest

from lamina import Sequential, layers, models, utils
from lamina._data.raw_table import raw_table
from lamina._layer.host import adapt_on, needs_adapting
from lamina.errors import ArgumentError, DataError, LaminaWarning, NotAdaptedError, ShapeError, StackError
from lamina.layers.feature_space.encoding import unknowns

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
    adapt_on(model, table[:8])
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


def test_a_category_never_seen_adds_nothing_also_before_batch_normalization():
    model = Sequential([adapted(), layers.BatchNormalization(), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(TABLE, Y, epochs=3, verbose=0)
    scale = model.layers[1]
    new = {"age": [45.0], "city": ["Paris"], "rooms": [3]}
    seen = model.layers[0]._lamina_host(new)
    want = np.asarray(model.layers[0](new)).copy()
    want[0, 1] = 0  # the slot of unknown cities, which no row of training had
    np.testing.assert_allclose(model.predict(new, verbose=0), model.layers[2](scale(want, training=False)), rtol=1e-5)
    assert -1 in seen and np.abs(model.predict(new, verbose=0)).max() < 100


def test_rare_categories_share_a_trained_slot_with_those_never_seen():
    space = adapted(kinds={"city": FeatureSpace.string_categorical(max_tokens=3)})
    rows = space._lamina_host({"city": ["Bonn", "Paris", "Rome", "Oslo"]})
    np.testing.assert_array_equal(rows.ravel(), [0, 0, 1, 2])


def test_categories_never_seen_are_told_once_over_a_thousand_rows():
    space = adapted({"town": ["Rome", "Oslo"]}, {"town": "string_categorical"})
    unknowns.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space._lamina_host({"town": ["Paris", "Rome"] * 250})
    with pytest.warns(LaminaWarning, match="column 'town': 500 of 1,000 rows have a category .*'Paris'"):
        space._lamina_host({"town": ["Paris", "Rome"] * 250})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space._lamina_host({"town": ["Paris", "Rome"] * 2500})


def test_a_gap_first_seen_after_training_is_the_median_and_told_in_one_line():
    space = adapted({"height": [1.0, 2.0, 30.0]}, {"height": "float"})
    with pytest.warns(LaminaWarning, match="column 'height' has gaps, .* median, 2") as told:
        np.testing.assert_array_equal(space({"height": [None, 5.0]}), [[2], [5]])
    assert str(told[0].message).count("\n") == 0


@pytest.mark.parametrize(
    ("kind", "trained", "later"),
    [
        ("integer_categorical", [3, 4, 5], pandas.Series([3.0, np.nan, 5.0])),
        ("integer_categorical", [3, 4, 5], ["3", "4", "5"]),
        ("string_categorical", ["3", "4", "5"], [3, 4, 5]),
        ("string_categorical", ["3", "4", "5"], [3.0, 4.0, 5.0]),
        ("float", [True, False, True], ["True", "False", "true"]),
        ("float", [1.0, 2.0, 3.0], ["1", " 2", "3.0"]),
        ("float_normalized", [1.0, 2.0, 3.0], [Decimal(1), Decimal(2), Decimal(3)]),
        ("string_categorical", ["a", "b"], [b"a", b"b"]),
        ("string_categorical", ["a", "b"], pandas.Categorical(["a", "b"])),
        ("date", ["2020-01-31", "2021-06-01"], [datetime(2020, 1, 31), datetime(2021, 6, 1)]),
    ],
)
def test_kinds_that_drift_between_files_are_taken_as_the_kind_of_the_column(kind, trained, later):
    space = adapted({"a": trained}, {"a": kind})
    later = pandas.Series(later) if isinstance(later, pandas.Categorical) else later
    want, rows = np.asarray(space({"a": trained})), np.asarray(space._lamina_host({"a": later}))
    keep = ~pandas.isna(pandas.Series(list(later))).to_numpy()
    np.testing.assert_array_equal(rows[keep], np.asarray(space._lamina_host({"a": trained}))[keep])
    assert len(want) == len(rows)


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("float", [1.0, 2.0, "abc"], "column 'a' holds numbers, and row 2 has 'abc'"),
        ("integer_categorical", [1, 2.5, 3], "column 'a' holds whole numbers, and row 1 has 2.5"),
        ("float", [1.0, np.inf], "column 'a' holds finite numbers, and row 1 has inf"),
        ("float", [None, None], "column 'a' is empty in all 2 rows"),
        ("date", ["2020-01-31", "31.1.2020"], "column 'a' holds dates, and row 1 has '31.1.2020'"),
    ],
)
def test_values_that_do_not_fit_are_named_with_their_row_and_nothing_changes(kind, values, said):
    space = FeatureSpace(features={"a": kind})
    with pytest.raises(DataError, match=said):
        space.adapt({"a": values})
    assert space._lamina.learned is None


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: FeatureSpace({}), ArgumentError, "expected the kind of each column"),
        (lambda: FeatureSpace({"a": "floats"}), ArgumentError, "Did you mean 'float'"),
        (lambda: FeatureSpace({"a": "float"}, output_mode="dict"), ArgumentError, "a stack hands on one tensor"),
        (lambda: FeatureSpace({"a": "float"}, crosses=[("a", "b")]), ArgumentError, "'b' is none of the features"),
        (
            lambda: FeatureSpace({"a": "float", "b": "string_hashed"}, crosses=[("a", "b")]),
            ArgumentError,
            "discretized",
        ),
        (lambda: FeatureSpace({"a": FeatureSpace.string_hashed(3, "int")}), ArgumentError, "Take 'one_hot'"),
        (lambda: FeatureSpace({"a": "float"}).get_inputs(), StackError, "first in a Sequential"),
        (lambda: FeatureSpace({"a": "float"}).get_encoded_features(), StackError, "first in a Sequential"),
        (lambda: FeatureSpace({"a": "string_categorical"})({"a": ["x"]}), NotAdaptedError, "adapt"),
        (lambda: adapted()({"age": [1.0]}), DataError, "needs the columns 'city', 'rooms'"),
        (lambda: adapted(pandas.DataFrame([[1, 2]], columns=["a", "a"])), DataError, "two columns called 'a'"),
        (lambda: adapted({"age": [1.0], "city": ["a", "b"]}), DataError, "different lengths: 'age' 1, 'city' 2"),
        (lambda: adapted(np.ones((3, 3))), DataError, r"an array of shape \(3, 3\)"),
        (lambda: adapted(TABLE)("rows.csv"), DataError, r"pandas.read_csv\('rows.csv'\)"),
    ],
)
def test_errors_say_what_to_type(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_kinds_of_our_own_have_the_formulas_that_they_say():
    dates = adapted({"a": ["2020-03-31 06:00:00", "2022-03-31"]}, {"a": "date"})
    row = np.asarray(dates({"a": ["2022-04-01 18:00"]}))[0]  # a Friday
    turns = np.array([3 / 12, 4 / 7, 18 / 24]) * 2 * np.pi
    np.testing.assert_allclose(row, [1, *np.stack([np.sin(turns), np.cos(turns)], 1).ravel()], atol=1e-6)
    pieces = adapted({"a": [0.0] * 50 + [1.0, 2.0]}, {"a": FeatureSpace.float_piecewise(2)})
    np.testing.assert_allclose(pieces({"a": [0.0, 1.5, 9.0]}), [[0, 0], [1, 0.5], [1, 1]])
    words = adapted({"a": ["the cat", "the dog"]}, {"a": "text"})
    np.testing.assert_array_equal(words({"a": ["cat the the", "bird"]}), [[0, 1, 0, 1], [1, 0, 0, 0]])


def test_waves_are_trained_and_kept_in_files(tmp_path):
    model = stack(FeatureSpace({"age": "float_periodic", "city": "string_categorical"}))
    model.layers[0].adapt(TABLE)
    model.predict(TABLE, verbose=0)
    before = model.layers[0].get_weights()
    model.fit(TABLE, Y, epochs=1, verbose=0)
    assert any((a != b).any() for a, b in zip(before, model.layers[0].get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    again = models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(TABLE, verbose=0), model.predict(TABLE, verbose=0))


def test_from_frame_guesses_kinds_leaves_ids_out_and_prints_what_it_took(capsys):
    rng = np.random.default_rng(0)
    table = pandas.DataFrame({
        "number": np.arange(5, 205), "key": [f"k{i}" for i in range(200)], "city": rng.choice(["a", "b"], 200),
        "height": rng.normal(size=200), "rooms": rng.integers(1, 5, 200), "owner": rng.choice([True, False], 200),
        "born": pandas.date_range("2000-01-01", periods=200), "town": [f"t{i % 120}" for i in range(200)],
        "note": [f"a text of words {i}" for i in range(200)],
        "floors": np.where(np.arange(200) % 9 == 0, np.nan, rng.integers(1, 4, 200)),
    })  # fmt: skip
    space = FeatureSpace.from_frame(table, features={"height": "float_discretized"}, num_discretization_bins=4)
    assert capsys.readouterr().out.splitlines() == [
        "string_categorical: 'city'", "float_discretized: 'height'", "integer_categorical: 'rooms', 'floors'",
        "float: 'owner'", "date: 'born'", "string_categorical(max_tokens=61): 'town'", "text: 'note'",
        "left out, since each row has a value of its own: 'number', 'key'",
    ]  # fmt: skip
    assert space._lamina.learned is None
    space.adapt(table)
    assert space(table).shape[0] == 200
    with pytest.raises(ArgumentError, match="no column 'weight'"):
        FeatureSpace.from_frame(table, {"weight": "float"})


def test_from_frame_reads_files_of_tables(tmp_path, capsys):
    pandas.DataFrame(TABLE).to_csv(tmp_path / "rows.csv", index=False)
    pandas.DataFrame(TABLE).to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.parquet"):
        assert FeatureSpace.from_frame(tmp_path / name).features.keys() == TABLE.keys()
    capsys.readouterr()


def test_a_clone_and_a_file_can_be_adapted_again():
    space = adapted()
    again = FeatureSpace.from_config(space.get_config())
    again.adapt({"age": [1.0, 2.0], "city": ["Kyoto", "Rome"], "rooms": [1, 2]})
    assert again.preprocessors["city"].get_vocabulary() == ["[UNK]", "Rome", "Kyoto"]


def test_other_layers_of_ones_own_encode_a_column():
    text = layers.TextVectorization(output_mode="tf_idf")
    kinds = {"note": FeatureSpace.feature("string", text, "float"), "age": "float"}
    table = {"note": ["red house", "a red lake"], "age": [1.0, 2.0]}
    np.testing.assert_allclose(adapted(table, kinds)(table)[:, 1:], text(table["note"]), rtol=1e-6)


def test_adapt_takes_a_stream_of_batches():
    batches = ({name: np.array(values[i : i + 8]) for name, values in TABLE.items()} for i in range(0, 40, 8))
    np.testing.assert_array_equal(adapted(batches)(TABLE), adapted()(TABLE))


def test_an_array_of_codes_stands_for_many_categories():
    rows, categories = 20_000, 5_000
    table = {"code": np.arange(rows) % categories}
    space = adapted(table, {"code": "integer_categorical"})
    tracemalloc.start()
    x = space._lamina_host(table)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert x.shape == (rows, 1) and most < 200 * rows  # one-hot vectors would take 20,000 bytes a row
    model = Sequential([space, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit({"code": table["code"][:64]}, np.zeros(64), verbose=0)


def test_fit_adapts_to_the_rows_that_train_and_only_once():
    city = ["Rome", "Oslo"] * 15 + ["Paris"] * 10
    model = stack(FeatureSpace({"age": "float", "city": "string_categorical"}))
    model.fit(TABLE | {"city": city}, Y % 7, validation_split=0.25, verbose=0)
    space = model.layers[0]
    assert space.preprocessors["city"].get_vocabulary() == ["[UNK]", "Rome", "Oslo"]
    model.fit(TABLE, Y, validation_data=({"age": [45.0], "city": ["Bonn"]}, Y[:1]), verbose=0)
    assert space.preprocessors["city"].get_vocabulary() == ["[UNK]", "Rome", "Oslo"]
    by_hand = stack(
        adapted({"age": [1.0, 2.0], "city": ["Bern", "Rom"]}, {"age": "float", "city": "string_categorical"})
    )
    by_hand.fit(TABLE, Y, verbose=0)
    assert by_hand.layers[0].preprocessors["city"].get_vocabulary() == ["[UNK]", "Rom", "Bern"]


def test_a_fit_that_is_refused_leaves_the_space_unadapted():
    model = stack(FeatureSpace(features=KINDS))
    with pytest.raises(DataError, match="40 rows and y has 7"):
        model.fit(TABLE, Y[:7], verbose=0)
    assert needs_adapting(model) and not model.built
    model.fit(TABLE, Y, verbose=0)


def test_words_of_texts_are_bits_on_their_way_to_the_device():
    words = [f"w{i}" for i in range(100)]
    table = {"a": [" ".join(words[i : i + 20]) for i in range(80)]}
    space = adapted(table, {"a": "text"})
    assert space._lamina_host(table).shape == (80, 5)
    np.testing.assert_array_equal(space(table), space.preprocessors["a"](table["a"]))


@pytest.mark.parametrize("again", [True, False], ids=["list", "generator"])
def test_fit_adapts_to_a_stream_and_trains_on_all_of_it(again, capsys):
    batches = [({name: values[i : i + 8] for name, values in TABLE.items()}, Y[i : i + 8]) for i in range(0, 40, 8)]
    seen = []

    def read():
        for batch in batches:
            seen.append(batch)
            yield batch

    model, by_hand = stack(FeatureSpace(features=KINDS)), stack(adapted())
    by_hand.predict(TABLE, verbose=0)
    model.fit(read if again else read(), epochs=1, verbose=0)
    assert "is adapted to the first 40 rows of the stream" in capsys.readouterr().out
    assert len(seen) == (10 if again else 5)
    np.testing.assert_array_equal(model.layers[0](TABLE), by_hand.layers[0](TABLE))


def test_an_input_before_the_space_is_left_out():
    with pytest.raises(ShapeError, match="Leave the Input out"):
        Sequential([layers.Input((3,)), FeatureSpace(features=KINDS)])


def test_more_rare_categories_than_in_training_are_told_once():
    unknowns.clear()
    towns = ["Rome", "Oslo"] * 480 + [f"village {i}" for i in range(40)]
    space = adapted({"home": towns}, {"home": FeatureSpace.string_categorical(max_tokens=3)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space._lamina_host({"home": towns})  # as many as in training
    with pytest.warns(
        LaminaWarning, match=r"column 'home': 500 of 1,000 rows .*'Paris'.* In training 4.0% of the rows"
    ):
        space._lamina_host({"home": ["Paris", "Rome"] * 500})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        space._lamina_host({"home": ["Paris", "Rome"] * 500})


def test_gaps_are_no_words_and_need_no_slot():
    table = {"note": ["red house", None, "red 0"], "kind": ["a", None, "b"]}
    space = adapted(table, {"note": "text", "kind": FeatureSpace.string_categorical(num_oov_indices=0)})
    y = np.asarray(space(table))
    np.testing.assert_array_equal(y[:, :3].sum(1), 1)
    np.testing.assert_array_equal(y[1], [0, 0, 1, *np.zeros(y.shape[1] - 3)])


def test_durations_are_seconds():
    space = adapted({"took": pandas.to_timedelta([1, 2, None], "min")}, {"took": "float"})
    np.testing.assert_array_equal(space({"took": pandas.to_timedelta([3, None], "min")}), [[180, 0], [90, 1]])


def test_a_dict_of_values_is_one_row():
    model = stack(adapted())
    one = {"age": 40.0, "city": "Oslo", "rooms": 4}
    np.testing.assert_array_equal(model.predict(one, verbose=0), model.predict(TABLE, verbose=0)[1:2])
