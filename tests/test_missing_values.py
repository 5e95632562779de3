"""Missing labels under a loss of one's own, and gaps in x under a layer of one's own, are the user's business."""

import re
import warnings

import keras
import numpy as np
import pytest

import lamina
from lamina import Sequential, layers
from lamina._training import gaps
from lamina.errors import DataError, LabelError, LaminaWarning, NonFiniteError

X, Y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
NO_LABEL, NO_VALUE = Y.copy(), X.copy()
NO_LABEL[3], NO_VALUE[2, 1] = np.nan, np.nan


def masked(library):
    ops = library.ops

    def loss(y, p):
        known = ops.logical_not(ops.isnan(y))
        return ops.mean(ops.where(known, (ops.where(known, y, 0.0) - p) ** 2, 0.0), axis=-1)

    return loss


def filling(library):
    class Fill(library.layers.Layer):
        def call(self, x):
            return library.ops.where(library.ops.isnan(x), 0.0, x)

    return Fill()


def stack(library, loss="mse", *before):
    made = library.layers
    model = library.Sequential([made.Input((2,)), *before, made.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", loss)
    return model


def of_class(library):
    class Masked(library.losses.Loss):
        def call(self, y, p):
            return masked(library)(y, p)

    return Masked()


LABELS = {"function": masked, "lambda": lambda library: lambda y, p: masked(library)(y, p), "class": of_class}
INPUTS = {
    "layer": lambda library: [filling(library)],
    "lambda": lambda library: [library.layers.Lambda(lambda x: library.ops.where(library.ops.isnan(x), 0.0, x))],
    "library's function": lambda library: [library.layers.Lambda(library.ops.nan_to_num)],
    "after others": lambda library: [library.layers.Rescaling(0.5), filling(library)],
    "in a stack": lambda library: [library.Sequential([filling(library)])],
}


def said_once(call):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        result = call()
    found = [str(each.message) for each in said if issubclass(each.category, LaminaWarning)]
    assert len(found) == 1, found
    return result, found[0]


@pytest.mark.parametrize("kind", LABELS)
def test_a_loss_of_ones_own_gets_missing_labels_as_in_keras(kind):
    theirs = stack(keras, LABELS[kind](keras)).fit(X, NO_LABEL, epochs=3, verbose=0).history["loss"]
    model = stack(lamina, LABELS[kind](lamina))
    ours, said = said_once(lambda: model.fit(X, NO_LABEL, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert said.startswith("y[3, 0] is NaN; 1 of 8 rows") and "Your own loss must handle them" in said


@pytest.mark.parametrize("kind", INPUTS)
def test_a_layer_of_ones_own_gets_gaps_in_x_as_in_keras(kind):
    theirs = stack(keras, "mse", *INPUTS[kind](keras)).fit(NO_VALUE, Y, epochs=3, verbose=0).history["loss"]
    model = stack(lamina, "mse", *INPUTS[kind](lamina))
    ours, said = said_once(lambda: model.fit(NO_VALUE, Y, epochs=3, verbose=0).history["loss"])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert said.startswith("x[2, 1] is NaN") and "Your own layer must handle them" in said


def test_every_verb_and_every_kind_of_data_takes_them():
    loss = masked(lamina)

    def batches():
        for _ in range(4):
            yield X, NO_LABEL

    def later():
        yield X, Y
        yield X, NO_LABEL

    for call in (
        lambda: stack(lamina, loss).evaluate(X, NO_LABEL, verbose=0),
        lambda: stack(lamina, loss).train_on_batch(X, NO_LABEL),
        lambda: stack(lamina, loss).test_on_batch(X, NO_LABEL),
        lambda: stack(lamina, loss).fit(batches(), verbose=0).history["loss"],
        lambda: stack(lamina, loss).fit(later(), verbose=0).history["loss"],
        lambda: stack(lamina, loss).fit(X, Y, validation_data=(X, NO_LABEL), verbose=0).history["val_loss"],
        lambda: stack(lamina, loss, filling(lamina)).fit(NO_VALUE, NO_LABEL, verbose=0).history["loss"],
    ):
        assert np.isfinite(said_once(call)[0]).all()


def test_it_is_said_once_for_a_model():
    model = stack(lamina, masked(lamina))
    said_once(lambda: [model.fit(X, NO_LABEL, verbose=0), model.fit(X, NO_LABEL, verbose=0)])


def test_a_model_that_is_built_by_its_data_takes_them_too():
    model = Sequential([filling(lamina), layers.Dense(1)])
    model.compile("sgd", "mse")
    said_once(lambda: model.fit(NO_VALUE, Y, verbose=0))
    other = Sequential([layers.Dense(2), filling(lamina), layers.Dense(1)])
    other.compile("sgd", "mse")
    with pytest.raises(DataError, match=r"x\[2, 1\] is NaN"):
        other.fit(NO_VALUE, Y, verbose=0)
    assert not other.built


def test_a_step_of_ones_own_gets_all_of_them():
    class Own(Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return lamina.ops.mean(masked(lamina)(y, y_pred))

    model = Own([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd")
    history, _ = said_once(lambda: model.fit(X, NO_LABEL, verbose=0))
    assert np.isfinite(history.history["loss"]).all()


def test_where_no_code_of_ones_own_sees_them_they_are_refused_as_before():
    with pytest.raises(LabelError, match=r"y\[3, 0\] is NaN"):
        stack(lamina).fit(X, NO_LABEL, verbose=0)
    with pytest.raises(LabelError, match=r"y\[3, 0\] is NaN"):
        stack(lamina, "mse", filling(lamina)).fit(X, NO_LABEL, verbose=0)
    with pytest.raises(DataError, match=r"x\[2, 1\] is NaN"):
        stack(lamina, masked(lamina)).fit(NO_VALUE, Y, verbose=0)
    # In Keras the kernel before it becomes NaN, and the layer hides that.
    with pytest.raises(DataError, match=r"x\[2, 1\] is NaN"):
        stack(lamina, "mse", layers.Dense(2), filling(lamina)).fit(NO_VALUE, Y, verbose=0)
    with pytest.raises(LabelError, match=r"sample_weight\[3\] is NaN"):
        stack(lamina, masked(lamina)).fit(X, Y, sample_weight=NO_LABEL[:, 0], verbose=0)


def test_a_loss_that_becomes_nan_all_the_same_is_an_error():
    model = stack(lamina, lambda y, p: lamina.ops.mean((y - p) ** 2, axis=-1))
    before = model.get_weights()
    with pytest.warns(LaminaWarning, match="or the loss becomes NaN"), pytest.raises(NonFiniteError):
        model.fit(X, NO_LABEL, verbose=0)
    assert all(map(np.array_equal, model.get_weights(), before))


@pytest.mark.parametrize("check", ["_sees_inputs", "_sees_targets"])
def test_finite_batches_of_a_stream_do_not_ask_for_code_of_the_users_own(check, monkeypatch):
    def batches(*arrays):
        return ((x, Y) for x in arrays)

    asked, ask = [], getattr(gaps, check)
    monkeypatch.setattr(gaps, check, lambda model: asked.append(model) or ask(model))
    model = stack(lamina)
    model.fit(batches(X, X, X, X), steps_per_epoch=4, verbose=0)
    model.fit(X, Y, verbose=0)
    assert asked == []
    with pytest.raises(DataError, match=re.escape("x[2, 1] is NaN")):
        model.fit(batches(NO_VALUE, X), steps_per_epoch=2, verbose=0)
    assert asked == [model]
