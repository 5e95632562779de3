"""Names of classes as y: numbered in sorted order, kept in the model and its files, and given back by name."""

import subprocess
import sys

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest

import lamina as keras
from lamina import layers
from lamina.errors import ArgumentError, DataError, LabelError, LaminaError

X = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
WORDS = np.where(X[:, 0] > 0, "yes", "no")
THREE = np.array(["red", "green", "blue"])[np.digitize(X[:, 1], [-0.5, 0.5])]


def stack(loss="binary_crossentropy", units=1, activation="sigmoid", metrics=("accuracy",)):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([layers.Dense(units, activation=activation)])
    model.compile("adam", loss, metrics=list(metrics))
    return model


def fitted(y, *told, **options):
    model = stack(*told)
    model.fit(X, y, epochs=2, verbose=0, **options)
    return model


@pytest.mark.parametrize(
    "y",
    [
        WORDS, WORDS.astype(object), WORDS.tolist(), WORDS[:, None], pd.Series(WORDS), pd.DataFrame({"y": WORDS}),
        pd.Series(WORDS, dtype="category"), polars.Series(WORDS), polars.Series(WORDS).cast(polars.Categorical),
        pyarrow.chunked_array([WORDS.tolist()]),
    ],
    ids=lambda y: type(y).__name__,
)  # fmt: skip
def test_words_train_as_their_numbers_in_sorted_order(y):
    one, other = fitted(y), fitted((WORDS == "yes").astype(int))
    assert one.classes_ == ("no", "yes") and other.classes_ is None
    assert one.history.history == other.history.history
    np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])
    np.testing.assert_array_equal(one.predict(X, verbose=0), other.predict(X, verbose=0))


def test_an_ordered_category_keeps_its_order():
    sizes = pd.Series(pd.Categorical(["S", "L", "M"] * 20, categories=["S", "M", "L"], ordered=True))
    assert fitted(sizes, "sparse_categorical_crossentropy", 3, "softmax").classes_ == ("S", "M", "L")
    grades = polars.Series(["S", "L", "M"] * 20, dtype=polars.Enum(["S", "M", "L"]))
    assert fitted(grades, "sparse_categorical_crossentropy", 3, "softmax").classes_ == ("S", "M", "L")


def test_booleans_are_numbered_false_then_true():
    truth = fitted(WORDS == "yes")
    assert truth.classes_ == (False, True) and truth.predict_classes(X, verbose=0).dtype == bool
    np.testing.assert_array_equal(truth.get_weights()[0], fitted(WORDS).get_weights()[0])
    assert fitted(np.ones(60, bool)).classes_ == (False, True)


def test_categorical_crossentropy_gets_one_hot_rows():
    one = fitted(THREE, "categorical_crossentropy", 3, "softmax")
    numbers = np.searchsorted(["blue", "green", "red"], THREE)
    other = fitted(np.eye(3)[numbers], "categorical_crossentropy", 3, "softmax")
    np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])


def test_predict_classes_gives_names_or_the_numbers_of_keras_2():
    named = fitted(THREE, "sparse_categorical_crossentropy", 3, "softmax")
    chosen = named.predict(X, verbose=0).argmax(-1)
    np.testing.assert_array_equal(named.predict_classes(X, verbose=0), np.array(["blue", "green", "red"])[chosen])
    plain = fitted((WORDS == "yes").astype(int))
    assert plain.predict_classes(X, verbose=0).shape == (60, 1)
    np.testing.assert_array_equal(plain.predict_classes(X, verbose=0), plain.predict(X, verbose=0) > 0.5)
    logits = fitted(WORDS, keras.losses.BinaryCrossentropy(from_logits=True), 1, None)
    np.testing.assert_array_equal(logits.predict_classes(X, verbose=0) == "yes", logits.predict(X, verbose=0)[:, 0] > 0)


def test_names_in_evaluate_validation_class_weight_and_batches():
    numbers = (WORDS == "yes").astype(int)
    one = fitted(WORDS, validation_data=(X, WORDS), class_weight={"no": 1.0, "yes": 3.0})
    other = fitted(numbers, validation_data=(X, numbers), class_weight={0: 1.0, 1: 3.0})
    assert one.history.history == other.history.history
    assert one.evaluate(X, WORDS, verbose=0) == other.evaluate(X, numbers, verbose=0)
    assert one.evaluate([(X, WORDS)], verbose=0) == other.evaluate([(X, numbers)], verbose=0)
    assert one.test_on_batch(X, WORDS) == other.test_on_batch(X, numbers)
    assert one.train_on_batch(X, WORDS) == other.train_on_batch(X, numbers)


def test_batches_of_names_need_the_classes_first():
    with pytest.raises(LabelError, match=r"model.classes_ = \['no', 'yes'\]"):
        stack().fit([(X, WORDS)], verbose=0)
    with pytest.raises(LabelError, match=r"model.classes_ = \['no', 'yes'\]"):
        stack().train_on_batch(X, WORDS)
    model = stack()
    model.classes_ = ["no", "yes"]
    model.fit([(X, WORDS)], epochs=2, verbose=0)
    other = stack()
    other.fit([(X, (WORDS == "yes").astype(int))], epochs=2, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], other.get_weights()[0])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            lambda m: m.evaluate(X, np.where(WORDS == "no", "maybe", WORDS)),
            "'maybe', which is none of the classes 'no', 'yes'",
        ),
        (lambda m: m.fit(X, np.where(WORDS == "no", "maybe", WORDS)), "none of the classes 'no', 'yes'"),
        (lambda m: m.fit(X, WORDS, class_weight={"no": 1.0, "oui": 2.0}), "class_weight has 'oui'"),
        (lambda m: m.fit(X, WORDS, validation_data=(X, THREE)), "none of the classes"),
        (lambda m: m.fit(X, [None, *WORDS[1:]]), "y has no label in row 0|holds text"),
        (lambda m: m.fit(X, pd.Series(WORDS).where(WORDS == "no")), "y has no label in row"),
        (lambda m: m.fit(X, ["no", True] * 30), "text and booleans"),
    ],
)
def test_what_is_refused_leaves_the_model_as_it_was(wrong, said):
    model = fitted(WORDS)
    before = model.get_weights()
    with pytest.raises(LaminaError, match=said):
        wrong(model)
    assert model.classes_ == ("no", "yes") and all(map(np.array_equal, before, model.get_weights()))


def test_more_names_than_a_loss_of_two_classes_can_take():
    with pytest.raises(LabelError, match=r"(?s)3 classes.*Dense\(3"):
        fitted(THREE)
    model = stack()
    with pytest.raises(LabelError):
        model.fit(X, THREE, verbose=0)
    assert model.classes_ is None
    for wrong in ("yes", [], ["a", "a"], [1, 2]):
        with pytest.raises(ArgumentError, match="classes_"):
            model.classes_ = wrong


def test_losses_for_numbers_keep_their_error():
    with pytest.raises(DataError, match="holds text"):
        fitted(WORDS, "mse")
    with pytest.raises(DataError, match="holds text"):
        fitted(WORDS, lambda y, p: (y - p) ** 2)


def test_files_keep_the_names_and_copies_of_the_layers_do_not(tmp_path):
    model = fitted(WORDS)
    model.save(tmp_path / "model.keras")
    same = keras.models.load_model(tmp_path / "model.keras")
    assert same.classes_ == ("no", "yes")
    np.testing.assert_array_equal(same.predict_classes(X, verbose=0), model.predict_classes(X, verbose=0))
    assert keras.models.clone_model(model).classes_ is None
    assert keras.Sequential.from_config(model.get_config()).classes_ is None


def test_real_keras_opens_the_file(tmp_path):
    real = pytest.importorskip("keras")
    model = fitted(WORDS)
    model.save(tmp_path / "model.keras")
    opened = real.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(opened.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)


CENSUS = """
import pandas, lamina as keras
from lamina import layers
table = pandas.read_csv("examples/data/adult.csv.gz", na_values="?")
income = table.pop("income")
model = keras.Sequential([
    keras.utils.FeatureSpace.from_frame(table),
    layers.Dense(256, activation="relu"), layers.Dropout(0.3), layers.Dense(1, activation="sigmoid"),
])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
model.fit(table, income, epochs=1, batch_size=512, validation_split=0.1, verbose=0)
model.save("{path}")
rows = table[:50].copy()
rows.loc[3, "age"] = None
rows.loc[4, "workclass"] = "Astronaut"
model.predict(rows, verbose=0).tofile("{path}.bin")
print(*model.predict_classes(rows, verbose=0))
"""
AGAIN = """
import numpy, pandas, lamina as keras
table = pandas.read_csv("examples/data/adult.csv.gz", na_values="?")
table.pop("income")
rows = table[:50][sorted(table.columns, reverse=True)].assign(more=1)
rows.loc[3, "age"] = None
rows.loc[4, "workclass"] = "Astronaut"
model = keras.models.load_model("{path}")
assert numpy.array_equal(model.predict(rows, verbose=0).ravel(), numpy.fromfile("{path}.bin", "float32"))
print(*model.predict_classes(rows, verbose=0))
"""


def test_a_raw_table_with_text_labels_in_a_fresh_process(tmp_path):
    said = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code.replace("{path}", str(tmp_path / "census.keras"))],
            capture_output=True, text=True, check=True,
        ).stdout.splitlines()[-1]
        for code in (CENSUS, AGAIN)
    ]  # fmt: skip
    assert said[0] == said[1] and set(said[0].split()) <= {"<=50K", ">50K"}


def test_only_the_rows_that_train_are_learned_from_and_once():
    table = pd.DataFrame({"a": np.arange(100.0), "b": ["x", "y"] * 50})
    table.loc[90:, "a"] = 1e6
    model = keras.Sequential([keras.utils.FeatureSpace.from_frame(table), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    model.fit(table, ["no", "yes"] * 50, validation_split=0.2, verbose=0)
    means = float(np.asarray(model.layers[0].preprocessors["a"].mean).ravel()[0])
    assert means == pytest.approx(39.5)
    model.fit(table[50:], ["no", "yes"] * 25, verbose=0)
    assert float(np.asarray(model.layers[0].preprocessors["a"].mean).ravel()[0]) == means


def test_a_fit_that_is_refused_learns_nothing_of_the_table():
    table = pd.DataFrame({"a": np.arange(60.0), "b": ["x", "y"] * 30})
    model = keras.Sequential([keras.utils.FeatureSpace.from_frame(table), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    with pytest.raises(LaminaError):
        model.fit(table, THREE, verbose=0)
    with pytest.raises(LaminaError):
        model.fit(table, WORDS[:50], verbose=0)
    with pytest.raises(keras.errors.NotAdaptedError):
        model.predict(table, verbose=0)
    model.fit(table, WORDS, verbose=0)
    assert model.predict_classes(table, verbose=0).shape == (60,)
