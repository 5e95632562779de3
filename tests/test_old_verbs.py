"""The methods and arguments of Keras 1 and 2 beside the calls of today that they became."""

import importlib
import os

import numpy as np
import pytest
from test_old_spellings import keras, told  # noqa: F401

import lamina
from lamina import compat
from lamina.errors import ArgumentError, LaminaWarning

X = np.random.default_rng(0).normal(size=(24, 5)).astype("float32")
Y = np.eye(3)[np.arange(24) % 3]


def stack(keras, units=3):  # noqa: F811
    keras.utils.set_random_seed(1)
    last = keras.layers.Dense(units, activation="softmax" if units > 1 else "sigmoid")
    model = keras.Sequential([keras.layers.Dense(4, input_dim=5), last])
    model.compile("sgd", "mse", metrics=["accuracy"])
    return model


def batches(size=8):
    while True:
        for at in range(0, len(X), size):
            yield X[at : at + size], Y[at : at + size]


class Counted:
    """Batches that say how large they are, as those of ImageDataGenerator."""

    batch_size = 8

    def __init__(self):
        self.batches = batches()

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.batches)


def test_generators_are_batches_for_the_verbs_of_today(keras, told):  # noqa: F811
    today = stack(keras)
    expected = today.fit(batches(), steps_per_epoch=3, epochs=2, verbose=0).history["loss"]
    for steps in ({"steps_per_epoch": 3, "epochs": 2}, {"samples_per_epoch": 24, "nb_epoch": 2}):
        for data in (batches(), Counted()):
            model = stack(keras)
            history = model.fit_generator(
                data, verbose=0, validation_data=batches(), max_q_size=2, **steps,
                **({"nb_val_samples": 16} if "nb_epoch" in steps else {"validation_steps": 2}),
            ).history  # fmt: skip
            assert history["loss"] == expected and len(history["val_loss"]) == 2
    loss = today.evaluate(X[:16], Y[:16], batch_size=8, verbose=0)
    assert today.evaluate_generator(batches(), 2) == today.evaluate_generator(Counted(), val_samples=16) == loss
    y = today.predict(X[:16], verbose=0)
    np.testing.assert_array_equal(today.predict_generator(batches(), steps=2), y)
    np.testing.assert_array_equal(today.predict_generator(Counted(), val_samples=16), y)
    said = told()
    assert "fit_generator(samples_per_epoch=) is now fit_generator(steps_per_epoch=)." in said
    assert "predict_generator(generator) is now predict(generator)." in said
    assert today.fit(X, Y, epochs=1, steps_per_epoch=24 / 8, batch_size=8, verbose=0).history["loss"]


def test_classes_and_probabilities_are_those_of_predict(keras, told):  # noqa: F811
    model, one = stack(keras), stack(keras, 1)
    np.testing.assert_array_equal(model.predict_classes(X), model.predict(X, verbose=0).argmax(-1))
    np.testing.assert_array_equal(one.predict_classes(X), (one.predict(X, verbose=0) > 0.5).astype("int32"))
    np.testing.assert_array_equal(model.predict_proba(X), model.predict(X, verbose=0))
    assert told()[-1] == "predict_proba(x) is now predict(x)."


def test_states_of_a_model_and_of_a_metric(keras, told):  # noqa: F811
    model = keras.Sequential([keras.layers.LSTM(2, batch_input_shape=(4, 3, 1), stateful=True), keras.layers.Dense(1)])
    assert model.stateful and not stack(keras).stateful
    x = np.ones((4, 3, 1))
    first = model.predict(x, verbose=0)
    assert (model.predict(x, verbose=0) != first).any()
    model.reset_states()
    np.testing.assert_array_equal(model.predict(x, verbose=0), first)

    class Counts(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.stateful, self.count = True, 3

        def call(self, x):
            return x

    class Resets(Counts):
        def reset_states(self):
            self.count = 0

    model = keras.Sequential([Counts(), Resets()])
    model.reset_states()
    assert [layer.count for layer in model.layers] == [3, 0]
    metric = keras.metrics.Mean()
    metric.update_state([2.0])
    metric.reset_states()
    assert metric.result() == 0
    model._make_predict_function()
    with pytest.warns(LaminaWarning, match="reading YAML"), pytest.raises(RuntimeError, match="to_json"):
        model.to_yaml()
    assert told() == [
        "reset_states() of a model is now reset_state() of its layers.",
        "reset_states() of a metric is now reset_state().",
    ]


def test_the_accuracy_s_older_name_in_callbacks(keras, told, tmp_path):  # noqa: F811
    name = str(tmp_path / "{epoch}-{val_acc:.3f}.h5")
    checkpoint = keras.callbacks.ModelCheckpoint(name, "val_acc", 0, True, False, "max")
    model = stack(keras)
    history = model.fit(X, Y, validation_data=(X, Y), epochs=1, verbose=0, callbacks=[checkpoint]).history
    assert os.listdir(tmp_path) == [f"1-{history['val_accuracy'][0]:.3f}.h5"]
    assert told() == [
        "monitor='val_acc' is now monitor='val_accuracy'.",
        "{val_acc} in the name of a file is now {val_accuracy}.",
    ]


def test_files_without_an_ending_are_made_with_their_folders(keras, told, tmp_path):  # noqa: F811
    model = stack(keras)
    model.save_weights(tmp_path / "training" / "cp")
    model.save(str(tmp_path / "whole" / "model"))
    assert model.load_weights(tmp_path / "training" / "cp").expect_partial()
    loaded = keras.models.load_model(str(tmp_path / "whole" / "model"))
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert (tmp_path / "training" / "cp.weights.h5").exists() and len(told()) == 2
    weights = model.get_weights()
    model.save_weights(tmp_path / "weights.h5")
    model.set_weights([0 * weight for weight in weights])
    model.load_weights(tmp_path / "weights.h5")
    np.testing.assert_array_equal(model.get_weights()[0], weights[0])
    assert told() == [
        "save_weights('....h5') is now save_weights('....weights.h5'); here the file holds the layers too."
    ]


def test_callbacks_by_position_in_the_order_of_keras_2(keras, told, tmp_path):  # noqa: F811
    begun, c = [], keras.callbacks
    made = [
        c.ModelCheckpoint(str(tmp_path / "{epoch:02d}.h5"), "loss", 0, False, False, "auto", 2),
        c.TensorBoard(str(tmp_path / "logs"), 0, 32, True),
        c.LambdaCallback(None, None, lambda batch, logs: begun.append(batch), None, lambda logs: begun.append("begin")),
        c.ProgbarLogger("steps"), c.BaseLogger(), c.LambdaCallback(None, None, lambda logs: begun.append("new")),
    ]  # fmt: skip
    stack(keras).fit(X, Y, epochs=3, verbose=0, callbacks=made)
    assert sorted(os.listdir(tmp_path)) == ["02.h5", "logs"]
    assert begun == ["begin", "new", 0, 0, 0] and made[1].write_graph
    assert "ProgbarLogger(count_mode=, stateful_metrics=) have no effect now." in told()


def test_compile_by_position_in_the_order_of_keras_2(keras, told):  # noqa: F811
    model = stack(keras)
    for third in (["accuracy"], "accuracy"):
        model.compile("sgd", "mse", third)
        assert list(model.evaluate(X, Y, verbose=0, return_dict=True)) == ["loss", "accuracy"]
    plain = model.evaluate(X, Y, verbose=0)[0]
    model.compile("sgd", "mse", ["accuracy"], [2.0])
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(2 * plain)
    model.compile("sgd", "mse", 2.0)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(2 * plain)
    assert len(told()) == 1


def test_a_rate_that_falls_can_be_set_and_is_kept_in_configs(keras, tmp_path):  # noqa: F811
    model = stack(keras)
    model.compile(keras.optimizers.SGD(lr=0.5, decay=0.25), "mse")
    model.optimizer.lr.assign(0.1)
    rates = [model.optimizer.learning_rate]
    assert float(rates[0]) == np.float32(0.1)
    config = keras.optimizers.serialize(model.optimizer)["config"]["learning_rate"]
    assert config["class_name"] == "InverseTimeDecay" and config["config"]["decay_rate"] == 0.25
    kernel = model.get_weights()[0]
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    twin.compile(keras.optimizers.SGD(keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 0.25)), "mse")
    for each in (model, twin):
        each.fit(X, Y, epochs=2, batch_size=8, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], twin.get_weights()[0], rtol=1e-6)
    assert (model.get_weights()[0] != kernel).any()
    with pytest.raises(ArgumentError, match="the rate here is a schedule"):
        keras.optimizers.SGD(lr=keras.optimizers.schedules.InverseTimeDecay(0.1, 1, 0.25), decay=0.1)


def test_layers_with_the_arguments_of_keras_1(keras, told):  # noqa: F811
    k = keras.layers
    kernel = np.arange(15.0).reshape(5, 3)
    model = keras.Sequential([k.Dense(3, input_dim=5, weights=[kernel, np.ones(3)])])
    np.testing.assert_array_equal(model.get_weights()[0], kernel)
    old = [
        (k.Convolution2D(2, 3, 4, dim_ordering="th", batch_input_shape=(None, 1, 8, 8)), (None, 2, 6, 5)),
        (k.Convolution2D(2, (3, 4), input_shape=(8, 8, 1)), (None, 6, 5, 2)),
        (k.Convolution2D(nb_filter=2, nb_row=3, nb_col=4, input_shape=(8, 8, 1)), (None, 6, 5, 2)),
        (k.Dense(2, input_dim=5, batch_size=7), (7, 2)), (k.LSTM(2, input_dim=3, input_length=4, batch_size=7), (7, 2)),
        (k.ThresholdedReLU(0.5, input_shape=(3,)), (None, 3)),
    ]  # fmt: skip
    for layer, shape in old:
        assert keras.Sequential([layer]).output_shape == shape
    np.testing.assert_array_equal(old[-1][0](np.array([[0.4, 0.5, 0.6]])), np.float32([[0, 0, 0.6]]))
    assert "Convolution2D(filters, 3, 4) is now Conv2D(filters, (3, 4))." in told()


def test_words_of_texts_have_the_name_of_keras_1(keras, told, monkeypatch):  # noqa: F811
    given = {}
    compat.uninstall()
    monkeypatch.setattr(lamina.datasets.imdb, "load_data", lambda **named: given.update(named))
    compat.install()
    importlib.import_module("keras.datasets.imdb").load_data(nb_words=7)
    assert given == {"num_words": 7} and told() == ["load_data(nb_words=) is now load_data(num_words=)."]


def test_what_is_trained_is_settled_by_compile(keras, told):  # noqa: F811
    model = stack(keras)
    first, last = model.layers

    def changed(train):
        before = [layer.get_weights()[0] for layer in model.layers]
        train()
        return [bool((layer.get_weights()[0] != old).any()) for layer, old in zip(model.layers, before, strict=True)]

    first.trainable = False
    assert changed(lambda: model.train_on_batch(X, Y)) == [True, True] and not first.trainable
    assert changed(lambda: model.fit(X, Y, verbose=0)) == [True, True] and len(told()) == 1
    model.compile("sgd", "mse")
    assert changed(lambda: model.train_on_batch(X, Y)) == [False, True]
    first.trainable = last.trainable = True
    assert changed(lambda: model.fit(X, Y, verbose=0)) == [False, True] and first.trainable
