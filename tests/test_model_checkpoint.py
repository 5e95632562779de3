"""ModelCheckpoint saves at the moments at which Keras's does."""

import os

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lamina
from lamina import callbacks
from lamina._training.trainer import Trainer
from lamina.callbacks import CallbackList, ModelCheckpoint
from lamina.callbacks.callback_list import wants_each_batch
from lamina.errors import ArgumentError, LaminaWarning


class Model:
    """Notes when it was saved, and how."""

    def __init__(self):
        self.metrics, self.stop_training, self.files, self.now = [], False, [], None

    def save(self, path, overwrite):
        self.files.append((self.now, "model", path, overwrite))

    def save_weights(self, path, overwrite):
        self.files.append((self.now, "weights", path, overwrite))


def saved(library, callback, epochs, batches=(0,), fits=1):
    """When and where a training with these numbers saves; of each batch as well, for `save_freq`."""
    model = Model()
    every = library.CallbackList([callback], model=model, verbose=0, epochs=len(epochs), steps=len(batches))
    for fit in range(fits):
        every.on_train_begin()
        for epoch, logs in enumerate(epochs):
            every.on_epoch_begin(epoch)
            for batch in batches:
                model.now = fit, epoch, batch
                every.on_train_batch_end(batch, {"loss": logs["loss"] - batch / 64})
            model.now = fit, epoch, "end"
            every.on_epoch_end(epoch, dict(logs))
        every.on_train_end()
    return model.files


eighths = st.integers(-20, 20).map(lambda n: n / 8)  # exact in float32, in which Keras compares


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.tuples(eighths, eighths), min_size=1, max_size=8),
    batches=st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True).map(sorted),
    fits=st.integers(1, 2),
    monitor=st.sampled_from(["loss", "val_loss"]),
    arguments=st.fixed_dictionaries(
        {
            "save_best_only": st.booleans(),
            "save_weights_only": st.booleans(),
            "mode": st.sampled_from(["auto", "min", "max"]),
            "save_freq": st.sampled_from(["epoch", 1, 2, 3, 7]),
            "initial_value_threshold": st.none() | eighths,
        }
    ),
)
def test_files_are_those_of_keras(values, batches, fits, monitor, arguments):
    epochs = [{"loss": loss, "val_loss": validated} for loss, validated in values]
    if arguments["save_freq"] != "epoch":
        monitor = "loss"  # a batch has no other number, and then Keras saves whatever there was
    ending = ".weights.h5" if arguments["save_weights_only"] else ".keras"
    name = "{epoch:02d}-{loss:.3f}" + ("-{val_loss}" if arguments["save_freq"] == "epoch" else "-{batch}") + ending
    ours = ModelCheckpoint(name, monitor, **arguments)
    theirs = keras.callbacks.ModelCheckpoint(name, monitor, **arguments)
    if arguments["save_freq"] != "epoch":
        theirs.set_model(Model())
        theirs._set_monitor_op()  # else Keras fails in the first epoch
    assert saved(callbacks, ours, epochs, batches, fits) == saved(keras.callbacks, theirs, epochs, batches, fits)
    assert ours.best == theirs.best


def test_what_it_says_is_what_keras_says(capsys):
    epochs = [{"loss": 1.0}, {"loss": 0.72869}, {"loss": 0.9}]
    told = {}
    for library in (callbacks, keras.callbacks):
        for best in (True, False):
            saved(library, library.ModelCheckpoint("m.keras", "loss", verbose=1, save_best_only=best), epochs)
        told[library] = [line for line in capsys.readouterr().out.splitlines() if line]
    assert told[callbacks] == told[keras.callbacks]
    assert "Epoch 2: loss improved from 1.00000 to 0.72869, saving model to m.keras" in told[callbacks]
    assert "Epoch 3: loss did not improve from 0.72869" in told[callbacks]


def test_batches_are_told_only_where_they_matter():
    def wanted(callback):
        return wants_each_batch(CallbackList([callback]), "train")

    class Own(ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)

    assert not wanted(ModelCheckpoint("m.keras"))
    assert not wanted(ModelCheckpoint("m.keras", save_freq=10))
    assert wanted(Own("m.keras"))


@pytest.mark.parametrize("stream", [False, True])
def test_steps_between_two_files_are_trained_in_one_call(tmp_path, monkeypatch, stream):
    calls, train = [], Trainer.train
    monkeypatch.setattr(
        Trainer, "train", lambda self, chunk, sums=None: calls.append(chunk.steps) or train(self, chunk, sums)
    )
    model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((36, 2)), np.ones((36, 1))
    batches = [(x[:3], y[:3])] * 12
    checkpoint = ModelCheckpoint(tmp_path / "{epoch}-{batch}.weights.h5", save_weights_only=True, save_freq=5)
    for _ in range(2):
        model.fit(*([batches] if stream else [x, y]), epochs=2, batch_size=None if stream else 3, verbose=0,
                  callbacks=[checkpoint])  # fmt: skip
    ends = set(np.cumsum(calls).tolist())
    assert {5, 10, 15, 20, 25, 30, 35, 40, 45} <= ends and sum(calls) == 48 and len(calls) < 25
    names = ["1-1", "1-10", "1-11", "1-5", "1-6", "2-3", "2-4", "2-8", "2-9"]
    assert sorted(os.listdir(tmp_path)) == [f"{name}.weights.h5" for name in names]


def test_without_its_number_each_model_is_saved_until_there_is_a_best():
    """Keras replaces the best model in an epoch without validation."""
    epochs = [{"loss": 1.0}, {"loss": 1.0, "val_loss": 1.0}, {"loss": 1.0}, {"loss": 1.0, "val_loss": 0.5}]
    with pytest.warns(
        LaminaWarning, match=r"'val_loss' is known only at the end of an epoch with validation"
    ) as warned:
        files = saved(callbacks, ModelCheckpoint("{epoch}.keras", save_best_only=True), [*epochs, {"loss": 1.0}])
    assert [path for _, _, path, _ in files] == ["1.keras", "2.keras", "4.keras"] and len(warned) == 1
    with pytest.warns(LaminaWarning, match=r"Did you mean 'loss'"):
        files = saved(callbacks, ModelCheckpoint("{epoch}.keras", "los", save_best_only=True, mode="min"), epochs)
    assert len(files) == 4
    theirs = keras.callbacks.ModelCheckpoint("{epoch}.keras", "los", save_best_only=True, mode="min")
    with pytest.warns(UserWarning, match="Can save best model only with"):
        assert saved(keras.callbacks, theirs, epochs) == files


def test_a_number_that_is_an_array_or_nan_is_never_the_best():
    with pytest.warns(LaminaWarning, match="'loss' is not one number"):
        assert (
            len(saved(callbacks, ModelCheckpoint("m.keras", "loss", save_best_only=True), [{"loss": np.ones(2)}])) == 1
        )
    checkpoint = ModelCheckpoint("m.keras", "loss", save_best_only=True)
    assert len(saved(callbacks, checkpoint, [{"loss": value} for value in (float("nan"), 2.0, float("nan"), 1.0)])) == 2
    assert checkpoint.best == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filepath": "model"}, "Write filepath='model.keras'"),
        ({"filepath": "m.hdf5"}, "Write filepath='m.keras'"),
        ({"filepath": "m.keras", "save_weights_only": True}, "Write filepath='m.weights.h5'"),
        ({"filepath": "cp-{epoch:04d}.ckpt", "save_weights_only": True}, "Write filepath='cp-{epoch:04d}.weights.h5'"),
        ({"filepath": "m.h5", "save_weights_only": True}, "Write filepath='m.weights.h5'"),
        ({"filepath": 3}, "expected the name of a file"),
        ({"filepath": "{epoch.keras"}, "expected '}'"),
        ({"filepath": "{}.keras"}, "positional"),
        ({"filepath": "{0}.keras"}, "positional"),
        ({"filepath": "{epoch:zz}.keras"}, "Write for example {epoch:02d}"),
        ({"filepath": "{val_loss:d}.keras"}, "Unknown format code 'd'"),
        ({"filepath": "{epoch.number}.keras"}, "more than a name and a form"),
        ({"save_freq": 0}, 'expected "epoch" or a number of batches, such as 100, got 0'),
        ({"save_freq": "epochs"}, "got 'epochs'"),
        ({"save_freq": 2.5}, "got 2.5"),
        ({"mode": "best"}, "expected one of 'auto', 'min', 'max'"),
        ({"save_best_only": "yes"}, "expected True or False"),
        ({"monitor": None}, "the name of a loss or metric"),
        ({"period": 3}, "save_freq="),
        ({"save_best": True}, "Did you mean 'save_best_only'"),
        ({"initial_value_threshold": "0.5"}, "expected a number"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises(ArgumentError) as caught:
        ModelCheckpoint(**{"filepath": "m.keras", **arguments})
    assert words in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"monitor": "val_acc"}, "Did you mean 'val_accuracy'"),
        ({"filepath": "{val_acuracy:.2f}.keras"}, "there is no number 'val_acuracy' now. Did you mean 'val_accuracy'"),
        ({"filepath": "{batch}.keras"}, "there is no number 'batch' now"),
        ({"filepath": "{val_loss:.2f}.keras", "save_freq": 5}, "there is no number 'val_loss' now"),
    ],
)
def test_a_name_that_no_epoch_will_have_is_told_before_the_first_step(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    model = lamina.Sequential([lamina.Input((2,)), lamina.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["accuracy"])
    before = model.get_weights()[0]
    with pytest.raises(ArgumentError) as caught:
        model.fit(np.ones((8, 2)), np.ones(8), validation_split=0.5, verbose=0,
                  callbacks=[ModelCheckpoint(**{"filepath": "m.keras", **arguments})])  # fmt: skip
    assert words in " ".join(str(caught.value).split())
    assert np.array_equal(model.get_weights()[0], before) and os.listdir(tmp_path) == []


def test_a_name_that_this_epoch_does_not_have_is_told():
    with pytest.raises(ArgumentError, match=r"there is no number 'val_loss' now"):
        saved(callbacks, ModelCheckpoint("{val_loss}.keras"), [{"loss": 1.0}])


def test_its_folders_are_made(tmp_path):
    saved(callbacks, ModelCheckpoint(tmp_path / "runs" / "{epoch}" / "m.keras"), [{"loss": 1.0}] * 2)
    assert sorted(os.listdir(tmp_path / "runs")) == ["1", "2"]


def test_a_copy_of_it_tells_batches_as_it_does():
    import copy
    import pickle

    for each in (copy.deepcopy, lambda callback: pickle.loads(pickle.dumps(callback))):
        twin = each(ModelCheckpoint("m.keras", "loss", save_best_only=True, initial_value_threshold=0.5))
        assert (
            repr(twin) == "ModelCheckpoint('m.keras', monitor='loss', save_best_only=True, initial_value_threshold=0.5)"
        )
        assert len(saved(callbacks, twin, [{"loss": 1.0}, {"loss": 0.25}])) == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("{epoch}.keras", {}),
        ("best.keras", {"monitor": "val_loss", "save_best_only": True}),
        ("{epoch}-{batch}.weights.h5", {"save_weights_only": True, "save_freq": 3}),
        ("{epoch}.h5", {}),
    ],
)
def test_fit_writes_the_files_of_keras_with_the_weights_of_that_moment(tmp_path, name, arguments):
    x = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    y = x.sum(1, keepdims=True)
    files = {}
    for library in (lamina, keras):
        model = library.Sequential([library.Input((4,)), library.layers.Dense(1, kernel_initializer="ones")])
        model.compile(library.optimizers.SGD(0.01), "mse")
        folder = tmp_path / library.__name__
        checkpoint = library.callbacks.ModelCheckpoint(folder / name, **arguments)
        model.fit(x, y, batch_size=8, epochs=3, validation_split=0.2, shuffle=False, verbose=0, callbacks=[checkpoint])
        files[library] = {}
        for path in folder.iterdir():
            if not arguments.get("save_weights_only"):
                model = keras.models.load_model(path, compile=False)  # Keras reads no 'mse' from its own .h5 file
            else:
                model.load_weights(path)
            files[library][path.name] = model.get_weights()
    assert files[lamina].keys() == files[keras].keys() and len(files[lamina]) >= 1
    for each, weights in files[lamina].items():
        for ours, theirs in zip(weights, files[keras][each], strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("freq", ["epoch", 2])
def test_the_number_of_the_epoch_may_be_a_whole_number_in_the_name(tmp_path, freq):
    model = lamina.Sequential([lamina.layers.Input((3,)), lamina.layers.Dense(1)])
    model.compile("sgd", "mse")
    batch = "" if freq == "epoch" else "-{batch:02d}"
    checkpoint = ModelCheckpoint(str(tmp_path / f"{{epoch:03d}}{batch}-{{loss:.1f}}.keras"), save_freq=freq)
    model.fit(np.zeros((64, 3)), np.zeros(64), epochs=2, verbose=0, callbacks=[checkpoint])
    whole = {"epoch": ["001-0.0.keras", "002-0.0.keras"], 2: ["001-02-0.0.keras", "002-02-0.0.keras"]}
    assert sorted(path.name for path in tmp_path.iterdir()) == whole[freq]
