"""A model that one thread trains, while others use it."""

import contextlib
import copy
import functools
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lamina
from lamina import Sequential, layers, models, optimizers
from lamina._programs import programs
from lamina.callbacks import Callback, LambdaCallback
from lamina.errors import BusyError

LAYERS, EVERY = 12, 7
SECONDS = 1.0


class Count(layers.Layer):
    """Adds a weight that is minus the number of steps: its gradient is 1, and so is the learning rate."""

    def build(self, input_shape):
        self.steps = self.add_weight((), "zeros")

    def call(self, x):
        return x + self.steps


def mean_output(y, p):
    return jnp.mean(p)


def counting(optimizer=None, **kwargs):
    model = Sequential([layers.Input((3,)), *(Count() for _ in range(LAYERS))])
    model.compile(optimizer or optimizers.SGD(1.0), mean_output, **kwargs)
    return model


ROWS = np.zeros((64, 3), np.float32)


class Chunks(Callback):
    """Calls it after each chunk of `EVERY` steps, and so lets each chunk have so many."""

    def __init__(self):
        self.ends, self.begun = {0}, threading.Event()

    def on_train_batch_end(self, batch, logs=None):
        self.ends.add(self.model._lamina.steps_trained)
        self.begun.set()


@contextlib.contextmanager
def fitting(model, **kwargs):
    """Another thread trains the model, from its first chunk on until what stands inside has ended."""
    chunks, failed = Chunks(), []

    def fit():
        try:
            model.fit(ROWS, ROWS, 1, epochs=10**9, callbacks=[chunks], verbose=0, shuffle=False, **kwargs)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=fit)
    thread.start()
    try:
        assert chunks.begun.wait(60), failed
        yield chunks
    finally:
        model.stop_training = True
        thread.join(60)
    assert not failed
    assert not thread.is_alive()


def repeatedly(*uses, threads=1):
    """What each of these functions returns, called again and again in a thread of its own."""
    found, failed, end = [[] for _ in uses], [], time.monotonic() + SECONDS

    def run(use, into):
        try:
            while time.monotonic() < end or len(into) < 3:  # a busy machine is slow
                into.append(use())
        except BaseException as error:
            failed.append(error)

    running = [
        threading.Thread(target=run, args=each) for each in zip(uses, found, strict=True) for _ in range(threads)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)
    if failed:
        raise failed[0]
    assert all(found)
    return found


def of_one_chunk(found, chunks):
    """Whether numbers of steps that were read together are equal, and those of the end of a chunk."""
    return len(set(map(float, found))) == 1 and -int(found[0]) in chunks.ends


def test_other_threads_see_the_weights_of_the_end_of_one_chunk(tmp_path):
    model = counting(steps_per_execution=EVERY)
    rows = np.zeros((50, 3), np.float32)
    with fitting(model) as chunks:
        weights, single, whole, called, all_rows, measured, steps = repeatedly(
            model.get_weights,
            lambda: [model.layers[3].steps.numpy()],
            lambda: model.predict(rows[:4], verbose=0),
            lambda: np.asarray(model(rows[:2])),
            lambda: model.predict(rows, batch_size=8, verbose=0),
            lambda: model.evaluate(rows, rows, batch_size=8, verbose=0),
            lambda: [float(model.optimizer.iterations)],
        )
    assert len({int(each[0]) for each in weights}) > 3, "the training went on meanwhile"
    assert all(of_one_chunk(each, chunks) for each in (*weights, *single))
    for y in (*whole, *called, *all_rows):
        assert of_one_chunk((y / LAYERS).ravel(), chunks)
    assert all(of_one_chunk([loss / LAYERS], chunks) for loss in measured)
    assert all(of_one_chunk([-each[0]], chunks) for each in steps)


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5", "m.safetensors"])
def test_files_that_are_written_meanwhile_hold_one_moment(tmp_path, name):
    model, path = counting(optimizers.SGD(1.0, momentum=1e-9)), str(tmp_path / name)

    def written():
        (model.save if name.endswith(("keras", "m.h5")) else model.save_weights)(path)
        twin = counting(optimizers.SGD(1.0, momentum=1e-9))
        twin.optimizer.build(twin.trainable_variables)
        twin.load_weights(path)
        held = [*twin.get_weights()]
        return held if name in ("m.safetensors", "m.h5") else [*held, -twin.optimizer.iterations.numpy()]

    with fitting(model) as chunks:
        (found,) = repeatedly(written)
    assert len({int(each[0]) for each in found}) > 1
    assert all(of_one_chunk(each, chunks) for each in found)


def test_a_save_own_variables_of_ones_own_reads_the_same_moment(tmp_path):
    class Slow(Count):
        def save_own_variables(self, store):
            time.sleep(0.01)
            store["0"] = self.steps.numpy()

    model, twin = (Sequential([layers.Input((3,)), *(Slow() for _ in range(LAYERS))]) for _ in range(2))
    model.compile(optimizers.SGD(1.0), mean_output)

    def written():
        model.save_weights(str(tmp_path / "m.weights.h5"))
        twin.load_weights(str(tmp_path / "m.weights.h5"))
        return twin.get_weights()

    with fitting(model) as chunks:
        (found,) = repeatedly(written)
    assert all(of_one_chunk(each, chunks) for each in found)


def test_export_copies_and_optimizers_are_read_meanwhile(tmp_path):
    model = counting(optimizers.Adam(1.0))
    with fitting(model):
        repeatedly(
            lambda: copy.deepcopy(model).get_weights(),
            lambda: [each.numpy() for each in model.optimizer.variables],
            lambda: (
                float(model.optimizer.learning_rate)
                + float(model.get_compile_config()["optimizer"]["config"]["learning_rate"])
            ),
            lambda: model.export(str(tmp_path / "m.jax"), format="jax", verbose=False) or 1,
            lambda: (model.summary(print_fn=lambda line: None), model.count_params(), model.get_config()),
            lambda: np.asarray(model.layers[0](ROWS[:2])),
            lambda: [weight.value + 1 for weight in model.weights],
        )


def test_single_steps_in_one_thread_and_predictions_in_three():
    model, x = counting(), ROWS[:2]
    model.train_on_batch(x, x)
    done = threading.Event()

    def step():
        while not done.is_set():
            model.train_on_batch(x, x)

    thread = threading.Thread(target=step)
    thread.start()
    try:
        predicted, weights = repeatedly(lambda: model.predict(x, verbose=0), model.get_weights, threads=2)
    finally:
        done.set()
        thread.join(60)
    assert all(len(set((y / LAYERS).ravel())) == 1 for y in predicted)
    assert all(len(set(map(float, each))) == 1 for each in weights)


def test_a_fit_comes_to_the_same_while_others_measure_and_predict():
    x = np.random.default_rng(0).random((256, 4), np.float32)

    def made():
        lamina.utils.set_random_seed(3)
        model = Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dense(1)])
        model.compile("adam", "mse", metrics=["mae", lamina.metrics.AUC(exact=True)])
        return model

    y, alone, beside = (x[:, :1] > 0.5).astype(np.float32), made(), made()
    expected = alone.fit(x, y, epochs=30, verbose=0).history
    measured = alone.evaluate(x, y, verbose=0)
    thread_history = []
    thread = threading.Thread(target=lambda: thread_history.append(beside.fit(x, y, epochs=30, verbose=0).history))
    thread.start()
    repeatedly(lambda: beside.evaluate(x, y, verbose=0), lambda: beside.predict(x, verbose=0))
    thread.join(60)
    assert thread_history == [expected]
    assert beside.evaluate(x, y, verbose=0) == measured
    for one, other in zip(alone.get_weights(), beside.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_predictions_beside_a_fit_leave_the_states_of_a_stateful_layer_to_it():
    x = np.random.default_rng(0).random((64, 5, 3), np.float32)

    def made():
        lamina.utils.set_random_seed(3)
        model = Sequential([layers.Input(batch_shape=(16, 5, 3)), layers.LSTM(4, stateful=True), layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    alone, beside = made(), made()
    expected = alone.fit(x, x[:, 0, :1], 16, 20, shuffle=False, verbose=0).history
    found = []
    thread = threading.Thread(
        target=lambda: found.append(beside.fit(x, x[:, 0, :1], 16, 20, shuffle=False, verbose=0).history)
    )
    beside.predict(x, verbose=0)
    beside.layers[0].reset_state()
    begun = threading.Event()
    beside_fit = functools.partial(beside.predict, x, 16, verbose=0)
    thread.start()
    while thread.is_alive() and not beside._lamina.steps_trained:
        time.sleep(0.001)
    while thread.is_alive():
        beside_fit()
        begun.set()
    thread.join()
    assert begun.is_set()
    assert found == [expected]


def test_a_second_training_at_the_same_time_is_refused():
    model = counting()
    before = time.monotonic()
    with fitting(model):
        for second in (
            lambda: model.fit(ROWS, ROWS, verbose=0),
            lambda: model.fit(iter([(ROWS, ROWS)] * 3), verbose=0),
            lambda: model.train_on_batch(ROWS, ROWS),
        ):
            history = model.history
            with pytest.raises(BusyError, match=r"another thread trains 'sequential\w*' at this moment") as caught:
                second()
            assert model.history is history
            assert len(str(caught.value).splitlines()) <= 15
    model.fit(ROWS, ROWS, verbose=0)
    model.train_on_batch(ROWS, ROWS)
    assert time.monotonic() - before < 60


def test_a_second_fit_takes_nothing_from_its_generator():
    model, taken = counting(), []

    def batches():
        while True:
            taken.append(1)
            yield ROWS, ROWS

    with fitting(model), pytest.raises(BusyError):
        model.fit(batches(), steps_per_epoch=1, verbose=0)
    assert not taken


def test_a_layer_of_two_models_is_trained_by_one_of_them_at_a_time():
    shared = Count()
    one, other = (Sequential([layers.Input((3,)), shared, Count()]) for _ in range(2))
    for model in (one, other):
        model.compile(optimizers.SGD(1.0), mean_output)
    with fitting(one):
        with pytest.raises(BusyError, match="another thread trains a model that holds"):
            other.fit(ROWS, ROWS, verbose=0)
        repeatedly(lambda: other.predict(ROWS[:4], verbose=0), lambda: other.evaluate(ROWS, ROWS, verbose=0))
    other.fit(ROWS, ROWS, verbose=0)
    apart = [counting() for _ in range(2)]
    with fitting(apart[0]), fitting(apart[1]):
        repeatedly(*(model.get_weights for model in apart))


def test_callbacks_use_the_model_in_the_thread_that_trains_it(tmp_path):
    model = counting()
    found = []

    def use(epoch, logs):
        steps = model._lamina.steps_trained
        model.save(tmp_path / "m.keras")
        held = [float(each) for each in model.get_weights()]
        held += [float(each) / LAYERS for each in model.predict(ROWS[:2], verbose=0).ravel()]
        held += [
            model.evaluate(ROWS, ROWS, verbose=0) / LAYERS,
            *map(
                float,
                models.load_model(tmp_path / "m.keras", custom_objects={"Count": Count}, compile=False).get_weights(),
            ),
        ]
        found.append((steps, set(held)))
        with contextlib.suppress(StopIteration):
            helper = threading.Thread(target=lambda: found.append((steps, {float(model.get_weights()[0])})))
            helper.start()  # and in others, for which it waits
            helper.join(60)

    model.fit(ROWS, ROWS, epochs=4, verbose=0, callbacks=[LambdaCallback(on_epoch_end=use)])
    assert len(found) == 8
    assert all(held == {-float(steps)} for steps, held in found)


def test_a_callback_may_train_the_model_itself():
    model = counting()
    again = LambdaCallback(on_epoch_end=lambda epoch, logs: model.train_on_batch(ROWS[:2], ROWS[:2]))
    model.fit(ROWS, ROWS, 32, epochs=3, verbose=0, callbacks=[again])
    assert model.get_weights()[0] == -9
    with fitting(model), pytest.raises(BusyError):
        model.train_on_batch(ROWS, ROWS)


def test_a_fit_that_fails_leaves_the_model_to_other_threads():
    model = counting()

    def fail(epoch, logs):
        raise KeyError("mine")

    with pytest.raises(KeyError):
        model.fit(ROWS, ROWS, verbose=0, callbacks=[LambdaCallback(on_epoch_end=fail)])
    with fitting(model):
        pass


def test_a_step_of_ones_own_and_a_second_optimizer_are_read_whole(tmp_path):
    class Own(Sequential):
        def train_step(self, data):
            self.optimizer.apply([jnp.ones(())] * LAYERS, self.trainable_variables)
            return {"loss": jnp.float32(0)}

    model = Own([layers.Input((3,)), *(Count() for _ in range(LAYERS))])
    model.compile(optimizers.SGD(1.0))
    with fitting(model) as chunks:
        weights, _, rates = repeatedly(
            model.get_weights,
            lambda: model.save(str(tmp_path / "m.keras")) or 1,
            lambda: float(model.optimizer.learning_rate),
        )
    assert all(of_one_chunk(each, chunks) for each in weights)
    assert set(rates) == {1.0}


def test_who_reads_waits_for_the_chunk_under_way_alone():
    """A Python function in the program lets its call wait until it is done, as on a device without a queue."""

    class Slow(Count):
        def call(self, x):
            jax.debug.callback(lambda x: time.sleep(0.1), x)
            return x + self.steps

    model = Sequential([layers.Input((3,)), Slow()])
    model.compile(optimizers.SGD(1.0), mean_output, steps_per_execution=2)
    waited = []

    def read():
        begun = time.monotonic()
        model.get_weights()
        waited.append(time.monotonic() - begun)

    with fitting(model):
        repeatedly(read, lambda: [each.numpy() for each in model.optimizer.variables], threads=2)
    assert np.median(waited) < 0.45  # a chunk takes 0.2 s


@pytest.mark.usual_programs
def test_the_first_compilation_from_eight_threads_is_one(monkeypatch):
    compiled, made = [], programs._for_this_device
    monkeypatch.setattr(programs, "_for_this_device", lambda traced: compiled.append(1) or made(traced))
    programs.clear()
    x = np.random.default_rng(0).random((4, 6), np.float32)
    model = Sequential([layers.Dense(9, "tanh"), layers.LayerNormalization(), layers.Dense(2)])
    start, found = threading.Barrier(8), []

    def use():
        start.wait()
        found.append(model.predict(x, verbose=0))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all((each == found[0]).all() for each in found)
    assert len(model.weights) == 6
    assert len(compiled) == 1


def test_a_layer_that_eight_threads_call_first_is_built_once():
    layer, x, start, found = layers.Dense(3), np.ones((2, 4), np.float32), threading.Barrier(8), []

    def use():
        start.wait()
        found.append(np.asarray(layer(x)))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layer.weights) == 2
    assert len(found) == 8
    assert all((each == found[0]).all() for each in found)
