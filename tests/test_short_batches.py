"""The arrays of predict, short batches, growing data, and an x in a file."""

import functools
import subprocess
import sys

import jax.numpy as jnp
import keras as real_keras
import numpy as np
import pytest
from small_models import both, dense, ours

import lamina
from lamina._programs import programs


@both
@pytest.mark.parametrize("rows", [1, 5, 300])
def test_the_arrays_that_predict_gives_are_the_users_own(keras, rows):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    x = np.ones((rows, 3), "float32")
    answers = [model.predict(x, verbose=0), model.predict(x, batch_size=4, verbose=0), model.predict_on_batch(x)]
    for y in answers[: None if keras is lamina else 2]:  # Keras's predict_on_batch may be read only
        assert type(y) is np.ndarray and y.flags.owndata and y.flags.writeable and y.flags.c_contiguous
        before = model.get_weights()
        y += 1
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


@ours
def test_predict_fills_no_piece_up_but_the_last(keras, monkeypatch):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    sizes = []
    core = sys.modules["lamina.layers.core"]
    monkeypatch.setattr(core, "matmul", seen_by(core.matmul, sizes))
    x = np.random.default_rng(0).normal(size=(250, 3)).astype("float32")
    model.compile("sgd", "mse", run_eagerly=True)
    sizes.clear()
    y = model.predict(x, batch_size=100, verbose=0)
    assert sizes[-3:] == [100, 100, 100] and set(sizes) == {100}  # before, what the memory would take is asked
    sizes.clear()
    np.testing.assert_allclose(model.predict(x[:100], verbose=0), y[:100], rtol=1e-6)
    assert sizes[-1:] == [128] and set(sizes) == {128}


def seen_by(call, sizes):
    """`call`, which also writes down how many rows it is given."""

    @functools.wraps(call)
    def watched(x, *args, **kwargs):
        sizes.append(x.shape[0])
        return call(x, *args, **kwargs)

    return watched


@ours
def test_predict_takes_so_many_images_at_a_time_as_stay_in_the_cache(keras):
    from lamina._training.predict import CACHED, predictor_for

    def rows_at_once(model, shape):
        return predictor_for(model).rows_at_once(shape)

    inner = keras.Sequential([keras.Input((28, 28, 3)), keras.layers.Conv2D(32, 3), keras.layers.GlobalMaxPooling2D()])
    model = keras.Sequential([keras.Input((28, 28, 3)), inner, keras.layers.Dense(10)])
    rows = rows_at_once(model, (4096, 28, 28, 3))
    assert rows == 64 and rows * 26 * 26 * 32 <= CACHED < 2 * rows * 26 * 26 * 32
    two = [keras.layers.Conv2D(32, 3, activation="relu"), keras.layers.MaxPooling2D(), keras.layers.Conv2D(64, 3)]
    gray = keras.Sequential([keras.Input((28, 28, 1)), *two])  # what the first one gives is no array
    assert rows_at_once(gray, (4096, 28, 28, 1)) == 256 and 256 * 11 * 11 * 64 <= CACHED < 512 * 11 * 11 * 64
    wide = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    assert rows_at_once(wide, (10**6, 8)) == 2048


def growing(rows=(70, 81, 92, 103, 114, 125, 136, 147, 158, 169, 180, 191)):
    """The first rows of one table, more each time; with 8 rows a batch each number leaves another short one."""
    random = np.random.default_rng(0)
    x = random.normal(size=(max(rows), 4)).astype("float32")
    return [(x[:n], x[:n, :1] ** 2) for n in rows]


def regression(keras):
    return dense(keras, 3, 1, metrics=["mae"])


@ours
@pytest.mark.parametrize("again", [False, True], ids=["one model", "new models"])
def test_growing_data_shares_its_programs(keras, again):

    programs.clear()
    model = regression(keras)
    for x, y in growing():
        model = regression(keras) if again else model
        model.fit(x, y, batch_size=8, verbose=0)
        model.evaluate(x, y, batch_size=8, verbose=0)
    kinds = [full[0][0] for full, *_ in programs._compiled]
    assert sorted(kinds) == ["test", "test", "train", "train"]  # whole batches, and the short one that is filled up


@both
def test_a_short_batch_that_is_filled_up_counts_as_it_is(keras):
    lamina.utils.set_random_seed(0)
    model, oracle = regression(keras), regression(real_keras)
    oracle.set_weights(model.get_weights())
    for x, y in growing()[::4]:
        weight = np.linspace(0.5, 2, len(x)).astype("float32")
        for weights in (None, weight):
            told = {"batch_size": 8, "sample_weight": weights, "verbose": 0}
            mine, its = (m.fit(x, y, shuffle=False, epochs=2, **told).history for m in (model, oracle))
            assert list(mine) == list(its)
            for name, values in its.items():
                np.testing.assert_allclose(mine[name], values, rtol=1e-5)
            np.testing.assert_allclose(model.evaluate(x, y, **told), oracle.evaluate(x, y, **told), rtol=1e-5)
        for a, b in zip(model.get_weights(), oracle.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def normalized(keras, **how):
    layers = [keras.layers.BatchNormalization(), keras.layers.Dense(1, **how)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


@both
@pytest.mark.parametrize("how", [{}, {"activity_regularizer": "l2"}], ids=["batch norm", "activity"])
def test_layers_that_see_the_batch_see_the_short_one(keras, how):
    lamina.utils.set_random_seed(0)
    model, oracle = normalized(keras, **how), normalized(real_keras, **how)
    oracle.set_weights(model.get_weights())
    for x, y in growing()[::5]:
        mine, its = (m.fit(x, y, batch_size=8, shuffle=False, verbose=0).history["loss"] for m in (model, oracle))
        np.testing.assert_allclose(mine, its, rtol=1e-5)
        mine, its = (m.evaluate(x, y, batch_size=8, verbose=0) for m in (model, oracle))
        np.testing.assert_allclose(mine, its, rtol=1e-5)


@ours
def test_a_loss_of_the_users_own_sees_the_short_batch(keras):
    model, rows = regression(keras), []

    def loss(y, y_pred):
        rows.append(y.shape[0])
        return jnp.mean((y - y_pred) ** 2)

    model.compile("sgd", loss)
    model.fit(*growing()[0], batch_size=8, verbose=0)
    assert set(rows) == {8, 6}


def mapped(tmp_path, rows=203, dtype="float64"):
    x = np.random.default_rng(0).normal(size=(rows, 4)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    return x, np.load(tmp_path / "x.npy", mmap_mode="r"), x[:, :1].astype("float32") ** 2


@both
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
@pytest.mark.parametrize("steps", [None, 7])
def test_an_x_in_a_file_trains_as_the_array_in_memory(keras, tmp_path, dtype, steps):
    x, file, y = mapped(tmp_path, dtype=dtype)
    results = []
    for data in (x, file):
        keras.utils.set_random_seed(0)
        model = regression(keras)
        history = model.fit(data, y, epochs=3, batch_size=8, validation_split=0.1, steps_per_epoch=steps, verbose=0)
        answers = [history.history["loss"], history.history["val_loss"], model.evaluate(data, y, verbose=0)]
        results.append([*answers, model.predict(data, verbose=0), model.predict(data, batch_size=50, verbose=0)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@ours
def test_an_x_in_a_file_is_looked_at_as_it_is_read(keras, tmp_path):
    x, _, y = mapped(tmp_path)
    x[150, 2] = np.nan
    np.save(tmp_path / "x.npy", x)
    file, model = np.load(tmp_path / "x.npy", mmap_mode="r"), regression(keras)
    for verb in (model.fit, model.evaluate):
        with pytest.raises(keras.errors.DataError, match=r"x\[150, 2\] is NaN; 1 of 203 rows that were read with it"):
            verb(file, y, verbose=0)
    y[7] = np.nan
    with pytest.raises(keras.errors.LabelError, match=r"y\[7, 0\] is NaN"):
        model.fit(file, y, verbose=0)
    words = keras.Sequential([keras.Input((4,)), keras.layers.Embedding(10, 2), keras.layers.GlobalMaxPooling1D()])
    words.compile("sgd", "mse")
    np.save(tmp_path / "words.npy", np.where(np.arange(203)[:, None] == 33, 10, np.full((203, 4), 3)))
    file = np.load(tmp_path / "words.npy", mmap_mode="r")
    for verb in (lambda: words.fit(file, np.ones((203, 2)), verbose=0), lambda: words.predict(file, verbose=0)):
        with pytest.raises(keras.errors.DataError, match="row 33 of x holds 10"):
            verb()


READ = r"""
import numpy as np, re, sys, threading
import {package} as keras
x = np.lib.format.open_memmap(sys.argv[1], "r")
model = keras.Sequential([keras.Input((800,)), keras.layers.Dense(8), keras.layers.Dense(1)])
model.compile("sgd", "mse")
y = np.zeros(len(x), "float32")

def held():
    return int(re.findall(r"RssAnon:\s+(\d+)", open("/proc/self/status").read())[0]) / 1024

def verbs():
    model.fit(x, y, batch_size=512, verbose=0)
    model.fit(x, y, batch_size=512, steps_per_epoch=20, verbose=0)
    model.evaluate(x, y, batch_size=512, verbose=0)
    model.predict(x, batch_size=512, verbose=0)

small, x, y = (x, y), x[:1024], y[:1024]
verbs()  # compiles
(x, y), before, seen, done = small, held(), [], threading.Event()
watch = threading.Thread(target=lambda: [seen.append(held()) for _ in iter(lambda: done.wait(0.005), True)])
watch.start()
verbs()
done.set()
watch.join()
print(max(seen) - before)
"""


@ours
def test_an_x_in_a_file_stays_there(keras, tmp_path):
    path = tmp_path / "x.npy"
    file = np.lib.format.open_memmap(path, "w+", "float32", (40_000, 800))  # 122 MiB
    for start in range(0, len(file), 4_000):
        file[start : start + 4_000] = np.random.default_rng(start).normal(size=(4_000, 800)) * 0.01
    file.flush()
    program = READ.replace("{package}", keras.__name__)
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, timeout=300)
    assert float(run.stdout.split()[-1]) < 90  # MiB; most of what is added is the compiler's


def mixing(keras, kind):
    """A layer whose output for a row depends on the other rows, and the same in NumPy."""
    if kind == "layer":

        class Centred(keras.layers.Layer):
            def call(self, x):
                return x - keras.ops.mean(x, axis=0, keepdims=True)

        return Centred(), lambda x: x - x.mean(axis=0)
    if kind == "activation":
        return keras.layers.Dense(2, activation=lambda x: x / (1 + abs(x).sum(axis=0))), None
    if kind == "axis":
        return keras.layers.Softmax(axis=0), lambda x: np.exp(x) / np.exp(x).sum(axis=0)
    if kind == "statistics":

        class Normalized(keras.layers.Layer):
            def build(self, shape):
                self.inner = keras.layers.BatchNormalization()
                self.inner.build(shape)

            def call(self, x):
                return self.inner(x, training=True)

        return Normalized(), lambda x: (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)
    return keras.layers.Lambda(lambda x: x + jnp.mean(x, axis=0)), lambda x: x + x.mean(axis=0)


@both
@pytest.mark.parametrize("kind", ["layer", "activation", "axis", "statistics", "lambda"])
def test_predict_keeps_the_batches_of_a_layer_that_looks_across_rows(keras, kind):
    layer, formula = mixing(keras, kind)
    model = keras.Sequential([keras.layers.Input((2,)), layer])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    if formula is None:
        kernel = model.get_weights()[0]
        formula = lambda x: x @ kernel / (1 + abs(x @ kernel).sum(axis=0))  # noqa: E731

    def of_batches(size):
        return np.concatenate([formula(x[start : start + size]) for start in range(0, 40, size)])

    for size in (16, 64):
        np.testing.assert_allclose(model.predict(x, batch_size=size, verbose=0), of_batches(size), 1e-4, 1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), of_batches(32), 1e-4, 1e-5)
    np.testing.assert_allclose(model.predict_on_batch(x), of_batches(40), 1e-4, 1e-5)
    batches = [x[:24], x[24:]]
    want = np.concatenate([formula(each) for each in batches])
    np.testing.assert_allclose(model.predict(((each,) for each in batches), steps=2, verbose=0), want, 1e-4, 1e-5)
    loss = np.mean([np.mean(np.square(formula(each))) * len(each) for each in (x[:32], x[32:])]) * 2 / 40
    np.testing.assert_allclose(model.evaluate(x, np.zeros_like(x), verbose=0), loss, 1e-4)


@both
def test_predict_keeps_the_batches_of_a_step_of_ones_own(keras):
    class Centred(keras.Sequential):
        def predict_step(self, state, data):
            x = data[0] if isinstance(data, (tuple, list)) else data
            y, others = self.stateless_call(state[0], state[1], x, training=False)
            return y - y.mean(axis=0), others

    model = Centred([keras.layers.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    x = np.arange(80, dtype="float32").reshape(40, 2)
    y = x.sum(axis=1, keepdims=True)
    want = np.concatenate([y[:32] - y[:32].mean(), y[32:] - y[32:].mean()])
    np.testing.assert_allclose(model.predict(x, verbose=0), want, 1e-5)
