"""Weights of classes and of samples, and what a mask leaves to them."""

import numpy as np
import pytest
from small_models import X, both

import lamina


def three_classes(keras, **compiled):
    told = {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "weighted_metrics": ["accuracy"], **compiled}
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(**told)
    return model


@both
def test_class_weight_counts_in_training_and_not_in_the_rows_that_are_held_out(keras):
    labels, weights = np.arange(64) % 3, {0: 1.0, 1: 5.0, 2: 20.0}
    model = three_classes(keras)
    model.build((None, 4))
    before, held = model.get_weights(), (X[48:], labels[48:])
    runs = []
    for told in ({"validation_split": 0.25}, {"validation_data": held}):
        model.set_weights(before)
        x, y = (X, labels) if "validation_split" in told else (X[:48], labels[:48])
        runs.append(model.fit(x, y, shuffle=False, class_weight=weights, verbose=0, **told).history)
    assert list(runs[0]) == list(runs[1])
    np.testing.assert_allclose(list(runs[0].values()), list(runs[1].values()), rtol=1e-5)
    held_out = [runs[0]["val_loss"][0], runs[0]["val_accuracy"][0]]
    np.testing.assert_allclose(model.evaluate(*held, verbose=0), held_out, rtol=1e-5)


@both
@pytest.mark.parametrize("size", [16, 9], ids=["full batches", "a short last batch"])
@pytest.mark.parametrize("one_hot", [False, True])
def test_sample_weights_may_stand_in_a_column(keras, one_hot, size):
    labels, weights = np.arange(64) % 3, np.linspace(0, 2, 64)
    labels = np.eye(3)[labels] if one_hot else labels
    model = three_classes(keras, loss="categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy")
    model.build((None, 4))
    before, runs = model.get_weights(), []
    for each in (weights, weights[:, None]):
        model.set_weights(before)
        history = model.fit(X, labels, size, shuffle=False, sample_weight=each, verbose=0).history
        measured = model.evaluate(X, labels, size, sample_weight=each, verbose=0)
        runs.append([*np.ravel(list(history.values())), *measured])
    np.testing.assert_allclose(*runs, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype")  # of real Keras
@both
@pytest.mark.parametrize(("shape", "size"), [((6, 6, 1), 6), ((6, 1), 6), ((5, 1), 6), ((8, 8, 1), 6)])
def test_counts_of_a_short_last_batch_whose_targets_end_in_an_axis_of_1(keras, shape, size):
    x = np.random.default_rng(0).random((16, *shape)).astype("float32")
    y = (x > 0.5).astype("float32")
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(1, activation="sigmoid")])
    model.set_weights([np.ones((1, 1)), -0.7 * np.ones(1)])
    counted = [keras.metrics.TruePositives(), keras.metrics.FalseNegatives(), keras.metrics.BinaryIoU(name="iou")]
    model.compile("sgd", "binary_crossentropy", metrics=[*counted, keras.metrics.AUC(name="auc")])
    _, true, missed, iou, auc = model.evaluate(x, y, batch_size=size, verbose=0)
    right, wrong = int((x > 0.7).sum()), int(((x > 0.5) & (x <= 0.7)).sum())
    assert (true, missed) == (right, wrong)
    assert iou == pytest.approx(np.mean([right / (right + wrong), (y == 0).sum() / ((y == 0).sum() + wrong)]), rel=1e-5)
    assert auc > 0.999


@both
def test_weights_of_each_step_beside_outputs_whose_last_axis_is_1(keras):
    y = (np.arange(64 * 4).reshape(64, 4, 1) % 3 == 0).astype("float32")
    weights = np.linspace(0, 1, 64 * 4).reshape(64, 4)
    model = keras.Sequential(
        [keras.Input((4, 1)), keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer="ones")]
    )
    model.compile("sgd", "mse", weighted_metrics=[keras.metrics.TruePositives()])
    _, true = model.evaluate(X[..., None], y, sample_weight=weights, batch_size=64, verbose=0)
    assert true == pytest.approx((y[..., 0] * weights).sum(), rel=1e-5)


@both
@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"validation_steps": 1}, 34.5),
        ({"validation_steps": 2}, 34.5),
        ({"validation_steps": 1, "steps_per_epoch": 7}, 34.5),
    ],
)
def test_a_validation_that_is_told_its_steps_sees_all_rows(keras, told, expected):
    x, y = np.zeros((70, 1)), np.arange(70.0)[:, None]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(0.0), "mae")
    assert model.fit(x, y, validation_data=(x, y), verbose=0, **told).history["val_loss"] == [pytest.approx(expected)]
    assert model.predict(x, steps=2, verbose=0).shape == (70, 1)


@both
def test_a_focal_loss_takes_a_factor_for_each_class(keras):
    y, p = np.eye(4, dtype="float32")[[0, 2]], np.array([[0.4, 0.2, 0.2, 0.2], [0.1, 0.2, 0.3, 0.4]], "float32")
    loss = keras.losses.CategoricalFocalCrossentropy(alpha=[0.1, 0.2, 0.3, 0.4], gamma=1.0)
    expected = np.mean([-0.1 * 0.6 * np.log(0.4), -0.3 * 0.7 * np.log(0.3)])
    assert float(loss(y, p)) == pytest.approx(expected, rel=1e-5)
    if keras is lamina:
        again = type(loss).from_config(loss.get_config())
        assert float(again(y, p)) == pytest.approx(expected, rel=1e-5)
        with pytest.raises(lamina.errors.ArgumentError, match="alpha"):
            keras.losses.CategoricalFocalCrossentropy(alpha=["a"])
