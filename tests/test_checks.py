"""What the stack's doctor says before the first step: bad values in the data, targets that do not fit the loss."""

import os
import warnings

import numpy as np
import pandas as pd
import pytest

import lamina
from lamina import losses
from lamina._checks.labels import fit_loss
from lamina._checks.values import finite
from lamina._data.source import Table, arrays
from lamina.errors import DataError, LabelError, LaminaWarning
from lamina.losses.lookup import loss_of
from lamina.utils import FeatureSpace

BINARY = losses.BinaryCrossentropy()
CATEGORICAL = losses.CategoricalCrossentropy()
SPARSE = losses.SparseCategoricalCrossentropy()
MSE = losses.MeanSquaredError()
LABELS = np.array([0, 1, 2, 1], "int32")
ONE_HOT = np.eye(3, dtype="float32")[LABELS]


def refusal(call, *fragments, error=LabelError):
    """The message of the error that `call` raises: it has the fragments, and at most 15 lines."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) <= 15
    for fragment in fragments:
        assert fragment in message, message


def warning(call, *fragments):
    """The message of the one warning that `call` gives, on the caller's own line."""
    with pytest.warns(LaminaWarning) as caught:
        call()
    (record,) = caught
    assert os.path.basename(record.filename) == "test_checks.py"
    for fragment in fragments:
        assert fragment in str(record.message), str(record.message)


# NaN and infinity.


def test_nan_in_an_array():
    x = np.ones((10, 4), "float32")
    x[3, 2] = x[7, 2] = x[7, 0] = np.nan
    refusal(
        lambda: finite(Table(x)), "x[3, 2] is NaN", "2 of 10 rows", "columns 0, 2", "SimpleImputer", error=DataError
    )


def test_nan_in_a_frame_names_the_column():
    frame = pd.DataFrame({"age": [30.0, None, 41.0], "paid": pd.array([1, 2, None], "Int64"), "n": [1, 2, 3]})
    refusal(
        lambda: finite(arrays(frame)), "x[1, 0] is NaN; 2 of 3 rows", "in columns 'age', 'paid'",
        "keras.utils.FeatureSpace.from_frame(x)",
        error=DataError,
    )  # fmt: skip
    space = FeatureSpace.from_frame(frame)  # as it advises
    space.adapt(frame)
    finite(arrays(space(frame)))


def test_infinity():
    refusal(lambda: finite(arrays([[1.0], [-np.inf]])), "x[1, 0] is -inf", "a log of 0", error=DataError)
    refusal(lambda: finite(arrays([[1e300]])), "x[0, 0] is inf", "beyond the dtype's range", error=DataError)


def test_nan_in_targets_and_weights():
    x = np.ones((3, 1))
    refusal(lambda: finite(arrays(x, [0.0, np.nan, 1.0])), "y[1] is NaN; 1 of 3 rows", "keep = ~numpy.isnan(y)")
    refusal(lambda: finite(arrays(x, [0, 1, 1], [1.0, 1.0, np.inf])), "sample_weight[2] is inf")


def test_nan_in_images_and_wide_tables():
    images = np.zeros((5, 4, 4, 3), "float32")
    images[2, 1, 0, 2] = np.nan
    refusal(lambda: finite(Table(images)), "x[2, 1, 0, 2] is NaN; 1 of 5 rows hold", error=DataError)
    refusal(lambda: finite(Table(np.full((2, 30), np.nan))), "columns 0, 1, 2, 3, 4, 5, 6, 7, ...", error=DataError)


@pytest.mark.parametrize(
    "x",
    [
        np.full((10, 2), np.finfo("float32").max),  # the sum overflows, the numbers do not
        np.array([[3e38, 3e38, -3e38, -3e38]] * 99, "float32"),
        np.array([[np.iinfo("int32").max]] * 3, "int32"),
        np.ones((3, 2), "uint8"),
        np.full((3000, 2), 100, "float16"),
    ],
)
def test_large_numbers_are_finite(x):
    finite(Table(x, x, x))


def test_opposite_infinities_do_not_hide_each_other():
    refusal(lambda: finite(Table(np.array([[np.inf], [-np.inf]]))), "x[0, 0] is inf; 2 of 2 rows", error=DataError)


# What fits: no error, and as warnings are errors in this suite, no word.


@pytest.mark.parametrize(
    ("loss", "y", "output", "last"),
    [
        (SPARSE, LABELS, (None, 3), "softmax"),
        (SPARSE, LABELS[:, None], (None, 3), "softmax"),
        (SPARSE, LABELS.astype("float32"), (None, 3), None),
        (SPARSE, LABELS[:, None], (None, None), "softmax"),
        (SPARSE, np.zeros((4, 5), "int32"), (None, 5, 3), "softmax"),
        (SPARSE, np.zeros((4, 5, 1), "int32"), (None, None, 3), "softmax"),
        (losses.SparseCategoricalCrossentropy(from_logits=True), LABELS, (None, 3), "linear"),
        (losses.SparseCategoricalCrossentropy(ignore_class=-1), LABELS - 1, (None, 2), "softmax"),
        (losses.SparseCategoricalCrossentropy(ignore_class=255), np.array([0, 255]), (None, 2), "softmax"),
        (losses.SparseCategoricalCrossentropy(axis=1), np.full((4, 7), 2), (None, 3, 7), None),
        (CATEGORICAL, ONE_HOT, (None, 3), "softmax"),
        (CATEGORICAL, ONE_HOT * 0.9 + 0.1 / 3, (None, 3), "softmax"),
        (losses.CategoricalCrossentropy(from_logits=True), ONE_HOT, (None, 3), "linear"),
        (losses.CategoricalCrossentropy(axis=1), np.ones((4, 3, 7)) / 3, (None, 3, 7), None),
        (BINARY, np.array([0, 1]), (None, 1), "sigmoid"),
        (BINARY, np.array([[0.0], [1]]), (None, 1), "sigmoid"),
        (BINARY, np.array([[0.2], [0.8]]), (None, 1), "hard_sigmoid"),
        (BINARY, np.array([[1 + 1e-7], [-1e-7]]), (None, 1), "sigmoid"),
        (BINARY, np.eye(2), (None, 2), "softmax"),
        (BINARY, np.array([[1, 1, 0]]), (None, 3), "sigmoid"),
        (BINARY, np.zeros((2, 8, 8)), (None, 8, 8, 1), "sigmoid"),
        (losses.BinaryCrossentropy(from_logits=True), np.array([0, 1]), (None, 1), "linear"),
        (MSE, np.array([0.5, 3.0]), (None, 1), "linear"),
        (MSE, np.ones((4, 3)), (None, 3), "relu"),
        (MSE, np.ones((4, 7, 1)), (None, 7, 1), "softmax"),  # its axis may be another
        (MSE, np.ones((4, 9, 1)), (None, None), None),
        (loss_of("ce"), LABELS, (None, 3), "softmax"),
        (None, None, (None, 3), "linear"),
    ],
)  # fmt: skip
def test_what_fits_is_let_pass(loss, y, output, last):
    fit_loss(loss, y, output, last_activation=last)


def test_a_loss_of_the_users_own_is_let_pass():
    class Own(losses.Loss):
        def call(self, y_true, y_pred):
            return y_pred

    for loss in (Own(), loss_of(lambda y_true, y_pred: y_pred)):
        fit_loss(loss, np.full((4, 7), 99.0), (None, 3), last_activation="relu")
    refusal(lambda: fit_loss(Own(), None, (None, 3)), "the loss Own needs targets, and y is None", "fit(x, y)")


# Sparse categorical crossentropy.


def test_sparse_labels_out_of_range():
    for y in (LABELS + 1, LABELS[:, None] + 1.0):
        refusal(
            lambda y=y: fit_loss(SPARSE, y, (None, 3)),
            "labels run from 1 to 3",
            "3 units stand for 0 to 2",
            "y = y - 1",
        )
    refusal(lambda: fit_loss(SPARSE, LABELS - 1, (None, 3)), "labels run from -1 to 1", "y[0] is -1", "numpy.unique(y")
    refusal(lambda: fit_loss(SPARSE, LABELS + 5, (None, 3)), "from 5 to 7", "y[0] is 5", "Dense(8)", "y has shape (4,)")
    refusal(lambda: fit_loss(SPARSE, np.array([0, 1, 3]), (None, 3)), "y[2] is 3", "Dense(4)")
    refusal(lambda: fit_loss(loss_of("ce"), LABELS + 1, (None, 3)), "labels run from 1 to 3")
    ignoring = losses.SparseCategoricalCrossentropy(ignore_class=255)
    refusal(lambda: fit_loss(ignoring, np.array([0, 255, 4]), (None, 3)), "from 0 to 4", "y[2] is 4")


def test_sparse_labels_that_are_not_whole():
    refusal(lambda: fit_loss(SPARSE, LABELS + 0.5, (None, 3)), "whole numbers, but y[0] is 0.5", 'loss="mse"')


def test_sparse_with_one_hot_labels():
    refusal(
        lambda: fit_loss(SPARSE, ONE_HOT, (None, 3)), "y is one-hot", "categorical_crossentropy", "y.argmax(axis=-1)"
    )


def test_sparse_with_one_unit():
    refusal(lambda: fit_loss(SPARSE, LABELS, (None, 1)), "one unit", "binary_crossentropy", "Dense(3,")


def test_sparse_shapes():
    refusal(
        lambda: fit_loss(SPARSE, LABELS, (None, 28, 10)), "one number for each output", "(None, 28, 10)", "Flatten()"
    )
    refusal(lambda: fit_loss(SPARSE, np.zeros((4, 2)), (None, 3)), "one number for each output", "one whole number")


# Categorical crossentropy.


def test_categorical_with_numbered_labels():
    for y in (LABELS, LABELS[:, None]):
        refusal(
            lambda y=y: fit_loss(CATEGORICAL, y, (None, 3)),
            "takes one-hot rows",
            "sparse_categorical_crossentropy",
            "keras.utils.to_categorical(y, 3)",
        )


def test_categorical_with_one_unit():
    refusal(lambda: fit_loss(CATEGORICAL, np.ones((4, 1)), (None, 1)), "one unit", "binary_crossentropy", "Dense(2,")
    refusal(lambda: fit_loss(CATEGORICAL, ONE_HOT, (None, 1)), "one unit", 'Dense(3, activation="softmax")')


def test_categorical_widths():
    refusal(lambda: fit_loss(CATEGORICAL, ONE_HOT, (None, 5)), "y has 3 columns, the model has 5", "Dense(3)")


def test_categorical_with_several_classes_a_row():
    warning(lambda: fit_loss(CATEGORICAL, np.ones((4, 3)), (None, 3)), "add up to 1", "sigmoid", "binary_crossentropy")
    warning(lambda: fit_loss(CATEGORICAL, 2 * ONE_HOT - 1, (None, 3)), "add up to 1")


# Binary crossentropy.


@pytest.mark.parametrize(
    ("y", "fragments"),
    [
        ([-1, 1, 1], ["y runs from -1 to 1: y[0] is -1", "y = (y + 1) / 2"]),
        ([1, 2, 1], ["y[1] is 2", "y = y - 1"]),
        ([0, 1, 2], ["y[2] is 2", "3 classes", 'Dense(3, activation="softmax")', "sparse_categorical_crossentropy"]),
        ([1.0, 2.0, 3.0], ["3 classes", "y = y - 1"]),
        ([0, 128, 255], ["bytes", "y = y / 255"]),
        ([0.5, 2.5, -7.0], ["from -7 to 2.5: y[1] is 2.5", 'loss="mse"']),
    ],
)
def test_binary_labels_out_of_range(y, fragments):
    refusal(lambda: fit_loss(BINARY, np.array(y), (None, 1)), *fragments)


def test_binary_shapes():
    refusal(
        lambda: fit_loss(BINARY, np.eye(2), (None, 1)),
        "y has 2 columns",
        "y = y[:, 1]",
        'Dense(2, activation="softmax")',
    )
    refusal(lambda: fit_loss(BINARY, np.eye(3), (None, 1)), "y has 3 columns", 'Dense(3, activation="softmax")')
    refusal(lambda: fit_loss(BINARY, LABELS, (None, 3)), "y has 1 column, the model has 3", "sparse_categorical")
    refusal(lambda: fit_loss(BINARY, np.ones((4, 2)), (None, 3)), "y has 2 columns, the model has 3", "Dense(2)")


# Regression.


@pytest.mark.parametrize("loss", [MSE, losses.MeanAbsoluteError()])
def test_regression_widths(loss):
    refusal(
        lambda: fit_loss(loss, np.ones((4, 1)), (None, 3)),
        "y has 1 column, the model has 3",
        type(loss).__name__,
        "End the model with Dense(1), or give y 3",
    )
    refusal(lambda: fit_loss(loss, np.ones(4), (None, 3)), "y has 1 column")
    refusal(lambda: fit_loss(loss, np.ones((4, 3)), (None, 1)), "y has 3 columns, the model has 1.", "Dense(3)")
    refusal(lambda: fit_loss(loss, np.ones((4, 1)), (None, 28, 3)), "Put Flatten() before the last Dense layer")
    refusal(lambda: fit_loss(loss, np.ones((4, 6, 2)), (None, 5, 2)), "does not have the shape of the output")


class BinaryAccuracy:
    """Stands for a metric object."""


@pytest.mark.parametrize("metric", ["accuracy", "acc", "binary_accuracy", BinaryAccuracy()])
def test_accuracy_of_a_regression(metric):
    y = np.array([0.5, 3.0, 1.0])
    warning(lambda: fit_loss(MSE, y, (None, 1), metrics=["mae", metric]), "MeanSquaredError", 'metrics=["mae"]')
    fit_loss(MSE, y, (None, 1), metrics=["mae"])
    fit_loss(MSE, np.array([0, 1, 1]), (None, 1), metrics=[metric])
    fit_loss(MSE, ONE_HOT, (None, 3), metrics=[metric])
    fit_loss(SPARSE, LABELS, (None, 3), metrics=[metric])


@pytest.mark.parametrize(
    ("last", "y", "said"),
    [
        ("relu", [[-0.5], [2.0]], r"y runs from -0.5 to 2, but the last layer's relu gives only 0 to inf"),
        ("sigmoid", [[0.5], [20.0]], r"sigmoid gives only 0 to 1\.\nEnd a regression without"),
        ("tanh", [[-3.0], [0.0]], "gives only -1 to 1"),
    ],
)
def test_targets_that_the_last_activation_never_gives(last, y, said):
    y = np.array(y, "float32")
    with pytest.warns(LaminaWarning, match=said):
        fit_loss(losses.MeanSquaredError(), y, (None, 1), last_activation=last)
    for fitting, values in ((None, y), ("linear", y), (last, np.clip(y, 0, 1))):
        fit_loss(losses.MeanSquaredError(), values, (None, 1), last_activation=fitting)


def test_class_weight_for_a_class_without_a_unit():
    numbers, rows, both = np.array([0, 1]), np.eye(3)[[0, 1]], np.array([[0], [1]])
    for loss, y, units, wrong in (
        (losses.SparseCategoricalCrossentropy(), numbers, 3, "class 7, and the output has the classes 0 to 2"),
        (losses.CategoricalCrossentropy(), rows, 3, "the classes 0 to 2"),
        (losses.BinaryCrossentropy(), both, 1, "the classes 0 to 1"),
    ):
        weights = dict.fromkeys(range(max(units, 2)), 1.0)  # also those of classes that y lacks
        fit_loss(loss, y, (None, units), class_weight=weights)
        refusal(lambda: fit_loss(loss, y, (None, units), class_weight={**weights, 7: 2.0}), wrong, "Dense(8)")  # noqa: B023


def test_class_weight_of_a_regression():
    weights = {0: 1.0, 1: 2.0}
    refusal(lambda: fit_loss(MSE, LABELS * 1.5, (None, 1), class_weight=weights), "class_weight", "Use sample_weight")
    fit_loss(MSE, np.array([0, 1]), (None, 1), class_weight=weights)
    fit_loss(SPARSE, LABELS, (None, 3), class_weight=weights)


# The last layer.


@pytest.mark.parametrize("loss", [MSE, BINARY, SPARSE, loss_of(lambda y_true, y_pred: y_pred)])
def test_softmax_over_one_unit(loss):
    refusal(
        lambda: fit_loss(loss, np.array([0, 1]), (None, 1), last_activation="softmax"),
        "always 1",
        'activation="sigmoid"',
    )


@pytest.mark.parametrize("last", ["linear", "relu", "tanh", "log_softmax"])
@pytest.mark.parametrize(
    ("loss", "y", "fitting"),
    [(BINARY, ONE_HOT, "sigmoid"), (CATEGORICAL, ONE_HOT, "softmax"), (SPARSE, LABELS, "softmax")],
)
def test_a_last_layer_that_gives_no_probabilities(loss, y, fitting, last):
    warning(
        lambda: fit_loss(loss, y, (None, 3), last_activation=last),
        f"the last layer ends with {last}",
        f'activation="{fitting}"',
        f"{type(loss).__name__}(from_logits=True)",
    )


@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
@pytest.mark.parametrize("kind", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
def test_probabilities_for_a_loss_that_takes_logits(kind, last):
    warning(
        lambda: fit_loss(kind(from_logits=True), ONE_HOT, (None, 3), last_activation=last),
        f"{kind.__name__}(from_logits=True) applies",
        f"the last layer ends with {last}",
        "no activation there",
    )


def test_nothing_is_said_of_an_activation_that_is_not_known():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_loss(SPARSE, LABELS, (None, 3), last_activation="swirl")


def fitted(**told):
    model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.arange(20, dtype="float32").reshape(10, 2)
    return model.fit(x, x[:, 0], verbose=0, shuffle=False, **told)


def test_validation_data_come_before_a_validation_split():
    x = np.ones((3, 2))
    with pytest.warns(LaminaWarning, match="validation_split has no effect beside validation_data"):
        fitted(validation_split=0.5, validation_data=(x, x[:, 0]), callbacks=[counted := Counts()], batch_size=1)
    assert counted.steps == 10


class Counts(lamina.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1


def test_an_initial_epoch_behind_the_last_one():
    with pytest.warns(LaminaWarning, match="nothing is trained: epochs=2 is the last epoch, and initial_epoch=2"):
        assert fitted(epochs=2, initial_epoch=2).epoch == []
    with pytest.warns(LaminaWarning, match="nothing is trained: epochs=0 is the last epoch"):  # as in Keras
        assert fitted(epochs=0).history == {}


def test_a_warning_reaches_code_that_has_no_module_name():
    with pytest.warns(LaminaWarning, match="nothing is trained"):
        exec("fitted(epochs=1, initial_epoch=1)", {"fitted": fitted})
