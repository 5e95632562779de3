"""`fit` warns of probable mistakes in data and runs, once each; `model.check` lists them. Clean data say nothing."""

import warnings

import numpy as np
import pandas as pd
import pytest
from warned_checks import told

import lamina as keras
from lamina import layers
from lamina._diagnosis import findings
from lamina.errors import CheckWarning, DataError, NotCompiledError

pytestmark = pytest.mark.usefixtures("checks_are_on")


def table(rows=400, columns=4, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype("float32")


def stack(loss="binary_crossentropy", units=1, first=(), metrics=(), last=None, optimizer="adam"):
    activation = {"binary_crossentropy": "sigmoid", "sparse_categorical_crossentropy": "softmax"}.get(loss)
    end = [layers.Dense(units, activation)] if last is None else last
    model = keras.Sequential([*first, layers.Dense(8, "relu"), *end])
    model.compile(optimizer, loss, metrics=list(metrics))
    return model


def classes(x):
    return (x[:, 0] + x[:, 1] > 0).astype(int)


def test_clean_data_say_nothing():
    x = table()
    assert told(stack(), x, classes(x), validation_split=0.2) == []
    assert len(stack().check(x, classes(x))) == 0


def test_the_label_in_a_column_of_a_frame_is_named_with_what_to_type():
    x = pd.DataFrame(table(), columns=list("abcd"))
    y = (x["a"] > 0.3).astype(int)
    x["e"] = 1.0 - y
    (message,) = told(stack(), x, y)
    assert "x['e'] tells the class of 100.0% of the rows" in message and "x = x.drop(columns=['e'])" in message


def test_the_label_of_three_classes_as_other_codes():
    x, y = table(), np.arange(400) % 3
    x[:, 2] = np.array([7.0, -2.0, 0.5])[y]
    assert "x[:, 2] tells the class" in told(stack("sparse_categorical_crossentropy", 3), x, y)[0]


def test_a_rare_flag_beside_a_rare_class_is_no_label():
    rng = np.random.default_rng(0)
    x = np.column_stack([table(2000), rng.random(2000) < 0.005]).astype("float32")
    assert told(stack(), x, (rng.random(2000) < 0.005).astype(int)) == []


def test_the_target_of_a_regression_in_a_column():
    x = table()
    y = 3.0 * x[:, 1] + 0.5
    assert "x[:, 1] has a correlation of 1.000000 with y" in told(stack("mse"), x, y)[0]
    assert told(stack("mse"), x, y + np.random.default_rng(1).normal(size=400) * 0.1) == []


def test_a_column_on_another_scale_unless_a_layer_normalizes_it():
    x = table()
    x[:, 3] *= 5000
    (message,) = told(stack(), x, classes(x))
    assert "x[:, 3] has a standard deviation of" in message and "layers.BatchNormalization() first" in message
    findings.said.clear()
    assert told(stack(first=[layers.BatchNormalization()]), x, classes(x)) == []


def test_a_target_on_a_large_scale_unless_the_last_layer_is_rescaling():
    x = table()
    y = 50_000 * x[:, 0] + 200_000 + 20_000 * np.random.default_rng(1).normal(size=400)
    (message,) = told(stack("mse"), x, y)
    assert "y has a standard deviation of" in message
    advised = eval(message.split("End the stack with ")[1].split(", or scale")[0], {"layers": layers})
    findings.said.clear()
    assert told(stack("mse", last=[layers.Dense(1), advised]), x, y) == []


def test_constant_copied_and_numbering_columns_of_a_frame():
    x = pd.DataFrame(table(columns=6), columns=list("abcdef"))
    x["same"], x["copy"], x["row"] = 1.0, x["a"], np.random.default_rng(0).permutation(400)
    model = stack(first=[layers.BatchNormalization()])
    found = "\n".join(told(model, x, classes(x.to_numpy())))
    assert "The column 'same' is constant" in found and "'copy' is a copy" in found and "'row' numbers" in found
    assert {each.check for each in model.check(x.to_numpy(), classes(x.to_numpy()))} == set()  # no names, no such check


def test_many_constant_columns_are_how_the_data_are():
    x = pd.DataFrame(table(columns=20), columns=[f"p{i}" for i in range(20)])
    x.iloc[:, 5:15] = 0.0
    assert told(stack(), x, classes(x.to_numpy())) == []


def test_rows_that_training_and_validation_share():
    x = table()
    y = classes(x)
    (message,) = told(stack(), x, y, validation_data=(x[:50], y[:50]))
    assert "100.0% of the validation rows" in message
    x = np.random.default_rng(0).integers(0, 2, (400, 4)).astype("float32")  # few different rows are possible
    assert told(stack(), x, classes(x), validation_split=0.2) == []


def test_accuracy_alone_for_a_rare_class():
    x = table(1000)
    y = (np.arange(1000) % 50 == 0).astype(int)
    (message,) = told(stack(metrics=["accuracy"]), x, y)
    assert "98.0% of the rows are of one class" in message and "its accuracy is 0.980" in message
    findings.said.clear()
    assert told(stack(metrics=["accuracy", "AUC"]), x, y) == []
    assert told(stack(metrics=["accuracy"]), x, y, class_weight="balanced") == []


def test_a_model_that_learns_nothing():
    x = table(1600)
    dead = stack(
        metrics=["accuracy"],
        last=[layers.Dense(8, "relu", bias_initializer=keras.initializers.Constant(-99)), layers.Dense(1, "sigmoid")],
    )
    (message,) = told(dead, x, classes(x), epochs=2)
    assert "is that of a constant output" in message and "100% of a layer's relus" in message
    assert "The learning rate is 0.001" in message
    findings.said.clear()
    assert told(stack(), x, classes(x), epochs=2) == []


def test_a_schedule_may_begin_with_small_rates():
    x = table(1600)
    warmup = keras.optimizers.schedules.CosineDecay(0.0, 1000, warmup_target=1e-3, warmup_steps=10_000)
    assert told(stack(optimizer=keras.optimizers.Adam(warmup)), x, classes(x), epochs=2) == []


def overfits():
    x = table(300, 20)
    y = np.random.default_rng(3).integers(0, 2, 300)
    model = keras.Sequential([layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return model, x, y


def test_overfitting_unless_a_callback_reacts():
    (message,) = told(*overfits(), epochs=15, validation_split=0.3)
    assert "val_loss was best in epoch" in message and "restore_best_weights=True" in message
    findings.said.clear()
    reaction = keras.callbacks.ReduceLROnPlateau(patience=50)
    assert told(*overfits(), epochs=15, validation_split=0.3, callbacks=[reaction]) == []


def test_moving_statistics_that_have_not_settled():
    x = 30 + 5 * table(320)
    y = (x[:, 0] + x[:, 1] > 60).astype(int)
    model = keras.Sequential([layers.BatchNormalization(), layers.Dense(16, "relu"), layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    (message,) = told(model, x, y, epochs=4)
    assert "after 40 steps the moving statistics" in message
    findings.said.clear()
    quick = [layers.BatchNormalization(momentum=0.8), layers.Dense(16, "relu"), layers.Dense(1, "sigmoid")]
    model = keras.Sequential(quick)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    assert told(model, x, y, epochs=4) == []


def test_each_is_said_once_at_most_three_at_a_time_and_never_when_off():
    x = pd.DataFrame(table(1000), columns=list("abcd"))
    x["e"], x["f"], x["g"], x["h"] = x["a"] * 1e5, 1.0, x["b"], np.arange(1000)
    y = (np.arange(1000) % 50 == 0).astype(int)
    first = told(stack(metrics=["accuracy"]), x, y)
    second = told(stack(metrics=["accuracy"]), x, y)
    assert len(first) == 3 and len(second) == 2 and not set(first) & set(second)
    findings.said.clear()
    keras.config.set_checks("off")
    assert told(stack(metrics=["accuracy"]), x, y) == []


def test_the_warning_names_the_users_line():
    x = table()
    x[:, 3] *= 5000
    with pytest.warns(CheckWarning) as caught:
        stack().fit(x, classes(x), verbose=0)
    assert caught[0].filename == __file__


def test_nothing_is_said_within_folds():
    pytest.importorskip("sklearn")
    x = table()
    x[:, 3] *= 5000
    with warnings.catch_warnings():
        warnings.simplefilter("error", CheckWarning)
        keras.cross_validate(stack(), x, classes(x), folds=2, verbose=0)


def test_check_gives_a_table_and_changes_nothing():
    x = pd.DataFrame(table(), columns=list("abcd"))
    y = (x["a"] > 0).astype(int)
    x["d"] *= 5000
    model = stack()
    found = model.check(x, y)
    assert [(each.check, each.where) for each in found] == [("scale of x", "x['d']"), ("label in x", "x['a']")]
    assert "2 probable mistakes" in repr(found) and "<table" in found._repr_html_()
    assert repr(stack().check(table(), classes(table()))) == "400 rows: no probable mistakes"
    before = model.get_weights()
    model.check(x, y, validation_data=(x, y))
    assert all(map(np.array_equal, before, model.get_weights()))


def test_check_refuses_what_it_cannot_compare():
    x = table()
    with pytest.raises(NotCompiledError):
        keras.Sequential([layers.Dense(1)]).check(x, x[:, 0])
    with pytest.raises(DataError, match="takes arrays or a frame"):
        stack().check([(x, classes(x))])
    with pytest.raises(DataError, match="rows"):
        stack().check(x, classes(x)[:-1])
    with pytest.raises(keras.errors.ArgumentError, match="'on'"):
        keras.config.set_checks("quiet")


def test_the_checks_do_not_change_a_run():
    x = 30 + 5 * table(320)
    y = (x[:, 0] > 30).astype(int)

    def weights(checks):
        keras.config.set_checks(checks)
        keras.utils.set_random_seed(3)
        model = keras.Sequential([layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(1, "sigmoid")])
        model.compile("adam", "binary_crossentropy")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckWarning)
            model.fit(x, y, epochs=3, verbose=0)
            model.layers[1](x, training=True)
        return [*model.get_weights(), np.asarray(model.layers[1](x, training=True))]

    assert all(map(np.array_equal, weights("on"), weights("off")))


def test_a_stack_that_begins_with_a_feature_space_is_checked_to_the_end():
    """Batch normalization and a loss that does not fall are both looked at with the encoded rows."""
    values = np.random.default_rng(0)
    frame = pd.DataFrame({"age": values.normal(size=400), "city": values.choice(["Rome", "Oslo"], 400)})
    y = (frame["age"] + values.normal(size=400) > 0).to_numpy()
    for rate in (1e-3, 1e-12):
        model = keras.Sequential([
            keras.utils.FeatureSpace({"age": "float_normalized", "city": "string_categorical"}),
            layers.BatchNormalization(), layers.Dense(1, "sigmoid"),
        ])  # fmt: skip
        model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
        told(model, frame, y, epochs=10)
