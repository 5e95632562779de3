"""What a metric is called in the logs: as Keras calls it, since callbacks and programs ask for the name."""

import functools

import keras
import numpy as np
import pytest

import lamina
from lamina import Sequential, layers

X, Y = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")


def distance(library, shift=0.0):
    """A function of one's own, in the operations of a library."""

    def RMSE(y, p):
        return library.ops.mean(library.ops.abs(y - p), axis=-1) + shift

    return RMSE


def measures(library):
    """One of each kind of thing that `compile(metrics=[...])` takes."""
    RMSE, Mean = distance(library), library.metrics.Mean

    def diceCoef(y, p):
        return RMSE(y, p)

    def F1Score(y, p):
        return RMSE(y, p)

    def _Hidden(y, p):
        return RMSE(y, p)

    class MyMeasure:
        def __call__(self, y, p):
            return RMSE(y, p)

        def methodOne(self, y, p):
            return RMSE(y, p)

    class Named(MyMeasure):
        name = "givenName"

    class OwnMean(Mean):
        def update_state(self, y, p, sample_weight=None):
            super().update_state(RMSE(y, p), sample_weight)

    class OwnLoss(library.losses.Loss):
        def call(self, y, p):
            return RMSE(y, p)

    class SquaresOfMine(library.metrics.MeanSquaredError):
        pass

    wrapper = library.metrics.MeanMetricWrapper
    return [
        RMSE, diceCoef, F1Score, _Hidden, lambda y, p: RMSE(y, p), lambda y, p: 2 * RMSE(y, p), functools.partial(RMSE),
        MyMeasure(), MyMeasure().methodOne, Named(), functools.wraps(RMSE)(lambda y, p: RMSE(y, p)),
        wrapper(RMSE, name="MyName"), wrapper(RMSE, "RMSE"), OwnMean(), OwnMean(name="Q"), OwnLoss(name="Zed"),
        SquaresOfMine(), library.losses.mean_squared_error, library.losses.MeanAbsoluteError(name="Ab"), "mse", "mse",
        "MSE", library.metrics.RootMeanSquaredError(), library.metrics.RootMeanSquaredError,
    ]  # fmt: skip


def trained(library, metrics, weighted=None, **how):
    model = library.Sequential([library.layers.Input((2,)), library.layers.Dense(1)])
    model.compile("sgd", loss=distance(library), metrics=metrics, weighted_metrics=weighted)
    return model, model.fit(X, Y, verbose=0, **how).history


def test_every_kind_of_metric_is_called_as_in_keras():
    theirs, history = trained(keras, measures(keras), [distance(keras)])
    ours, own = trained(lamina, measures(lamina), [distance(lamina)])
    assert list(own) == list(history)
    assert {"rmse", "rmse_1", "weighted_rmse", "lambda", "lambda_1", "partial", "dice_coef"} <= set(own)
    logs = ours.evaluate(X, Y, verbose=0, return_dict=True)
    assert sorted(logs) == sorted(theirs.evaluate(X, Y, verbose=0, return_dict=True)) == sorted(ours.metrics_names)


def test_a_wrapper_and_a_subclass_without_a_name_are_called_as_in_keras():
    for library in (keras, lamina):

        class OwnMean(library.metrics.Mean):
            def __init__(self, name=None):
                super().__init__(name=name)

        class OwnScore(library.metrics.AUC):
            pass

        names = [library.metrics.MeanMetricWrapper(distance(library)).name, OwnMean().name, OwnScore().name]
        # Keras numbers the objects of a process: mean_metric_wrapper_15.
        assert [name.rstrip("_0123456789") for name in names] == ["mean_metric_wrapper", "own_mean", "own_score"]


def test_the_name_in_snake_case_is_what_callbacks_watch_and_write(tmp_path, capsys):
    file = tmp_path / "log.csv"
    watching = lamina.callbacks.EarlyStopping(monitor="val_rmse", mode="min")
    how = {"validation_data": (X, Y), "callbacks": [watching, lamina.callbacks.CSVLogger(file)]}
    model, history = trained(lamina, [distance(lamina), lambda y, p: y[:, 0]], **how)
    assert list(history) == ["lambda", "loss", "rmse", "val_lambda", "val_loss", "val_rmse"]
    assert file.read_text().startswith("epoch,lambda,loss,rmse,val_lambda,val_loss,val_rmse\n")
    model.fit(X, Y, verbose=2)
    assert " - rmse: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("was", "name"), [("val_RMSE", "val_rmse"), ("<lambda>", "lambda"), ("val_<lambda>", "val_lambda")]
)
def test_the_error_for_the_name_as_it_is_written_says_the_new_one(was, name):
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", loss="mse", metrics=[distance(lamina), lambda y, p: y[:, 0]])
    watching = lamina.callbacks.EarlyStopping(monitor=was, mode="min")
    with pytest.raises(ValueError, match=f"Did you mean '{name}'?"):
        model.fit(X, Y, verbose=0, validation_data=(X, Y), callbacks=watching)


def test_a_loss_that_is_a_function_is_called_in_snake_case_too():
    model, _ = trained(lamina, [])
    assert model._lamina.compiled.loss.name == "rmse"
