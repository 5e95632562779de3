"""`PyDataset`: its batches, in their order, once an epoch, from one thread, from several, and from processes."""

import math
import os
import threading
import time

import keras
import numpy as np
import pytest

import lamina
from lamina._data.stream import Stream
from lamina.errors import ArgumentError, DataError
from lamina.layers import Dense, Input
from lamina.utils import PyDataset, Sequence

X = np.arange(40, dtype="float32").reshape(20, 2)
Y = X.sum(1)


class Batches(PyDataset):
    """Batches of 3 rows, beside notes of who asked for what."""

    def __init__(self, fails=None, **kwargs):
        super().__init__(**kwargs)
        self.rows, self.fails, self.asked, self.threads, self.hooks = np.arange(20), fails, [], set(), []

    def __len__(self):
        return math.ceil(20 / 3)

    def __getitem__(self, index):
        self.asked.append(index)
        self.threads.add(threading.current_thread().name)
        time.sleep(0.002 * (index % 3 == 0))  # later ones are ready sooner
        if index == self.fails:
            raise KeyError("row 9")
        rows = self.rows[3 * index : 3 * index + 3]
        return X[rows], Y[rows]

    def on_epoch_begin(self):
        self.hooks.append("begin")

    def on_epoch_end(self):
        self.hooks.append("end")
        self.rows = self.rows[::-1]


class Numbered(PyDataset):
    """Batches without end, each with the number of the process that made it."""

    def __getitem__(self, index):
        if index == 4 and self.ends:
            os._exit(3)
        return np.array([[index, os.getpid()]], "float64"), np.ones(1)

    ends = False
    num_batches = None


def firsts(epoch):
    return [int(table.x[0, 0]) for table in epoch]


def test_the_two_names_are_one_class():
    assert Sequence is PyDataset is lamina.utils.Sequence
    made, theirs = PyDataset(), keras.utils.PyDataset()
    for name in ("workers", "use_multiprocessing", "max_queue_size"):
        assert getattr(made, name) == getattr(theirs, name)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_an_epoch_has_each_batch_once_and_in_order(workers):
    source = Batches(workers=workers)
    stream = Stream(source)
    assert stream.steps == 7
    assert firsts(stream.epoch()) == list(range(0, 40, 6))
    assert source.asked == sorted(source.asked) or workers == 4
    assert sorted(source.asked) == list(range(7)) and source.hooks == ["begin", "end"]
    assert firsts(stream.epoch())[0] == 38  # on_epoch_end turned the rows around
    assert all(name.startswith("lamina-worker" if workers == 4 else "lamina-stream") for name in source.threads)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_that_were_trained_before_are_not_asked_for(workers):
    source = Batches(workers=workers)
    assert firsts(Stream(source).epoch(skip=5)) == [30, 36] and sorted(source.asked) == [5, 6]


def test_workers_are_ahead_by_no_more_than_the_queue():
    source = Batches(workers=2, max_queue_size=2)
    epoch = Stream(source).epoch(ahead=1)
    next(epoch)
    time.sleep(0.1)
    assert max(source.asked) <= 6 and len(source.asked) == len(set(source.asked))
    epoch.close()
    assert not [each for each in threading.enumerate() if each.name.startswith(("lamina-stream", "lamina-worker"))]


def test_the_order_of_shuffled_batches_is_that_of_the_seed():
    orders = [firsts(Stream(Batches(workers=w)).epoch(shuffle=True, key=(1, 2))) for w in (1, 3)]
    assert orders[0] == orders[1] != sorted(orders[0]) and sorted(orders[0]) == list(range(0, 40, 6))


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:This process:DeprecationWarning")
def test_processes_make_the_batches():
    stream = Stream(Numbered(workers=2, use_multiprocessing=True, max_queue_size=3))
    tables = list(stream.epoch(6))
    assert [int(table.x[0, 0]) for table in tables] == list(range(6))
    assert os.getpid() not in {int(table.x[0, 1]) for table in tables}
    source = Batches(fails=5, workers=1, use_multiprocessing=True)
    with pytest.raises(KeyError, match="row 9"):
        list(Stream(source).epoch())
    assert source.asked == []  # that was another process's copy of it


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:This process:DeprecationWarning")
def test_a_process_that_dies_is_an_error():
    source = Numbered(workers=1, use_multiprocessing=True)
    source.ends = True
    with pytest.raises(DataError, match="a worker process of x ended while it read a batch"):
        list(Stream(source).epoch(9))


def test_an_error_in_a_worker_comes_as_it_is():
    for workers in (1, 3):
        with pytest.raises(KeyError, match="row 9"):
            list(Stream(Batches(fails=4, workers=workers)).epoch())


def test_fit_evaluate_and_predict_equal_those_of_the_arrays():
    model = lamina.Sequential([Input((2,)), Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    assert model.evaluate(Batches(workers=3), verbose=0) == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(model.predict(Batches(workers=2), verbose=0)[:, 0], Y)
    source = Batches(workers=2)
    history = model.fit(source, epochs=3, verbose=0, shuffle=False, validation_data=Batches())
    assert source.hooks == ["end"] + ["begin", "end"] * 3 and len(history.history["val_loss"]) == 3
    assert sorted(source.asked) == sorted(list(range(7)) * 3)
    with pytest.raises(DataError, match="without an end"):
        model.fit(Numbered(), verbose=0)


def test_a_subclass_need_not_call_init():
    class Old(Sequence):
        def __init__(self):
            self.x = X

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return self.x[index * 10 : index * 10 + 10], Y[index * 10 : index * 10 + 10]

    assert firsts(Stream(Old()).epoch()) == [0, 20]
    assert [len(batch[1]) for batch in Old()] == [10, 10]


def test_what_a_subclass_has_to_have():
    class Nothing(PyDataset):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing needs a method __getitem__\(self, index\)"):
        Nothing()[0]
    for call in (lambda: Nothing().num_batches, lambda: list(Nothing()), lambda: Stream(Nothing())):
        with pytest.raises(NotImplementedError, match="Nothing needs a method __len__"):
            call()


@pytest.mark.parametrize(
    "arguments", [{"workers": -1}, {"workers": 1.5}, {"use_multiprocessing": 2}, {"max_queue_size": 0}]
)
def test_arguments_that_cannot_be(arguments):
    (name,) = arguments
    with pytest.raises(ArgumentError, match=rf"PyDataset\({name}="):
        PyDataset(**arguments)


def test_keras_own_class_is_read_by_workers_too():
    class Theirs(keras.utils.PyDataset):
        names = set()

        def __len__(self):
            return 5

        def __getitem__(self, index):
            self.names.add(threading.current_thread().name)
            return X[index : index + 1], Y[index : index + 1]

    source = Theirs(workers=2)
    assert firsts(Stream(source).epoch()) == [0, 2, 4, 6, 8]
    assert all(name.startswith("lamina-worker") for name in source.names)


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

        model, batches = library.Sequential([library.Input((2,)), library.layers.Dense(1)]), Batches()
        model.compile("sgd", "mse")
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
