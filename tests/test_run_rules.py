"""How a run goes, and where it ends: as in Keras."""

import warnings

import keras
import numpy as np
import pytest

import lamina
from lamina.errors import LaminaWarning

X, Y = np.ones((16, 2), "float32"), np.zeros((16, 1), "float32")


def stack(library=lamina):
    model = library.Sequential([library.layers.Input((2,)), library.layers.Dense(1)])
    model.compile("sgd", loss="mse")
    return model


def counting(library, seen):
    """A callback that notes how many batches each epoch, each validation and each prediction has."""

    class Counts(library.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append(0)

        on_test_begin = on_predict_begin = lambda self, logs=None: seen.append(0)

        def on_train_batch_end(self, batch, logs=None):
            seen[-1] += 1

        on_test_batch_end = on_predict_batch_end = on_train_batch_end

    return Counts()


def batches(count, y=True):
    for _ in range(count):
        yield (X[:4], Y[:4]) if y else (X[:4],)


def dataset(library):
    class Four(library.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return X[:4], Y[:4]

    return Four()


def ran(library, verb, *data, **how):
    """How many batches came, and whether it was said that the data ended early."""
    seen = []
    names = {"verbose": 0, "callbacks": [counting(library, seen)], **how}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        getattr(stack(library), verb)(*data, **names)
    return seen, sum("ran out" in str(each.message) for each in said)


@pytest.mark.parametrize(("size", "steps"), [(4, 6), (4, 3), (4, 4), (5, 3), (2, 18), (None, 6), (None, 20)])
def test_an_epoch_of_arrays_ends_with_them_as_in_keras(size, steps):
    how = {"batch_size": size, "steps_per_epoch": steps, "epochs": 3}
    assert ran(lamina, "fit", X, Y, **how) == ran(keras, "fit", X, Y, **how)


@pytest.mark.parametrize("steps", [6, 3, 4, None])
def test_an_epoch_of_a_dataset_ends_with_it_as_in_keras(steps):
    ours, theirs = (ran(each, "fit", dataset(each), steps_per_epoch=steps, epochs=3) for each in (lamina, keras))
    assert ours == theirs


@pytest.mark.parametrize("steps", [9, 3, None])
def test_a_validation_ends_with_its_data_as_in_keras(steps):
    how = {"batch_size": 4, "epochs": 2, "validation_steps": steps}
    for given in (lambda library: (X, Y), dataset):
        ours, theirs = (ran(each, "fit", X, Y, validation_data=given(each), **how) for each in (lamina, keras))
        assert ours == theirs


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
@pytest.mark.parametrize("steps", [9, 3])
def test_evaluate_and_predict_end_with_the_data_as_in_keras(verb, steps):
    targets = (Y,) if verb == "evaluate" else ()
    sources = [
        lambda library: ((X, *targets), {"batch_size": 4}), lambda library: ((batches(4, bool(targets)),), {}),
        lambda library: ((dataset(library),), {}),
    ]  # fmt: skip
    for source in sources:
        ours, theirs = (ran(each, verb, *(told := source(each))[0], steps=steps, **told[1]) for each in (lamina, keras))
        assert ours == theirs
    assert ran(lamina, verb, X, *targets, steps=9) == ran(keras, verb, X, *targets, steps=9)


def test_other_sources_that_can_be_read_again_begin_anew_in_the_next_epoch():
    windows = lamina.utils.timeseries_dataset_from_array(X, Y, 1, batch_size=4)
    again = list(batches(4)), lambda: batches(4), windows.map(lambda x, y: (x[:, 0], y))
    for source in again:
        assert ran(lamina, "fit", source, steps_per_epoch=3, epochs=3) == ([3, 1, 3], 1)
        assert ran(lamina, "fit", source, steps_per_epoch=4, epochs=2) == ([4, 4], 0)


def test_a_generator_that_ends_early_ends_the_training_and_nothing_is_lost():
    """Keras goes on with the two batches that it looked at before it began, as if they were new."""
    assert ran(lamina, "fit", batches(10), steps_per_epoch=6, epochs=3) == ([6, 4], 1)
    assert ran(lamina, "fit", batches(12), steps_per_epoch=6, epochs=3) == ([6, 6, 0], 1)
    assert ran(lamina, "fit", batches(12), steps_per_epoch=6, epochs=2) == ([6, 6], 0)
    ended = []
    told = lamina.callbacks.LambdaCallback(on_train_end=lambda logs: ended.append(sorted(logs)))
    with pytest.warns(LaminaWarning, match="x ran out of batches: none in this epoch. It can be read once"):
        history = stack().fit(batches(12), steps_per_epoch=6, epochs=4, verbose=0, callbacks=[told])
    assert history.epoch == [0, 1] and len(history.history["loss"]) == 2 and ended == [["loss"]]


def test_a_generator_for_the_validation_that_ends_early_leaves_epochs_without_one():
    model, how = stack(), {"batch_size": 4, "epochs": 4, "verbose": 0}
    with pytest.warns(LaminaWarning) as said:
        history = model.fit(X, Y, validation_data=batches(10), validation_steps=4, **how)
    assert [str(each.message).split(" in this")[0] for each in said] == [
        "validation_data ran out of batches: 2 of 4", "validation_data ran out of batches: none"
    ]  # fmt: skip
    assert len(history.history["loss"]) == 4 and history.epochs_of["val_loss"] == [0, 1, 2]


def test_an_epoch_that_goes_on_needs_a_generator_once_only():
    assert len(stack().fit(batches(4), initial_epoch=4, epochs=5, verbose=0).epoch) == 1


@pytest.mark.parametrize("steps", [3, 6])
def test_a_run_over_epochs_that_end_early_resumes_to_the_bit(tmp_path, steps):
    rows = np.arange(34, dtype="float32").reshape(17, 2) / 40

    def run(library_source, epochs, **how):
        lamina.utils.set_random_seed(3)
        model = stack()
        model.fit(*library_source(), epochs=epochs, steps_per_epoch=steps, verbose=0, **how)
        return [weight.tobytes() for weight in model.get_weights()]

    class Stop(Exception):
        pass

    def stopping(batch, logs):
        count.append(batch)
        if len(count) == 9:
            raise Stop

    for number, source in enumerate([lambda: (rows, rows[:, :1]), lambda: (list(batches(4)),)]):
        count = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = run(source, 5, batch_size=4 if number == 0 else None)
            kept = lamina.callbacks.Checkpoint(tmp_path / str(number), every=1)
            breaking = lamina.callbacks.LambdaCallback(on_train_batch_end=stopping)
            with pytest.raises(Stop):
                run(source, 5, batch_size=4 if number == 0 else None, callbacks=[breaking], checkpoint=kept)
            kept = lamina.callbacks.Checkpoint(tmp_path / str(number), every=1)
            assert run(source, 5, batch_size=4 if number == 0 else None, checkpoint=kept) == whole


def test_no_rows_give_no_rows_as_in_keras():
    kinds = {
        "Dense": ((2,), lambda made: [made.Dense(3)]),
        "Conv2D": ((6, 6, 3), lambda made: [made.Conv2D(4, 3), made.MaxPooling2D(), made.Flatten(), made.Dense(2)]),
        "LSTM": ((5, 3), lambda made: [made.LSTM(4)]),
        "BatchNormalization": ((3,), lambda made: [made.BatchNormalization(), made.Dropout(0.5)]),
        "Embedding": ((3,), lambda made: [made.Embedding(4, 2)]),
        "regularized": ((2,), lambda made: [made.Dense(3, activity_regularizer="l2")]),
    }
    for shape, chain in kinds.values():
        none = np.zeros((0, *shape), "float32")
        ours, theirs = (
            library.Sequential([library.layers.Input(shape), *chain(library.layers)]) for library in (lamina, keras)
        )
        assert ours(none).shape == ours.predict_on_batch(none).shape == theirs(none).shape
        assert ours.predict(none, verbose=0).shape == theirs(none).shape  # real Keras raises an UnboundLocalError
    seen = []
    told = lamina.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"].shape))
    assert stack().predict(X[:0], verbose=0, callbacks=[told]).shape == (0, 1) and seen == [(0, 1)]
    with pytest.warns(LaminaWarning, match="x ran out of batches: none"):
        assert stack().predict(X[:0], batch_size=4, steps=2, verbose=0).shape == (0, 1)
    for refused in (lambda: stack().fit(X[:0], Y[:0]), lambda: stack().evaluate(X[:0], Y[:0], verbose=0)):
        with pytest.raises(ValueError, match="x is empty"):
            refused()


def test_a_validation_without_rows_is_none_as_in_keras():
    history = {}
    for library in (lamina, keras):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            ran = stack(library).fit(X, Y, validation_data=(X[:0], Y[:0]), epochs=3, verbose=0)
        history[library] = {name: len(values) for name, values in ran.history.items()}
        assert said
    assert history[lamina] == history[keras] == {"loss": 3}
    with pytest.warns(LaminaWarning, match="validation_data has no rows: nothing is validated"):
        stack().fit(X, Y, validation_data=(X[:0], Y[:0]), verbose=0)


def test_steps_per_execution_may_be_auto():
    """As in Keras on TensorFlow; on JAX its `fit` raises a TypeError of Python."""
    model, seen = stack(), []
    model.compile("sgd", "mse", steps_per_execution="auto")
    told = lamina.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(X, Y, batch_size=4, verbose=0, callbacks=[told])
    assert seen == [0, 1, 2, 3] and int(model.optimizer.iterations) == 4
    assert model.get_compile_config()["steps_per_execution"] == "auto"
    for wrong in (0, -1, 2.5, None, "x"):
        with pytest.raises(ValueError, match="steps_per_execution="):
            model.compile("sgd", "mse", steps_per_execution=wrong)


def test_verbose_3_shows_the_number_of_each_epoch_alone_as_in_keras(capsys):
    shown = []
    for library in (lamina, keras):
        model = stack(library)
        model.fit(X, Y, epochs=3, verbose=3, validation_data=(X, Y))
        model.fit(X, Y, verbose=3)
        model.evaluate(X, Y, verbose=3)
        model.predict(X, verbose=3)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] == "Epoch 1/3\nEpoch 2/3\nEpoch 3/3\n"


def test_only_the_last_layer_can_be_popped():
    made = lamina.layers
    model = lamina.Sequential([made.Input((2,)), made.Dense(3), made.Dense(4)])
    for number in (0, 1, -1):
        with pytest.raises(ValueError, match=rf"pop\({number}\): pop\(\) removes the last layer"):
            model.pop(number)
    assert [layer.units for layer in model.layers] == [3, 4]
    assert model.pop(rebuild=False).units == 4 and model.pop().units == 3


def test_a_loss_that_is_not_reduced_is_refused_in_training_and_measured_as_in_keras():
    class Own(lamina.losses.Loss):
        def __init__(self):
            super().__init__(reduction=None)

        def call(self, y, p):
            return lamina.ops.mean((y - p) ** 2, axis=-1)

    for loss in (lamina.losses.MeanSquaredError(reduction="none"), Own()):
        model = stack()
        model.compile("sgd", loss)
        before = model.get_weights()
        name = type(loss).__name__
        for train in (lambda model=model: model.fit(X, Y, verbose=0), lambda model=model: model.train_on_batch(X, Y)):
            with pytest.raises(
                ValueError, match=rf"one number for a batch, and the loss {name} gives an array of shape"
            ):
                train()
        assert all(map(np.array_equal, model.get_weights(), before))
    theirs = stack(keras)
    theirs.compile("sgd", keras.losses.MeanSquaredError(reduction="none"))
    theirs.set_weights(before)
    rows = np.random.default_rng(0).random((11, 2), "float32")
    found = [each.evaluate(rows, rows[:, :1], batch_size=4, verbose=0) for each in (model, theirs)]
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_negative_sample_weights_are_said_once():
    weights = np.ones(16, "float32")
    weights[7] = -1
    model = stack()
    with pytest.warns(LaminaWarning, match=r"sample_weight\[7\] is negative"):
        model.fit(X, Y, sample_weight=weights, epochs=3, verbose=0)
    model.fit(X, Y, sample_weight=weights, verbose=0)  # where a warning would be an error
    model.evaluate(X, Y, sample_weight=weights, verbose=0)
    with pytest.warns(LaminaWarning, match=r"sample_weight\[3\] is negative"):
        stack().fit(((X[:4], Y[:4], weights[4:8]) for _ in range(2)), verbose=0)


@pytest.mark.parametrize("count", [1, 2, 10, 50])
def test_the_batches_before_an_error_of_a_generator_are_trained(count):
    def batches():
        for _ in range(count):
            yield np.ones((8, 2), "float32"), np.ones((8, 1), "float32")
        raise OSError("the disk is gone")

    found = []
    for library in (lamina, keras):
        model = library.Sequential([library.Input((2,)), library.layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse")
        with pytest.raises(OSError, match="the disk is gone"):
            model.fit(batches(), shuffle=False, verbose=0)
        found.append((int(model.optimizer.iterations), model.get_weights()[0]))
    assert found[0][0] == count
    if count > 1:  # Keras looks at the first batches before it begins
        assert found[1][0] == count
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5)
