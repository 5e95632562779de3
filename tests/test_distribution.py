"""A model on several devices computes what it does on one, for any number of rows."""

import jax
import numpy as np
import pytest
from dying import Die

import lamina
from lamina import distribution, layers, losses, metrics, optimizers
from lamina.callbacks import Callback, EarlyStopping
from lamina.distribution import DataParallel, DeviceMesh, LayoutMap, ModelParallel, TensorLayout
from lamina.errors import ArgumentError, LaminaWarning

NAMES = distribution.list_devices("cpu")
R = np.random.default_rng(0)
X = R.normal(size=(130, 12)).astype("float32")
Y = (X[:, :1] + 0.3 * R.normal(size=(130, 1)) > 0).astype("float32")
IMAGES, DIGITS = R.normal(size=(70, 8, 8, 3)).astype("float32"), R.integers(0, 4, 70)
WORDS = np.where(np.arange(9) < R.integers(1, 9, (70, 1)), R.integers(1, 20, (70, 9)), 0)


class Centered(layers.Layer):
    """Takes the mean of the batch off: a padded row would change it."""

    def call(self, x):
        return x - x.mean(axis=0)


def dense():
    return [
        layers.BatchNormalization(), layers.Dense(16, activation="relu", kernel_regularizer="l2"),
        layers.Dropout(0.3), layers.Dense(1, activation="sigmoid"),
    ]  # fmt: skip


def convnet():
    return [
        layers.Conv2D(8, 3, use_bias=False), layers.BatchNormalization(), layers.ReLU(), layers.MaxPooling2D(),
        layers.SpatialDropout2D(0.2), layers.Flatten(), layers.Dense(4, activation="softmax"),
    ]  # fmt: skip


def words():
    return [
        layers.Embedding(20, 6, mask_zero=True), layers.Bidirectional(layers.GRU(5)), layers.LayerNormalization(),
        layers.Dense(4, activation="softmax"),
    ]  # fmt: skip


STACKS = {
    "dense": (dense, X, Y, "binary_crossentropy"),
    "convnet": (convnet, IMAGES, DIGITS, "sparse_categorical_crossentropy"),
    "words": (words, WORDS, DIGITS, "sparse_categorical_crossentropy"),
    "own": (lambda: [Centered(), layers.Dense(4), layers.Lambda(abs), layers.Dense(1)], X, Y, "mse"),
}


@pytest.fixture(autouse=True)
def _one_device_afterwards():
    yield
    distribution.set_distribution(None)


def on(count):
    """The distribution over so many devices; None for one device without any."""
    return DataParallel(devices=NAMES[:count]) if count else None


def trained(name, devices, batch_size=32, optimizer="adam", model=lamina.Sequential, **options):
    """Everything that a program of a user reads: history, evaluate, predict, train_on_batch, weights."""
    make, x, y, loss = STACKS[name]
    distribution.set_distribution(devices)
    lamina.utils.set_random_seed(3)
    stack = model(make())
    stack.compile(optimizer, loss, metrics=["accuracy"])
    logs = stack.fit(x, y, batch_size, 3, verbose=0, validation_split=0.1, **options).history
    logs["evaluated"] = stack.evaluate(x[:33], y[:33], 7, verbose=0)
    logs["predicted"] = stack.predict(x[:10], verbose=0)
    logs["batch"] = stack.train_on_batch(x[:30], y[:30])
    return logs, stack.get_weights(), stack


def apart(a, b):
    """The largest difference between two results."""
    assert list(a[0]) == list(b[0])
    pairs = [*((a[0][name], b[0][name]) for name in a[0]), *zip(a[1], b[1], strict=True)]
    return max(float(np.abs(np.asarray(p) - np.asarray(q)).max()) for p, q in pairs)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("count", [3, 4])
def test_training_gives_the_numbers_of_one_device(name, count):
    one, several = trained(name, None, 30), trained(name, on(count), 30)
    assert apart(one, several) < 5e-6
    held = several[2].trainable_weights[0].value.sharding
    assert held.is_fully_replicated and len(held.device_set) == count


def test_in_float64_only_rounding_differs():
    jax.config.update("jax_enable_x64", True)
    before = lamina.config.floatx()
    lamina.config.set_floatx("float64")
    try:
        assert apart(trained("dense", None), trained("dense", on(4))) < 1e-12
    finally:
        lamina.config.set_floatx(before)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1)},
        {"optimizer": optimizers.AdamW(use_ema=True, ema_overwrite_frequency=3, gradient_accumulation_steps=2)},
        {"sample_weight": R.random(130).astype("float32")},
        {"class_weight": {0: 1.0, 1: 3.0}, "batch_size": 39},
        {"shuffle": False, "batch_size": 130, "callbacks": [EarlyStopping("loss", restore_best_weights=True)]},
    ],
    ids=["clipnorm", "averages", "sample weights", "class weights", "restored"],
)
def test_what_looks_at_the_whole_batch_sees_it(options):
    def run(devices):
        given = dict(options)
        if isinstance(given.get("optimizer"), optimizers.Optimizer):
            given["optimizer"] = type(given["optimizer"]).from_config(given["optimizer"].get_config())
        return trained("dense", devices, **given)

    assert apart(run(None), run(on(4))) < 5e-6


def test_a_generator_with_batches_of_all_sizes_is_divided_too():
    sizes = [5, 5, 5, 1, 7, 4, 4]

    def batches():
        while True:
            for number, size in enumerate(sizes):
                yield X[number : number + size], Y[number : number + size]

    def run(devices):
        distribution.set_distribution(devices)
        lamina.utils.set_random_seed(1)
        stack = lamina.Sequential(dense())
        stack.compile("adam", "binary_crossentropy", metrics=["auc"])
        logs = stack.fit(batches(), steps_per_epoch=len(sizes), epochs=2, verbose=0).history
        logs["predicted"] = stack.predict((X[i : i + 3] for i in range(2)), verbose=0)
        return logs, stack.get_weights()

    assert apart(run(None), run(on(4))) < 5e-6


def test_exact_metrics_and_own_steps_are_of_the_whole_batch():
    class Own(lamina.Sequential):
        def train_step(self, data):
            self.seen = data[0].shape
            return super().train_step(data)

    def run(devices):
        distribution.set_distribution(devices)
        lamina.utils.set_random_seed(1)
        stack = Own(dense())
        stack.compile("adam", losses.BinaryCrossentropy(), metrics=[metrics.AUC(name="area", exact=True)])
        logs = stack.fit(X, Y, 27, 2, verbose=0).history
        assert stack.seen[0] in (27, 130 % 27)
        return logs, stack.get_weights()

    assert apart(run(None), run(on(4))) < 5e-6


def test_a_state_of_rows_and_eager_steps():
    def run(devices, eager):
        distribution.set_distribution(devices)
        lamina.utils.set_random_seed(1)
        stack = lamina.Sequential(
            [layers.Input(batch_shape=(10, 4, 3)), layers.LSTM(3, stateful=True), layers.Dense(1)]
        )
        stack.compile("sgd", "mse", run_eagerly=eager)
        x, y = X[:20].reshape(20, 4, 3), Y[:20]
        logs = stack.fit(x, y, 10, 1, verbose=0, shuffle=False).history
        logs["state"] = stack.layers[0].states[0]
        return logs, stack.get_weights()

    assert apart(run(None, False), run(on(4), False)) < 5e-6
    assert apart(run(None, True), run(on(4), True)) < 5e-6


def test_a_model_is_built_before_or_after_and_comes_back():
    stack = lamina.Sequential([layers.Dense(8), layers.Dense(1)])
    stack.compile("adam", "mse")
    stack.fit(X, Y, verbose=0)
    expected, kernel = stack.predict(X, verbose=0), stack.layers[0].kernel
    with on(4).scope():
        assert np.allclose(stack.predict(X, verbose=0), expected, atol=1e-6)
        assert np.allclose(stack(X), expected, atol=1e-6)
        stack.fit(X, Y, verbose=0)
        assert all(len(weight.value.sharding.device_set) == 4 for weight in stack.variables)
        assert len(stack.optimizer.variables[-1].value.sharding.device_set) == 4
        stack.set_weights(stack.get_weights())
        stack.fit(X, Y, verbose=0)
    assert all(weight.value.sharding.device_set == {jax.devices()[0]} for weight in stack.variables)
    assert stack.optimizer.variables[-1].value.sharding.device_set == {jax.devices()[0]}
    assert kernel is stack.layers[0].kernel and np.isfinite(stack.predict(X, verbose=0)).all()


def test_files_are_those_of_one_device(tmp_path):
    _, weights, stack = trained("dense", on(4))
    stack.save(tmp_path / "m.keras")
    stack.save_weights(tmp_path / "m.weights.h5")
    distribution.set_distribution(None)
    again = lamina.models.load_model(tmp_path / "m.keras")
    assert all(map(np.array_equal, weights, again.get_weights()))
    distribution.set_distribution(on(3))
    stack.load_weights(tmp_path / "m.weights.h5")
    stack.fit(X, Y, verbose=0)
    assert stack.predict(X, verbose=0).shape == (130, 1)


@pytest.mark.parametrize("after", [4, 0, 3])
def test_a_run_goes_on_with_other_devices(tmp_path, after):
    """With the same devices it is equal to the bit."""

    def run(devices, folder, *callbacks):
        distribution.set_distribution(devices)
        lamina.utils.set_random_seed(5)
        stack = lamina.Sequential(dense())
        stack.compile("adam", "binary_crossentropy")
        stack.fit(X, Y, 16, 3, verbose=0, callbacks=list(callbacks), checkpoint=folder)
        return stack.get_weights()

    whole = run(on(4), None)
    with pytest.raises(ZeroDivisionError):
        run(on(4), tmp_path, Die(13))
    rest = run(on(after), tmp_path)
    assert max(np.abs(a - b).max() for a, b in zip(whole, rest, strict=True)) <= (0 if after == 4 else 5e-6)


def test_a_step_makes_no_gather_and_few_sums(monkeypatch):
    """The batch stays where it is: all gradients are added in few operations."""
    seen = []
    from lamina._programs import programs

    kept = programs._for_this_device
    monkeypatch.setattr(programs, "_for_this_device", lambda traced: seen.append(kept(traced)) or seen[-1])
    distribution.set_distribution(on(4))
    stack = lamina.Sequential([layers.Dense(24, activation="relu"), layers.Dropout(0.3), layers.Dense(1)])
    stack.compile("adam", "mse")
    stack.fit(X[:128], Y[:128], 32, verbose=0)
    text = next(each.as_text() for each in seen if "all-reduce" in each.as_text())
    assert "all-gather" not in text and "all-to-all" not in text and "collective-permute" not in text
    assert 1 <= text.count(" all-reduce(") <= 2


def test_sweeps_and_ensembles_train_each_member_on_one_device():
    stack = lamina.Sequential([layers.Dense(4), layers.Dense(1)])
    stack.compile("adam", "mse")

    def ensemble(devices):
        distribution.set_distribution(devices)
        lamina.utils.set_random_seed(2)
        members = lamina.Ensemble(stack, 3)
        members.fit(X, Y, epochs=1, verbose=0)
        return members.predict(X[:9])

    assert np.allclose(ensemble(None), ensemble(on(4)), atol=1e-6)
    found = lamina.cross_validate(stack, X, Y, folds=2, epochs=1, verbose=0)
    assert len(found.histories) == 2 and np.isfinite(found.histories[0].history["loss"]).all()


def test_the_distribution_cannot_change_within_fit():
    class Change(Callback):
        def on_epoch_end(self, epoch, logs=None):
            distribution.set_distribution(on(4))

    stack = lamina.Sequential([layers.Dense(1)])
    stack.compile("adam", "mse")
    with pytest.raises(ArgumentError, match="a model is trained now"):
        stack.fit(X, Y, verbose=0, callbacks=[Change()])
    assert distribution.distribution() is None
    stack.fit(X, Y, verbose=0)


def model_parallel(**layouts):
    mesh = DeviceMesh((2, 2), ["batch", "model"], NAMES[:4])
    layout_map = LayoutMap(mesh)
    for key, axes in {".*dense.*/kernel": (None, "model"), ".*dense/bias": ("model",), **layouts}.items():
        layout_map[key] = axes
    return ModelParallel(layout_map=layout_map, batch_dim_name="batch")


def test_model_parallel_cuts_weights_and_moments_and_gives_the_same_numbers():
    def run(devices):
        distribution.set_distribution(devices)
        lamina.utils.set_random_seed(3)
        stack = lamina.Sequential([layers.Dense(64, activation="relu"), layers.Dropout(0.2), layers.Dense(2)])
        stack.compile("adam", "mse", metrics=["mae"])
        logs = stack.fit(X, X[:, :2], 30, 2, verbose=0).history
        logs["predicted"] = stack.predict(X[:7], verbose=0)
        return logs, stack.get_weights(), stack

    one, cut = run(None), run(model_parallel())
    assert apart(one, cut) < 5e-6
    kernel = cut[2].layers[0].kernel.value
    assert {each.data.shape for each in kernel.addressable_shards} == {(12, 32)}
    moments = [each for each in cut[2].optimizer.variables if each.shape == (12, 64)]
    assert len(moments) == 2 and all(each.value.addressable_shards[0].data.shape == (12, 32) for each in moments)
    distribution.set_distribution(None)
    assert len(cut[2].layers[0].kernel.value.sharding.device_set) == 1


def test_names_layouts_and_meshes_follow_keras():
    assert distribution.get_device_count("cpu") == len(NAMES) >= 4 and NAMES[1] == "cpu:1"
    mesh = DeviceMesh((2, 2), ["batch", "model"], NAMES[:4])
    assert mesh.devices.tolist() == [NAMES[:2], NAMES[2:4]] and mesh.backend_mesh.shape == {"batch": 2, "model": 2}
    layout = TensorLayout([None, "model"])
    layout.device_mesh = mesh
    assert tuple(layout.backend_layout.spec) == (None, "model")
    placed = distribution.distribute_tensor(X[:4], layout)
    assert placed.addressable_shards[0].data.shape == (4, 6)
    traced = jax.jit(lambda x: distribution.distribute_tensor(x, layout))(X[:4])
    assert traced.addressable_shards[0].data.shape == (4, 6)
    layouts = LayoutMap(mesh)
    layouts["a.*"], layouts[".*b"], layouts["c"] = (None,), TensorLayout(("model",)), ("batch", None)
    assert layouts["ax"].axes == (None,) and layouts["c"].device_mesh is mesh and layouts["d"] is None
    assert list(layouts) == ["a.*", ".*b", "c"] and len(layouts) == 3 and "ax" not in list(layouts)
    del layouts["c"]
    assert layouts["c"] is None
    parallel = DataParallel(devices=NAMES[:4])
    assert parallel.num_model_replicas == 4 and parallel.batch_dim_name == "batch" and parallel.auto_shard_dataset
    assert parallel.data_shard_id == 0 and parallel.num_processes == 1
    assert parallel.get_data_layout((None, 3)).axes == ("batch", None)
    variable = lamina.Variable(np.zeros((2, 3)), name="v")
    assert parallel.get_variable_layout(variable).axes == (None, None) and parallel.get_tensor_layout("v") is None
    assert parallel.distribute_dataset(X) is X
    parallel.auto_shard_dataset = False
    assert not parallel.auto_shard_dataset
    assert model_parallel().num_model_replicas == 2 and model_parallel().device_mesh.shape == (2, 2)
    with parallel.scope():
        assert distribution.distribution() is parallel
    assert distribution.distribution() is None
    with pytest.warns(LaminaWarning, match="the first axis of <DeviceMesh"):
        DataParallel(mesh)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: distribution.list_devices("tpu"), "there is none. The devices are cpu:0"),
        (lambda: DataParallel(devices=["gpu:7"]), "there is no device 'gpu:7'. The devices are cpu:0"),
        (lambda: DataParallel(NAMES), "For a list of devices type DataParallel(devices=[...])"),
        (lambda: DeviceMesh((3,), ["a"], NAMES[:2]), "is for 3 devices, got 2"),
        (lambda: DeviceMesh((2,), ["a", "b"], NAMES[:2]), "expected a size and a name for each axis"),
        (lambda: DeviceMesh((1, 1), ["a", "a"], NAMES[:1]), "two axes have the same name"),
        (lambda: DeviceMesh((2,), ["a"], NAMES[:1] * 2), "the same device stands twice"),
        (lambda: TensorLayout(["x"], DeviceMesh((1,), ["a"], NAMES[:1])), "has no axis 'x'. Its axes are 'a'"),
        (lambda: TensorLayout(["x"]).backend_layout, "has no mesh"),
        (lambda: ModelParallel(), "expected a LayoutMap"),
        (lambda: ModelParallel(layout_map=LayoutMap(DeviceMesh((1,), ["a"], NAMES[:1])), batch_dim_name="b"), "'a'"),
        (lambda: distribution.set_distribution("DataParallel"), "expected a DataParallel or a ModelParallel, or None"),
        (lambda: fit_on(model_parallel(**{".*kernel": (None, "model")})), "'sequential/dense/kernel' matches '.*dense"),
        (lambda: fit_on(model_parallel()), "has the shape (4, 1), and its layout cuts axis 1"),
        (lambda: fit_on(model_parallel(**{"dense/output": ("batch", None)})), "Delete 'dense/output' from the"),
        (lambda: model_parallel(**{"kernel": "model"}), "expected a TensorLayout or a tuple of axes"),
    ],
)  # fmt: skip
def test_wrong_arguments_say_what_to_type(wrong, words):
    with pytest.raises(ArgumentError) as error:
        wrong()
    assert words in str(error.value)


def test_a_job_refuses_what_it_cannot_do_yet(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ArgumentError, match=r"Use DataParallel\(\)"):
        distribution.set_distribution(model_parallel())
    with pytest.raises(ArgumentError, match="Give each process the same data"):
        distribution.set_distribution(DataParallel(devices=NAMES[:2], auto_shard_dataset=False))
    assert distribution.distribution() is None


def fit_on(devices):
    distribution.set_distribution(devices)
    stack = lamina.Sequential([layers.Dense(4), layers.Dense(1)])
    stack.compile("adam", "mse")
    stack.fit(X, Y, verbose=0)
