"""Training: equal to Keras from equal weights, repeatable to the bit, and whole after an interruption."""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import traceback

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from programs import program_1, two_classes

import lamina
from lamina import layers
from lamina._training import predict
from lamina.errors import LaminaWarning

warnings_off = pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning")


def pair(make, *, compile=None):
    """Our model and Keras's, from equal weights, compiled alike."""
    lamina.utils.set_random_seed(0)
    ours, other = make(lamina, layers), make(keras, keras.layers)
    other.set_weights(ours.get_weights())
    for package, model in ((lamina, ours), (keras, other)):
        model.compile(**compile(package))
    return ours, other


def assert_equal_runs(ours, other, x, y, **fit):
    mine = ours.fit(x, y, verbose=0, shuffle=False, **fit)
    its = other.fit(x, y, verbose=0, shuffle=False, **fit)
    assert list(mine.history) == list(its.history)
    assert mine.epoch == its.epoch
    for name, values in its.history.items():
        np.testing.assert_allclose(mine.history[name], values, rtol=1e-5, atol=1e-6, err_msg=name)
    for a, b in zip(ours.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def adam(package):
    return {"optimizer": package.optimizers.Adam(0.001), "loss": "binary_crossentropy", "metrics": ["accuracy"]}


@warnings_off
def test_program_1_equals_keras_over_three_epochs():
    x, y = two_classes(1000)
    ours, other = pair(lambda k, lay: program_1(k, lay, rate=0.0), compile=adam)
    assert_equal_runs(ours, other, x, y, epochs=3, batch_size=128, validation_split=0.2)


def small(package, lay):
    return package.Sequential([lay.Input((6,)), lay.Dense(8, activation="tanh"), lay.Dense(3)])


def mse(package):
    return {"optimizer": package.optimizers.SGD(0.1, momentum=0.9), "loss": "mse", "metrics": ["mae", "mse"]}


X = np.random.default_rng(1).normal(size=(70, 6)).astype("float32")
Y = np.random.default_rng(2).normal(size=(70, 3)).astype("float32")
W = np.random.default_rng(3).uniform(0.1, 2, 70).astype("float32")


@pytest.mark.parametrize(
    "fit",
    [
        {"epochs": 2},
        {"epochs": 2, "batch_size": 70},
        {"epochs": 2, "batch_size": 100},
        {"epochs": 4, "initial_epoch": 2, "batch_size": 16},
        {"epochs": 1, "batch_size": 16, "steps_per_epoch": 3},
        {"epochs": 1, "steps_per_epoch": 4},
        {"epochs": 2, "batch_size": 16, "sample_weight": W},
        {"epochs": 3, "batch_size": 16, "validation_split": 0.3, "validation_freq": 2},
        {"epochs": 4, "batch_size": 16, "validation_split": 0.3, "validation_freq": [1, 4]},
        {"epochs": 2, "validation_data": (X[:30], Y[:30]), "validation_batch_size": 7},
        {"epochs": 2, "validation_data": (X[:30], Y[:30], W[:30]), "validation_steps": 1, "validation_batch_size": 7},
    ],
    ids=lambda fit: ",".join(fit),
)
def test_every_fit_argument_equals_keras(fit):
    ours, other = pair(small, compile=mse)
    assert_equal_runs(ours, other, X, Y, **fit)


@pytest.mark.parametrize("class_weight", [{0: 1.0, 1: 3.0, 2: 0.5}])
@pytest.mark.parametrize("one_hot", [False, True])
def test_class_weight_equals_keras(class_weight, one_hot):
    labels = np.arange(70) % 3

    def make(package, lay):
        return package.Sequential([lay.Input((6,)), lay.Dense(3, activation="softmax")])

    def compile(package):
        loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
        return {"optimizer": "sgd", "loss": loss, "metrics": ["acc"], "weighted_metrics": ["accuracy"]}

    ours, other = pair(make, compile=compile)
    assert_equal_runs(ours, other, X, np.eye(3)[labels] if one_hot else labels, epochs=2, class_weight=class_weight)


def test_evaluate_predict_and_batches_equal_keras():
    ours, other = pair(small, compile=mse)
    np.testing.assert_allclose(ours.predict(X), other.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.evaluate(X, Y, verbose=0), other.evaluate(X, Y, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(
        ours.evaluate(X, Y, verbose=0, sample_weight=W, batch_size=9),
        other.evaluate(X, Y, verbose=0, sample_weight=W, batch_size=9),
        rtol=1e-5,
    )
    assert (
        ours.evaluate(X, Y, verbose=0, return_dict=True).keys()
        == other.evaluate(X, Y, verbose=0, return_dict=True).keys()
    )
    for _ in range(3):
        np.testing.assert_allclose(ours.train_on_batch(X, Y), other.train_on_batch(X, Y), rtol=1e-5)
    np.testing.assert_allclose(ours.test_on_batch(X, Y, W), other.test_on_batch(X, Y, W), rtol=1e-5)
    np.testing.assert_allclose(ours.predict_on_batch(X), other.predict_on_batch(X), rtol=1e-5, atol=1e-6)
    for a, b in zip(ours.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 2, 3, 31, 32, 33, 5000])
def test_predict_of_any_number_of_rows(rows):
    model = small(lamina, layers)
    x = np.resize(X, (rows, 6))
    want = np.tanh(x @ model.get_weights()[0]) @ model.get_weights()[2]
    for y in (model.predict(x), model.predict(x, batch_size=7, verbose=0), np.asarray(model(x))):
        assert y.shape == (rows, 3)
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)


def test_predict_waits_awake_for_what_is_there_soon():
    class Output:
        asked, due = 0, 0

        def is_ready(self):
            self.asked += 1
            return self.asked >= self.due

    model = program_1(lamina, layers, 3)
    model.predict(np.ones((1, 3)), verbose=0)
    predictor = predict.predictor_for(model)

    def asked(due):
        output = Output()
        output.due = due
        predictor._await((None, output), "a program")
        return output.asked

    assert [asked(7), *(asked(10**9) for _ in range(4)), asked(1)] == [7, *[predict.POLLS] * 4, 1]
    late = [asked(10**9) for _ in range(2 * predict.AGAIN)]  # a few calls of each hundred ask
    assert late.count(predict.POLLS) == 2 * predict.LATE and late.count(0) == 2 * (predict.AGAIN - predict.LATE)


def test_predict_takes_a_numpy_array_from_an_eager_layer():
    class Doubled(layers.Layer):
        def call(self, x):
            return x * 2 if isinstance(x, jax.core.Tracer) else np.asarray(x) * 2

    model = lamina.Sequential([lamina.Input((3,)), Doubled()])
    model.compile("sgd", "mse", run_eagerly=True)
    np.testing.assert_array_equal(model.predict(np.ones((3, 3)), verbose=0), 2)


def test_predict_steps_takes_the_first_batches():
    model = small(lamina, layers)
    assert len(model.predict(X, batch_size=16, steps=2)) == 32


def seeded_run(shuffle=True):
    lamina.utils.set_random_seed(11)
    model = program_1(lamina, layers)
    model.compile("adam", "binary_crossentropy")
    x, y = two_classes(500)
    model.fit(x, y, epochs=2, batch_size=64, verbose=0, shuffle=shuffle)
    return model.get_weights()


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_seed_repeats_to_the_bit():
    first = seeded_run()
    assert same(first, seeded_run())
    assert not same(first, seeded_run(shuffle=False))


@pytest.mark.usual_programs
def test_a_seed_repeats_to_the_bit_in_another_process(tmp_path):
    here = os.path.dirname(__file__)
    code = f"import sys; sys.path.insert(0, {here!r}); import numpy, test_training; "
    code += "numpy.savez(sys.argv[1], *test_training.seeded_run())"
    path = str(tmp_path / "weights.npz")
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=120)
    with np.load(path) as other:
        assert same(seeded_run(), [other[name] for name in other.files])


def batches(feed, epoch, steps=10):
    """The numbers of the rows of each batch of an epoch; those that only fill a batch up left out."""
    from lamina._training.feeds import ChunkLength

    found = []
    for chunk in feed.chunks((0, epoch), ChunkLength(steps)):
        for number in range(chunk.start, chunk.start + chunk.steps):
            batch = {name: np.asarray(array)[number, : chunk.size] for name, array in chunk.data.items()}
            found.append(batch["x"][batch.get("counted", np.ones(chunk.size)) > 0, 0].astype(int).tolist())
    return found


def numbered(rows=70, **how):
    from lamina._data.source import arrays
    from lamina._training.feeds import ArrayFeed

    return ArrayFeed(arrays(np.arange(rows, dtype="float32")[:, None], np.zeros(rows, "float32")), 16, **how)


@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_shuffling_reorders_rows_and_loses_none(shuffle, fill):
    feed = numbered(shuffle=shuffle, fill=fill)
    first, second = batches(feed, 0), batches(feed, 1)
    assert [len(batch) for batch in first] == [16, 16, 16, 16, 6] and first != second
    assert np.bincount(np.concatenate(first)).tolist() == np.bincount(np.concatenate(second)).tolist() == [1] * 70
    assert np.concatenate(first).tolist() != list(range(70))
    if shuffle == "batch":
        assert all(sorted(batch) == list(range(16 * i, 16 * i + len(batch))) for i, batch in enumerate(first))


def test_steps_per_epoch_goes_on_where_the_last_epoch_ended():
    """And it ends where the data ends, with a warning, as in Keras; the next one begins anew."""
    feed, said = numbered(steps=3), "x ran out of batches: 2 of 3 in this epoch"
    with pytest.warns(LaminaWarning, match=said) as warned:
        firsts = [[batch[0] for batch in batches(feed, epoch)] for epoch in range(3)]
    assert firsts == [[0, 16, 32], [48, 64], [0, 16, 32]]
    assert len(warned) == 1
    shuffled = numbered(steps=3, shuffle=True)
    with pytest.warns(LaminaWarning, match=said):
        seen = np.concatenate([row for epoch in range(6) for row in batches(shuffled, epoch)])
    assert np.bincount(seen).tolist() == [3] * 70  # 6 epochs are 3 whole passes of 5 batches


def test_long_data_comes_in_blocks_and_gives_the_same_batches(monkeypatch):
    from lamina._training import feeds

    def three_epochs():
        feed = numbered(1000, shuffle=True, fill=True, steps=40)  # an epoch is two thirds of a pass
        with pytest.warns(LaminaWarning, match="23 of 40"):
            return len(feed.buffers), [batches(feed, epoch, steps=3) for epoch in range(3)]

    count, whole = three_epochs()
    monkeypatch.setattr(feeds, "BLOCK_STEPS", 7)
    assert count == 1 and three_epochs() == (2, whole)


def test_trainable_takes_effect_at_the_next_fit_without_compile():
    model = small(lamina, layers)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    frozen, free = model.layers
    before = frozen.get_weights(), free.get_weights()
    frozen.trainable = False
    model.fit(X, Y, verbose=0)
    assert same(before[0], frozen.get_weights()) and not same(before[1], free.get_weights())
    assert [w.path for w in model.trainable_weights] == ["sequential/dense_1/kernel", "sequential/dense_1/bias"]
    frozen.trainable = True
    model.fit(X, Y, verbose=0)
    assert not same(before[0], frozen.get_weights())
    model.trainable = False
    kept = model.get_weights()
    with pytest.warns(LaminaWarning, match="no weight of 'sequential' is trainable"):
        model.fit(X, Y, verbose=0)
    assert same(kept, model.get_weights())


def test_a_frozen_batch_normalization_neither_learns_nor_follows():
    model = lamina.Sequential([layers.Input((6,)), layers.BatchNormalization(), layers.Dense(3)])
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    before = model.layers[0].get_weights()
    model.fit(X + 5, Y, verbose=0)
    assert same(before, model.layers[0].get_weights())


def test_a_feature_extractor_shares_its_weights():
    model = small(lamina, layers)
    features = lamina.Sequential([layers.Input((6,)), model.layers[0]])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    np.testing.assert_allclose(
        features.predict(X), np.tanh(X @ model.get_weights()[0] + model.get_weights()[1]), rtol=1e-4
    )
    features.layers[0].trainable = False
    model.fit(X, Y, verbose=0)
    assert features.layers[0].kernel is model.layers[0].kernel


def test_the_learning_rate_and_what_is_refused_change_without_a_new_program():
    model = lamina.Sequential([layers.Input((6,)), layers.Dense(9), layers.Dense(3)])
    model.compile(lamina.optimizers.SGD(0.1), "mse")
    compiled = []
    with counting(compiled):
        model.fit(X, Y, verbose=0)
        first = len(compiled)
        model.optimizer.learning_rate = 0.0
        before = model.get_weights()
        lamina.config.set_non_finite("warn")
        model.fit(X, Y, verbose=0)
    assert first > 0 and len(compiled) == first
    assert same(before, model.get_weights())


class counting:
    """Appends to a list whenever XLA compiles (or would, but for the cache on disk)."""

    seen: list = []

    def __init__(self, into):
        self.into = into

    def __enter__(self):
        counting.seen.append(self.into)

    def __exit__(self, *exception):
        counting.seen.remove(self.into)


def _listen(event, duration, **kwargs):
    if event == "/jax/core/compile/backend_compile_duration":
        for into in counting.seen:
            into.append(event)


jax.monitoring.register_event_duration_secs_listener(_listen)


def test_an_equal_model_compiles_nothing():
    x, y = two_classes(500)

    def run():
        model = program_1(lamina, layers)
        model.compile(lamina.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
        model.fit(x, y, epochs=2, batch_size=64, verbose=0, validation_split=0.2)
        model.evaluate(x, y, verbose=0)
        model.predict(x[:3])

    run()
    for _ in range(2):
        compiled = []
        with counting(compiled):
            run()
        assert compiled == []
    with counting(compiled):
        layers.Dense(17)(X)
    assert compiled  # the counter counts


def test_the_cache_on_disk_keeps_the_newest(tmp_path):
    from lamina._programs.cache import prune

    for age in range(5):
        (tmp_path / f"{age}-cache").write_bytes(bytes(100))
        os.utime(tmp_path / f"{age}-cache", (1000 - age, 1000 - age))
    prune(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-cache", "1-cache"]


@pytest.mark.parametrize("place", ["folder", "off"])
def test_programs_are_found_again_by_the_next_process(tmp_path, place):
    code = "import lamina, numpy; m = lamina.Sequential([lamina.layers.Dense(3)]); m(numpy.ones((2, 2)))"
    where = "off" if place == "off" else str(tmp_path / place)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env={**os.environ, "LAMINA_CACHE": where})
    assert (tmp_path / place).is_dir() == (place == "folder")
    assert place == "off" or any((tmp_path / place).glob("*/*-cache"))


def test_many_models_leave_nothing_behind():
    def run():
        model = small(lamina, layers)
        model.compile("adam", "mse")
        model.fit(X, Y, verbose=0)
        model.predict(X[:3], verbose=0)

    def objects():
        gc.collect()
        return len(gc.get_objects())

    for _ in range(3):
        run()
    before = objects()
    for _ in range(10):
        run()
    assert objects() - before < 50  # one model has hundreds


def test_a_hundred_sizes_of_predict_compile_eight_programs():
    model = lamina.Sequential([layers.Input((5,)), layers.Dense(7, activation="relu"), layers.Dense(2)])
    compiled = []
    with counting(compiled):
        for rows in range(1, 101):
            assert model.predict(np.ones((rows, 5), "float32"), verbose=0).shape == (rows, 2)
    assert 1 <= len(compiled) <= 8


def test_ctrl_c_leaves_a_usable_model_and_its_history():
    x, y = two_classes(4000)
    model = program_1(lamina, layers)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])

    class Press(lamina.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=10_000, batch_size=32, verbose=0, callbacks=[Press()])
    assert signal.getsignal(signal.SIGINT) is before
    assert len(model.history.history["loss"]) >= 2
    assert np.isfinite(model.predict(x[:5])).all()
    model.fit(x, y, verbose=0)


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_ctrl_c_shows_the_users_lines_alone(verb):
    """Pressed once, where the run stops between two chunks, and twice, where it waits in the user's own code."""
    x, y = two_classes(4000)
    model = program_1(lamina, layers)
    model.compile("adam", "binary_crossentropy")

    class Once(lamina.callbacks.Callback):
        def press(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGINT)

        on_train_batch_end = on_test_batch_end = on_predict_batch_end = press

    class Twice(lamina.callbacks.Callback):
        def wait(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGINT)
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            threading.Event().wait(60)

        on_train_batch_end = on_test_batch_end = on_predict_batch_end = wait

    data = (x,) if verb == "predict" else (x, y)
    for press, inner in ((Once(), ["press"] if verb == "predict" else []), (Twice(), ["wait"])):
        with pytest.raises(KeyboardInterrupt) as caught:
            getattr(model, verb)(*data, batch_size=32, verbose=0, callbacks=[press])
        entries = traceback.extract_tb(caught.value.__traceback__)
        assert [entry.name for entry in entries] == ["test_ctrl_c_shows_the_users_lines_alone", *inner]
        assert caught.value.__context__ is None


def test_nan_loss_names_epoch_and_step_and_restores_the_epochs_start():
    rate = iter([0.01, 0.01, 1e30, 1e30, 1e30])

    class Explode(lamina.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            kept.append(self.model.get_weights())
            self.model.optimizer.learning_rate = next(rate)

    kept = []
    model = small(lamina, layers)
    model.compile(lamina.optimizers.SGD(0.01), lambda t, p: jnp.exp(jnp.mean((p - t) ** 2, -1)))
    with pytest.raises(lamina.errors.NonFiniteError, match=r"(?s)epoch 3, at step 2\..*those from before that epoch"):
        model.fit(X, Y, epochs=5, batch_size=16, verbose=0, callbacks=[Explode()])
    assert same(model.get_weights(), kept[2])
    model.optimizer.learning_rate = 0.01
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()


def test_terminate_on_nan_stops_without_an_error():
    model = small(lamina, layers)
    model.compile(lamina.optimizers.SGD(1e30), lambda t, p: jnp.exp(jnp.mean((p - t) ** 2, -1)))
    history = model.fit(X, Y, epochs=5, batch_size=16, verbose=0, callbacks=[lamina.callbacks.TerminateOnNaN()])
    assert len(history.history["loss"]) == 1


def test_early_stopping_restores_the_best_weights():
    model = small(lamina, layers)
    model.compile(lamina.optimizers.SGD(0.5), "mse")
    seen = []

    class Keep(lamina.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((logs["val_loss"], self.model.get_weights()))

    stop = lamina.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    model.fit(X, Y, epochs=60, validation_split=0.3, verbose=0, callbacks=[Keep(), stop])
    best = min(range(len(seen)), key=lambda i: seen[i][0])
    assert len(seen) == best + 4
    assert same(model.get_weights(), seen[best][1])


def test_batch_hooks_see_every_batch_and_the_weights_of_that_moment():
    model = small(lamina, layers)
    model.compile("sgd", "mse", metrics=["mae"])
    seen = []

    class Look(lamina.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, sorted(logs), self.model.get_weights()))

        def on_test_batch_end(self, batch, logs=None):
            seen.append(("test", batch))

    model.fit(X, Y, epochs=1, batch_size=16, verbose=0, callbacks=[Look()], validation_data=(X, Y))
    train = [entry for entry in seen if entry[0] != "test"]
    assert [entry[0] for entry in train] == [0, 1, 2, 3, 4]
    assert train[0][1] == ["loss", "mae"]
    assert not same(train[0][2], train[1][2]) and same(train[-1][2], model.get_weights())
    assert ("test", 4) in seen


def everything(model):
    """All arrays that a user can get hold of, as they stand in the model and its optimizer."""
    optimizer = model.optimizer
    kept = [weight.value for weight in (*model.weights, *optimizer.variables)]
    return [*kept, *model.get_weights(), *map(np.asarray, (optimizer.iterations, optimizer.learning_rate))]


def alike(a, b):
    return all(np.allclose(x, y, 1e-4, 1e-6) for x, y in zip(a, b, strict=True))


def of_kind(kind):
    optimizers = lamina.optimizers
    if kind == "scaled":
        return optimizers.LossScaleOptimizer("adam")
    if kind == "averaged":
        return optimizers.Adam(use_ema=True, gradient_accumulation_steps=2)
    return optimizers.SGD(optimizers.schedules.CosineDecay(0.1, 10), momentum=0.9) if kind == "scheduled" else "adam"


def by_hand_and_with_a_hook(kind, hook):
    """The same steps through `train_on_batch`, each followed by `hook(model, batch)`, and through `fit` with a hook."""

    def make():
        model = lamina.Sequential([layers.Input((6,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(3)])
        model.compile(of_kind(kind), "mse", metrics=["mae"])
        return model

    class Hook(lamina.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert logs == {metric.name: float(metric.result()) for metric in self.model.metrics}
            hook(self.model, batch)

    by_hand, fitted = make(), make()
    fitted.set_weights(by_hand.get_weights())
    for model in (by_hand, fitted):
        if kind == "partly frozen":  # the moments of what is frozen wait
            model.fit(X, Y, batch_size=40, shuffle=False, verbose=0)
            model.layers[0].trainable = False
    for batch, start in enumerate(range(0, len(X), 16)):
        by_hand.train_on_batch(X[start : start + 16], Y[start : start + 16])
        hook(by_hand, batch)
    fitted.fit(X, Y, batch_size=16, shuffle=False, verbose=0, callbacks=[Hook()])
    return by_hand, fitted


KINDS = ["adam", "scaled", "averaged", "scheduled", "partly frozen"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_batch_hook_reads_is_of_that_step_and_stays_as_it_is(kind):
    seen, copied = {}, {}

    def look(model, batch):
        seen[id(model), batch] = everything(model)
        copied[id(model), batch] = [np.array(array) for array in everything(model)]

    by_hand, fitted = by_hand_and_with_a_hook(kind, look)
    assert len(seen) == 10
    for batch in range(5):
        assert alike(seen[id(by_hand), batch], seen[id(fitted), batch])
        assert same(seen[id(fitted), batch], copied[id(fitted), batch])


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_batch_hook_assigns_counts_from_the_next_step_on(kind):
    def change(model, batch):
        model.layers[-1].bias.assign(np.full(3, batch))
        for variable in model.optimizer.variables[-2:]:
            variable.assign(variable * 0)
        if kind != "scheduled":
            model.optimizer.learning_rate = 0.01 * batch
        copy.deepcopy(model), pickle.dumps(model.optimizer)

    by_hand, fitted = by_hand_and_with_a_hook(kind, change)
    by_hand.optimizer.finalize_variable_values(by_hand.trainable_weights)  # as at the end of fit
    assert alike(everything(by_hand), everything(fitted))


def test_a_step_takes_its_rows_as_they_lie():
    from lamina._training.trainer import trainer_for

    model = small(lamina, layers)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    ready = trainer_for(model).ready.items()
    texts = [program.result().run.as_text() for (kind, *_), program in ready if kind == "train"]
    assert texts and not any("gather" in text for text in texts)  # picking them by numbers took most of a small step


def test_a_second_fit_and_evaluate_look_at_no_setting_again(monkeypatch):
    from lamina._training import fingerprint

    model = small(lamina, layers)
    model.compile("sgd", "mse")
    for _ in range(2):
        model.fit(X, Y, verbose=0)
        model.evaluate(X, Y, verbose=0)
        monkeypatch.delattr(fingerprint, "_visit", raising=False)


def test_a_step_with_a_batch_hook_walks_over_no_layers():
    def calls(units):
        """How many functions of Python each step calls."""
        model = lamina.Sequential([layers.Input((6,)), *(layers.Dense(n) for n in units), layers.Dense(3)])
        model.compile("adam", "mse")
        found = []

        class Count(lamina.callbacks.Callback):
            def on_train_begin(self, logs=None):
                self.count = 0
                sys.setprofile(self.note)

            def note(self, frame, event, argument):
                self.count += event == "call"

            def on_train_batch_end(self, batch, logs=None):
                found.append(self.count)
                self.count = 0

            def on_train_end(self, logs=None):
                sys.setprofile(None)

        for _ in range(2):  # the first one compiles
            model.fit(np.zeros((40, 6)), np.zeros((40, 3)), batch_size=4, verbose=0, callbacks=[Count()])
        return found[-5:]

    try:
        assert calls([8]) == calls([8] * 9)
    finally:
        sys.setprofile(None)


def test_stop_training_from_a_batch_hook_ends_at_once():
    model = small(lamina, layers)
    model.compile("sgd", "mse")
    seen = []

    class Stop(lamina.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)
            self.model.stop_training = batch == 2

    model.fit(X, Y, epochs=5, batch_size=16, verbose=0, callbacks=[Stop()])
    assert seen == [0, 1, 2]


def test_run_eagerly_runs_the_code_of_call_in_every_step():
    seen = []

    class Look(layers.Layer):
        def call(self, x):
            seen.append(x)
            return x

    model = lamina.Sequential([layers.Input((6,)), layers.Dense(3)])
    eager = lamina.Sequential([layers.Input((6,)), layers.Dense(3), Look()])
    eager.set_weights(model.get_weights())
    model.compile("sgd", "mse")
    seen.clear()
    eager.compile("sgd", "mse", run_eagerly=True)
    eager.fit(X, Y, batch_size=35, epochs=3, verbose=0, shuffle=False)
    model.fit(X, Y, batch_size=35, epochs=3, verbose=0, shuffle=False)
    assert len(seen) == 6
    for a, b in zip(model.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-8)


def test_weights_that_are_whole_numbers_are_measured_and_not_trained():
    model = lamina.Sequential([lamina.Input((4,)), layers.Dense(1), layers.BatchNormalization(dtype="int32")])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4), "float32"), np.ones((8, 1), "float32")
    assert np.isfinite(model.evaluate(x, y, verbose=0))
    with pytest.raises(lamina.errors.ArgumentError, match="gamma' is int32, and only floating-point numbers can be"):
        model.fit(x, y, verbose=0)
    model.layers[1].trainable = False
    model.fit(x, y, verbose=0)


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "mixed_bfloat16", "mixed_float16", "float64"])
def test_dtype_policies_train(policy):
    x, y = two_classes(400, 6)
    try:
        lamina.config.set_dtype_policy(policy)
        model = lamina.Sequential(
            [layers.Input((6,)), layers.Dense(8, "relu"), layers.BatchNormalization(), layers.Dropout(0.1)]
        )
        model.add(layers.Dense(1, activation="sigmoid"))
        model.compile(lamina.optimizers.Adam(0.01, epsilon=1e-4), "binary_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=8, verbose=0, validation_split=0.1).history
        assert history["loss"][-1] < history["loss"][0]
        assert history["accuracy"][-1] > 0.75
        assert {w.dtype for w in model.layers[0].weights} == {"float32" if policy.startswith("mixed") else policy}
        assert model(x[:2]).dtype == policy.removeprefix("mixed_")
        assert isinstance(model.optimizer, lamina.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    finally:
        lamina.config.set_dtype_policy("float32")
        jax.config.update("jax_enable_x64", False)


@pytest.mark.parametrize("scaled", [False, True])
def test_a_second_fit_goes_on_with_the_moments_of_the_first(scaled):
    whole, halves = small(lamina, layers), small(lamina, layers)
    halves.set_weights(whole.get_weights())
    for model in (whole, halves):
        model.compile(lamina.optimizers.LossScaleOptimizer("adam") if scaled else "adam", "mse")
    whole.fit(X, Y, epochs=4, verbose=0, shuffle=False)
    halves.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    halves.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    assert same(whole.get_weights(), halves.get_weights())
    assert int(halves.optimizer.iterations) == 12


def test_fit_and_the_users_own_loop_share_an_optimizer():
    model = small(lamina, layers)
    model.compile(lamina.optimizers.Adam(0.01), "mse")
    model.fit(X, Y, verbose=0)

    def loss(params):
        return jnp.mean((model.stateless_call(params, [], X)[0] - Y) ** 2)

    before = model.evaluate(X, Y, verbose=0)
    for _ in range(3):
        weights = model.trainable_weights
        model.optimizer.apply(jax.grad(loss)([w.value for w in weights]), weights)
    assert model.evaluate(X, Y, verbose=0) < before
    assert int(model.optimizer.iterations) == 6
    assert "sequential_dense_kernel_momentum" in [w.name for w in model.optimizer.variables]


def test_an_optimizer_trains_one_model_only():
    optimizer = lamina.optimizers.Adam()
    first, second = small(lamina, layers), small(lamina, layers)
    first.compile(optimizer, "mse")
    first.fit(X, Y, verbose=0)
    second.compile(optimizer, "mse")
    with pytest.raises(lamina.errors.ArgumentError, match="another model"):
        second.fit(X, Y, verbose=0)
    first.fit(X, Y, verbose=0)


def test_streams_train_like_arrays():
    batches = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 70, 16)]
    models = [small(lamina, layers) for _ in range(3)]
    for model in models[1:]:
        model.set_weights(models[0].get_weights())
    for model, data in zip(models, [(X, Y), (batches, None), (lambda: iter(batches), None)], strict=True):
        model.compile(lamina.optimizers.SGD(0.1), "mse")
        told = {"batch_size": 16, "shuffle": False} if data[1] is not None else {}
        model.fit(*data, epochs=3, verbose=0, validation_data=(X, Y), **told)
    for model in models[1:]:
        assert model.history.history["loss"] == pytest.approx(models[0].history.history["loss"], rel=1e-5)
        for a, b in zip(models[0].get_weights(), model.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert models[1].predict(iter([x for x, _ in batches])).shape == (70, 3)


def test_a_custom_layer_in_keras_style_trains_like_keras():
    def make(package, lay):
        class Counting(lay.Layer):
            def __init__(self, units, **kwargs):
                super().__init__(**kwargs)
                self.inner = lay.Dense(units)
                self.units = units

            def build(self, input_shape):
                self.scale = self.add_weight(shape=(self.units,), initializer="ones", name="scale")
                self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")
                self.inner.build(input_shape)

            def call(self, x, training=None):
                if training:
                    self.count.assign(self.count + 1)
                y = self.inner(x) * self.scale
                self.add_loss(0.1 * (y**2).mean())
                return y

        return package.Sequential([lay.Input((6,)), Counting(3)])

    ours, other = make(lamina, layers), make(keras, keras.layers)
    for variable in other.weights:
        mine = next(w for w in ours.weights if w.name == variable.name)
        variable.assign(mine.numpy())
    for package, model in ((lamina, ours), (keras, other)):
        model.compile(package.optimizers.SGD(0.1), "mse")
    mine, its = (m.fit(X, Y, epochs=2, verbose=0, shuffle=False).history["loss"] for m in (ours, other))
    np.testing.assert_allclose(mine, its, rtol=1e-5)
    assert float(ours.layers[0].count) == 6
    assert ours.layers[0].get_config()["units"] == 3
