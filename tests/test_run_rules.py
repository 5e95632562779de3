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
        "validation x ran out of batches: 2 of 4", "validation x ran out of batches: none"
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
