"""The checks of `fit` on tables that a FeatureSpace encodes: the user's columns are named."""

import numpy as np
import pandas as pd
import pytest
from warned_checks import told

import lamina as keras
from lamina import layers
from lamina._diagnosis import findings

pytestmark = pytest.mark.usefixtures("checks_are_on")
FeatureSpace = keras.utils.FeatureSpace
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 2, 400)


def table():
    return pd.DataFrame({
        "age": RNG.normal(size=400), "born": pd.date_range("2000-01-01", periods=400),
        "city": RNG.choice(["Rome", "Oslo", "Bonn"], 400), "note": [f"word{i % 7} and word{i % 3}" for i in range(400)],
        "rooms": np.where(RNG.random(400) < 0.1, np.nan, RNG.integers(1, 9, 400)),
    })  # fmt: skip


def stack(space):
    model = keras.Sequential([space, layers.BatchNormalization(), layers.Dense(4, "relu"), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def dense():
    model = keras.Sequential([layers.Dense(4, "relu"), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def test_a_clean_table_of_all_kinds_is_silent():
    x = table()
    kinds = {"note": "text", "rooms": "float_piecewise"}
    assert told(stack(FeatureSpace.from_frame(x, kinds)), x, Y, validation_split=0.2) == []
    assert len(stack(FeatureSpace.from_frame(x, kinds)).check(x, Y)) == 0


def test_raw_columns_are_named_and_the_advice_works():
    x = table()
    x["same"], x["copy"], x["number"] = "a", x["age"], RNG.permutation(400)
    x["income"] = np.where(Y > 0, ">50K", "<=50K")
    found = "\n".join(told(stack(FeatureSpace.from_frame(x, {"number": "float"})), x, Y))
    assert "x['income'] tells the class of 100.0% of the rows" in found
    found += "\n" + "\n".join(f"{each}" for each in stack(FeatureSpace.from_frame(x, {"number": "float"})).check(x, Y))
    for words in ("'same' is constant", "'copy' is a copy", "'number' numbers the rows"):
        assert words in found
    advised = [line.split(": ", 1)[1].rstrip(".") for line in found.split("\n") if "FeatureSpace.from_frame" in line]
    left_out = [set(x) - set(eval(code, {"FeatureSpace": FeatureSpace, "x": x}).features) for code in advised]
    assert set().union(*left_out) == {"income", "same", "copy", "number"}


def test_the_target_of_a_regression_in_a_raw_column():
    x, y = table(), RNG.normal(size=400)
    x["paid"] = 3 * y + 1
    model = keras.Sequential([FeatureSpace.from_frame(x), layers.Dense(1)])
    model.compile("adam", "mse")
    assert "x['paid'] has a correlation of 1.000000 with y" in told(model, x, y)[0]


def test_a_run_that_learns_nothing_is_told_and_not_an_error():
    x, y = table(), RNG.normal(size=400)
    model = keras.Sequential([FeatureSpace.from_frame(x), layers.Dense(4, "relu"), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e-9), "mse")
    assert "that of a constant output" in told(model, x, y, epochs=2, batch_size=2)[0]
    findings.said.clear()
    assert told(model, x, np.zeros(400), epochs=2, batch_size=2) == []


def test_a_few_constant_columns_among_many_numbered_ones_are_silent():
    x = pd.DataFrame(RNG.normal(size=(400, 64)), columns=[f"pixel_{i // 8}_{i % 8}" for i in range(64)])
    x[["pixel_0_0", "pixel_4_0", "pixel_4_7"]] = 0.0
    assert told(dense(), x, Y) == []
    findings.said.clear()
    assert "'empty' is constant" in told(dense(), x.rename(columns={"pixel_0_0": "empty"}), Y)[0]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_the_advice_to_leave_a_column_out_is_of_the_library(library):
    module = pytest.importorskip(library)
    frame = pd.DataFrame(RNG.normal(size=(400, 4)), columns=list("abcd")).assign(same=1.0)
    x = {
        "pandas": lambda: frame,
        "polars": lambda: module.DataFrame(dict(frame)),
        "pyarrow": lambda: module.table(frame),
    }
    x = x[library]()
    code = told(dense(), x, Y)[0].split("tells nothing: ")[1].rstrip(".")
    scope = {"x": x}
    exec(code, scope)
    assert scope["x"].shape == (400, 4)
