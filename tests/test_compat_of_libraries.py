"""What libraries around Keras do to it when they are imported or switched on, beside what programs do."""

import re

import numpy as np
import pytest
from test_compat import hook  # noqa: F401

from lamina.errors import UnknownAttributeError

X = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
Y = X[:, :1]


def compiled(keras):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_a_module_of_keras_without_a_place_here_may_be_named_and_not_called(hook):  # noqa: F811
    import keras

    names = {}
    exec("from keras import *", names)
    table = {"B0": names["applications"].efficientnet.EfficientNetB0}
    with pytest.raises(UnknownAttributeError, match=re.escape("keras.applications.efficientnet.EfficientNetB0 is not")):
        table["B0"](weights=None)
    assert not hasattr(keras.applications, "__wrapped__")


def test_a_function_put_around_a_method_of_keras_model_is_around_that_of_each_model(hook, tmp_path):  # noqa: F811
    import keras

    calls, fit = [], vars(keras.Model)["fit"]

    def wrapped(self, *args, **kwargs):
        calls.append(self)
        return fit(self, *args, **kwargs)

    keras.Model.fit = wrapped
    model = compiled(keras)
    assert len(model.fit(X, Y, nb_epoch=2, verbose=0).epoch) == 2 and calls == [model]
    path = tmp_path / "model.keras"
    model.save(path)
    assert keras.models.load_model(path).input_dtype == "float32"
    keras.Model.fit = fit
    model.fit(X, Y, verbose=0)
    assert len(calls) == 1
    keras.Model.note = "mine"
    assert not hasattr(keras.Sequential, "note")
    del keras.Model.note


def test_a_subclass_of_modelcheckpoint_uses_its_inner_methods(hook, tmp_path):  # noqa: F811
    import keras

    class Listed(keras.callbacks.ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            if self._should_save_on_batch(batch):
                self._save_model(epoch=self._current_epoch, batch=batch, logs=logs)
                files.append(self._get_file_path(epoch=self._current_epoch, batch=batch, logs=logs))

        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if self.save_freq == "epoch":
                files.append(self._get_file_path(epoch=epoch, batch=None, logs=logs))

    for frequency, named, expected in (("epoch", "{epoch}", ["1", "2"]), (3, "{epoch}-{batch}", ["1-3", "2-2"])):
        files = []
        path = str(tmp_path / f"{named}.keras")
        callback = Listed(path, save_freq=frequency)
        compiled(keras).fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[callback])
        assert files == [str(tmp_path / f"{name}.keras") for name in expected]
        assert sorted(each.name for each in tmp_path.glob("*.keras")) == sorted(f"{name}.keras" for name in expected)
        for each in tmp_path.glob("*.keras"):
            each.unlink()


def test_objects_of_a_library_are_found_as_keras_2_was_told_of_them(hook):  # noqa: F811
    import keras

    class Int:
        def __init__(self, low):
            self.low = low

        @classmethod
        def from_config(cls, config):
            return cls(**config)

    config, table = {"class_name": "Int", "config": {"low": 3}}, {"Int": Int}
    legacy, today = keras.utils.legacy.deserialize_keras_object, keras.utils.deserialize_keras_object
    for found in (legacy(config, None, table), legacy(config, table), today(config, module_objects=table)):
        assert type(found) is Int and found.low == 3


def test_the_version_can_be_asked_as_of_keras_3(hook):  # noqa: F811
    import keras

    assert keras.version() == keras.__version__ == "3.15.1"
