"""Small differences from Keras: hooks of data, changes while `fit` runs, and errors that say what to type."""

import warnings

import keras
import numpy as np
import pytest

import lamina
from lamina import callbacks, layers, ops, utils
from lamina.errors import ArgumentError, FileError, LaminaWarning, NoMemoryError, ShapeError

X, Y = np.ones((8, 2), "float32"), np.zeros((8, 1), "float32")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def stack(library=lamina):
    model = library.Sequential([library.Input((2,)), library.layers.Dense(1, kernel_initializer="ones")])
    model.compile(library.optimizers.SGD(0.01), "mse")
    return model


@pytest.mark.parametrize("run", ["fit", "again", "validation", "evaluate", "predict"])
def test_the_hook_for_an_epochs_end_is_called_as_often_as_in_keras(run):
    def ends(library):
        class Batches(library.utils.PyDataset):
            ends = 0

            def __len__(self):
                return 2

            def __getitem__(self, index):
                return X[:4] * index, Y[:4]

            def on_epoch_end(self):
                self.ends += 1

        model, batches = stack(library), Batches()
        if run == "validation":
            model.fit(X, Y, epochs=3, validation_data=batches, verbose=0)
        elif run in ("fit", "again"):
            model.fit(batches, epochs=2, verbose=0)
            if run == "again":
                model.fit(batches, epochs=3, verbose=0)
        else:
            getattr(model, run)(batches, verbose=0)
        return batches.ends

    assert ends(lamina) == ends(keras)


@pytest.mark.parametrize("changed", ["compile", "trainable"])
def test_what_a_callback_changes_too_late_is_said_once(changed):
    model = stack()

    def change(epoch, logs):
        if epoch == 1:
            model.compile("adam", "mae") if changed == "compile" else setattr(model.layers[0], "trainable", False)

    with pytest.warns(LaminaWarning, match=rf"{changed} while fit runs.*next fit") as said:
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_begin=change)])
    assert len(said) == 1 and "initial_epoch=5" in str(said[0].message)


def test_what_is_put_back_or_changed_at_the_end_is_not_said():
    model = stack()

    class Toggles(callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            model.trainable = False
            model.trainable = True

        def on_train_end(self, logs=None):
            model.trainable = False
            model.compile("adam", "mae")

    with warnings.catch_warnings():
        warnings.simplefilter("error", LaminaWarning)
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[Toggles()])


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0])
def test_a_rate_that_cannot_be_names_the_callback_and_the_epoch(rate):
    with pytest.raises(ArgumentError, match="LearningRateScheduler: the schedule must return the rate of epoch 0"):
        stack().fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda epoch: rate)])


@pytest.mark.parametrize("label", [10**12, 10**20])
def test_labels_that_are_no_class_numbers(label):
    with pytest.raises(ArgumentError, match="bytes of memory are free") as caught:
        utils.to_categorical([label])
    assert "return_inverse=True" in str(caught.value)


def test_many_classes_take_the_memory_of_their_rows_alone():
    rows = utils.to_categorical([[99_999], [3]])
    assert rows.shape == (2, 100_000) and rows.argmax(1).tolist() == [99_999, 3] and rows.sum() == 2


def test_rows_that_are_too_long():
    with pytest.raises(ArgumentError, match=r"pad_sequences\(maxlen=1000000000000\).*4,000,000,000,000 bytes"):
        utils.pad_sequences([[1, 2]], maxlen=10**12)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("zeros", lambda shape: ops.zeros(shape)), ("tile", lambda shape: ops.tile(np.ones(shape[:1]), shape[1])),
        ("Initializer", lambda shape: lamina.initializers.Zeros()(shape)),
        ("Initializer", lambda shape: lamina.initializers.GlorotUniform()(shape)),
        ("Initializer", lambda shape: lamina.Variable("zeros", shape=shape)),
    ],
)  # fmt: skip
def test_an_array_that_is_too_large_is_an_error_of_ours(name, make):
    with pytest.raises(NoMemoryError, match=rf"^{name} needs .*memory is free") as caught:
        make((10**6, 10**7))
    assert isinstance(caught.value, MemoryError)


def test_the_users_own_lack_of_memory_stays_as_it_is():
    full = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: np.zeros((10**6, 10**7)))
    with pytest.raises(MemoryError) as caught:
        stack().fit(X, Y, verbose=0, callbacks=[full])
    assert not isinstance(caught.value, NoMemoryError)


def test_a_folder_whose_states_are_all_broken_says_what_to_do(tmp_path, monkeypatch):
    stack().fit(X, Y, epochs=2, verbose=0, checkpoint=tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        file.write_bytes(b"")
    monkeypatch.setattr("lamina._saving.checkpoint._ended", {})  # as in the next process
    with (
        pytest.raises(FileError, match=r"file is\s+empty") as caught,
        pytest.warns(LaminaWarning, match="resumes from the state before"),
    ):
        stack().fit(X, Y, epochs=2, verbose=0, checkpoint=tmp_path)
    assert str(tmp_path) in str(caught.value) and "delete that folder" in str(caught.value)


def test_shapes_of_a_model_with_several_outputs():
    def shapes(library):
        model = stack(library)
        model.add(library.layers.Dense(3))
        first, last = [layer.output for layer in model.layers]
        looked = [library.Model(model.inputs, outputs) for outputs in ({"b": last, "a": [first, last]}, [first, last])]
        return [(each.input_shape, each.output_shape) for each in looked]

    assert shapes(lamina) == shapes(keras)
    assert shapes(lamina)[1] == ((None, 2), [(None, 1), (None, 3)])


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((4, 2), lambda: layers.Conv1DTranspose(2, 3, strides=10**12)),
        ((4, 4, 2), lambda: layers.AdaptiveAveragePooling2D(10**6)),
        ((4, 4, 2), lambda: layers.AdaptiveAveragePooling2D(2**16)),
    ],
)
def test_sizes_that_no_memory_holds_are_refused_at_once(shape, layer):
    with pytest.raises((ArgumentError, ShapeError)):
        lamina.Sequential([layers.Input(shape), layer()])
