"""The arguments, methods and names of Keras 1 and 2, piece by piece; tests/spellings has whole programs."""

from __future__ import annotations

import importlib
import inspect
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_tensorflow_names import check

import lamina
from lamina import compat, layers
from lamina._imports.lazy import load_all
from lamina._messages.missing_names import INSTEAD
from lamina._settings.settings import Configured, arguments_of
from lamina.compat import names, verbs
from lamina.compat.arguments import OLD
from lamina.compat.importer import VERSIONS
from lamina.compat.instead import INSTEAD as OF_TENSORFLOW
from lamina.compat.tensorflow import tape
from lamina.errors import ArgumentError, LaminaWarning, StackError


@pytest.fixture
def keras(monkeypatch):
    """`import keras` in a process that has not yet imported Keras."""
    for name in list(sys.modules):
        if name.partition(".")[0] in VERSIONS:
            monkeypatch.delitem(sys.modules, name)
    compat.install()
    yield importlib.import_module("keras")
    compat.uninstall()


@pytest.fixture
def told(keras, capsys):
    """What was said since the last call, without the places in the program."""
    return lambda: [line.partition(": ")[2] for line in capsys.readouterr().err.splitlines()]


def _subclasses(kind):
    return [kind, *(each for sub in kind.__subclasses__() for each in _subclasses(sub))]


def test_every_argument_became_one_that_there_is():
    for family in ("callbacks", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers"):
        load_all(f"lamina.{family}")
    known = {}
    for kind in _subclasses(Configured):
        if kind.__module__.startswith("lamina."):
            known.setdefault(kind.__name__, []).append(kind)
    verbs_of = {name: set(inspect.signature(getattr(lamina.Sequential, name)).parameters) for name in
                ("fit", "evaluate", "predict", "compile")}  # fmt: skip
    verbs_of["fit_generator"] = verbs_of["fit"] | verbs_of["evaluate"]
    for family, old in OLD.items():
        takes = verbs_of.get(family) or set().union(
            *(arguments_of(sub) for kind in known[family] for sub in _subclasses(kind))
        )
        assert {new for new in old.values() if isinstance(new, str)} <= takes, family


def test_every_name_became_one_that_there_is():
    for new in names.RENAMED.values():
        family, _, name = new.rpartition(".")
        assert getattr(getattr(lamina, family), name)
    for path in names.MODULES:
        assert names.served(path).__name__ == names.MODULES[path]


def test_the_classes_are_as_before_once_the_hook_is_gone(keras, told):
    patched = {(owner, name) for owner, name, _ in verbs.PATCHES}
    compat.uninstall()
    before = {(owner, name): vars(owner).get(name) for owner, name in patched}
    compat.install()
    assert all(vars(owner)[name] is not value for (owner, name), value in before.items())
    compat.uninstall()
    assert {(owner, name): vars(owner).get(name) for owner, name in patched} == before
    assert not hasattr(lamina.Sequential, "fit_generator") and not hasattr(jnp.ones(1), "numpy")
    with pytest.raises(TypeError, match="no argument 'nb_epoch'"):
        lamina.Sequential().fit(nb_epoch=1)


def test_the_package_itself_takes_what_keras_takes():
    with pytest.warns(LaminaWarning, match="LeakyReLU: alpha is Keras 2's name of negative_slope, which it sets"):
        assert layers.LeakyReLU(alpha=0.25).negative_slope == 0.25
    for layer in (layers.LSTM, layers.GRU, layers.LSTMCell, layers.GRUCell):
        assert "implementation" not in layer(3, implementation=2).get_config()
    with pytest.raises(TypeError, match="SimpleRNN has no argument 'implementation'"):
        layers.SimpleRNN(3, implementation=2)
    model = lamina.Sequential([layers.Dense(1)])
    assert model.metrics_names == []
    model.compile(
        "sgd", "mse", metrics=["acc", lamina.metrics.Mean("m"), lamina.losses.huber], weighted_metrics=["mae"]
    )
    assert model.metrics_names == ["loss", "acc", "m", "huber", "mae"]


def test_an_argument_that_lost_its_meaning_is_refused_where_it_had_one(keras, told):
    with pytest.raises(ArgumentError, match=r"does not take the value True\. The time is the second axis"):
        keras.layers.LSTM(3, time_major=True)
    with pytest.raises(ArgumentError, match=r"does not take the value 1\. Write LayerNormalization"):
        keras.layers.BatchNormalization(mode=1)
    assert keras.optimizers.SGD(0.5, decay=1.0).learning_rate == 0.5
    with pytest.raises(ArgumentError, match="decay= belongs to a learning rate that is a number"):
        keras.optimizers.SGD(lambda step: 0.1, decay=0.1)
    told()
    keras.layers.LSTM(3, time_major=False, forget_bias_init="zero")
    keras.layers.BatchNormalization(axis=[-1], mode=0)
    keras.losses.MeanSquaredError(reduction=keras.losses.Reduction.AUTO)
    assert told() == [
        "LSTM(forget_bias_init=) is now LSTM(unit_forget_bias=).",
        "LSTM(time_major=) has no effect now.",
        "BatchNormalization(mode=) has no effect now.",
        "BatchNormalization(axis=[-1]) is now BatchNormalization(axis=-1).",
    ]
    keras.losses.MeanSquaredError(reduction="auto")
    keras.optimizers.Adam(0.1, epsilon=None)
    assert told() == [
        "MeanSquaredError(reduction='auto') is now MeanSquaredError(reduction='sum_over_batch_size').",
        "Adam(epsilon=None) is now Adam(epsilon=1e-07).",
    ]


def test_what_is_said_is_said_once(keras, told):
    for _ in range(3):
        keras.layers.Dense(3, init="uniform")
        keras.optimizers.Adam(lr=0.1)
    assert told() == [
        "Dense(init=) is now Dense(kernel_initializer=).",
        "Adam(lr=) is now Adam(learning_rate=).",
    ]


def test_decay_lowers_the_rate_as_in_keras_2(keras, told):
    model = keras.Sequential([keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=(1,))])
    model.compile(keras.optimizers.SGD(lr=0.5, decay=0.25), lambda y, y_pred: y_pred)  # the gradient is x, always 1
    model.fit(np.ones((6, 1)), np.ones((6, 1)), batch_size=2, epochs=2, verbose=0)
    expected = -sum(0.5 / (1 + 0.25 * step) for step in range(6))
    np.testing.assert_allclose(model.get_weights()[0], [[expected]], rtol=1e-5)
    assert told() == [
        "SGD(lr=) is now SGD(learning_rate=).",
        "SGD(decay=) is now SGD(learning_rate=InverseTimeDecay(learning_rate, 1, decay)).",
    ]


def test_logs_have_the_names_that_keras_2_gave_them(keras, told):
    seen = []

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(
                (logs.get("acc"), logs["val_acc"], logs.get("loss") == logs["loss"], logs.get("other", 5), len(logs))
            )
            self.model.stop_training = logs.get("acc") > -1
            logs["mine"] = 3.0

    model = keras.Sequential([keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")])
    model.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    x, y = np.ones((4, 2)), np.zeros((4, 1))
    record = model.fit(x, y, validation_data=(x, y), epochs=3, verbose=0, callbacks=[Stop()])
    assert seen == [(1.0, 1.0, True, 5, 4)] and record.history["mine"] == [3.0]
    assert told() == [
        "'acc' in logs and histories is now 'accuracy'.",
        "'val_acc' in logs and histories is now 'val_accuracy'.",
    ]
    with pytest.raises(KeyError):
        record.history["lr"]


def test_members_of_keras_2_s_objects_are_there(keras, told):
    metric = keras.metrics.Mean()
    metric(3.0)
    metric.reset_states()
    assert metric.result() == 0 and told() == ["reset_states() of a metric is now reset_state()."]
    normalization = keras.layers.Normalization()
    normalization.adapt(np.array([[1.0], [3.0]]))
    assert normalization.mean.numpy().tolist() == [[2.0]] and normalization.variance.numpy().tolist() == [[1.0]]
    assert keras.layers.Normalization().mean is None
    model = keras.Sequential([keras.layers.Embedding(9, 2, input_length=4)])
    assert model.output_shape == (None, 4, 2) and told() == ["Embedding(input_length=) is now Embedding(input_shape=)."]


def test_inner_modules_of_tensorflow_are_its_names(keras):
    device_lib = importlib.import_module("tensorflow.python.client.device_lib")
    assert device_lib.list_local_devices()[0].device_type == "CPU"
    assert importlib.import_module("tensorflow.python.framework.ops").disable_eager_execution() is None
    assert importlib.import_module("keras.optimizers").rmsprop is lamina.optimizers.RMSprop


def test_files_have_the_names_that_keras_2_gave_them(keras, told, tmp_path):
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    model.save(tmp_path / "whole")
    assert keras.models.load_model(tmp_path / "whole").input_shape == (None, 2)
    model.save_weights(str(tmp_path / "cp.ckpt"), save_format="tf")
    before = model.get_weights()
    model.set_weights([np.zeros((2, 1)), np.zeros(1)])
    model.load_weights(str(tmp_path / "cp.ckpt")).expect_partial()
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    tf = importlib.import_module("tensorflow")
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "cp.ckpt.weights.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cp.ckpt.weights.h5", "whole.keras"]
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "m-{acc:.0f}"), save_weights_only=True)
    model.compile("sgd", "mse", metrics=["accuracy"])
    model.fit(np.zeros((4, 2)), np.zeros((4, 1)), epochs=1, verbose=0, callbacks=[checkpoint])
    assert [path.name for path in tmp_path.glob("m-*")] == ["m-1.weights.h5"]
    with pytest.raises(RuntimeError, match=r"model\.to_json"), pytest.warns(LaminaWarning):
        model.to_yaml()


def test_on_arrays_the_layers_that_join_are_those_of_keras(keras):
    x = np.ones((2, 3), "float32")

    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.add, self.attention = keras.layers.Add(), keras.layers.MultiHeadAttention(1, 2)

        def call(self, x):
            return keras.layers.concatenate([x, self.add([x, self.attention(query=x, value=x)])])

    assert keras.layers.Add()([x, x]).tolist() == (x + x).tolist()
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.Dense(1)(Block()(inputs)))
    assert model.predict(np.ones((2, 4, 3)), verbose=0).shape == (2, 4, 1)
    with pytest.raises(StackError, match="Merge takes the outputs of several layers"):
        keras.layers.Merge([model, model], mode="concat")


def test_a_branch_is_refused_with_the_names_of_both_layers(keras):
    x = keras.Input((4,), name="x")
    a, b = keras.layers.Dense(3, name="a")(x), keras.layers.Dense(3, name="b")(x)
    Model, Dense = keras.Model, keras.layers.Dense
    for branch, message in (
        (lambda: keras.layers.concatenate([a, b]), r"concatenate \(Concatenate\) takes the outputs of 'a' and 'b'"),
        (lambda: keras.layers.Add()([a, b]), r"add \(Add\) takes the outputs of 'a' and 'b'"),
        (lambda: keras.layers.Add()([a]), r"add \(Add\) takes the outputs of 'a'"),
        (
            lambda: keras.layers.Lambda(sum, name="l")({"p": a, "q": [b]}),
            r"l \(Lambda\) takes the outputs of 'a' and 'b'",
        ),
        (
            lambda: keras.layers.MultiHeadAttention(1, 2, name="m")(query=a, value=b),
            r"m \(MultiHeadAttention\) takes the outputs of 'a' and 'b'",
        ),
        (lambda: Dense(1, name="d")([a, b]), r"d \(Dense\) takes the outputs of 'a' and 'b'"),
        (lambda: Model(x, [a, b]), "the model has 2 outputs, 'a' and 'b'"),
        (lambda: Model([x, keras.Input((1,), name="z")], a), "the model has 2 inputs, 'x' and 'z'"),
        (lambda: a + b, "the output of 'a' and 'b' goes into an operation outside of a layer"),
        (lambda: keras.backend.exp(a), "the output of 'a' goes into an operation outside of a layer"),
        (lambda: Model(keras.Input((4,), name="other"), a), "of 'a', does not come from its input 'other'"),
        (lambda: Model(x, x), "of 'x', does not come from its input 'x'"),
        (lambda: Model(x), "Model takes the Input and the output of the last layer"),
        (lambda: keras.layers.Dropout(0.5, name="drop")(a, training=True), "drop.* is called with training=True"),
        (lambda: Dense(2).output, "is in no model yet"),
    ):
        with pytest.raises(StackError, match=message):
            branch()
    with pytest.raises(StackError, match="Own is a subclass of Model with a train_step of its own"):

        class Own(keras.Model):
            def train_step(self, data):
                return {}

    with pytest.raises(lamina.errors.ShapeError, match="expects"):
        keras.layers.Conv2D(3, 3)(a)


def test_a_line_of_calls_is_a_sequential(keras):
    x = keras.Input((4,), name="x")
    middle = keras.layers.Dense(3, activation="relu")(x)
    end = keras.layers.Dense(1)(middle)
    other = keras.layers.Dense(2)(middle)
    model, beside = keras.Model(inputs=[x], outputs=end, name="m"), keras.models.Model(x, {"only": other})
    assert type(model) is lamina.Sequential and model.name == "m" and isinstance(model, keras.Model)
    assert (model.input_shape, model.output_shape, beside.output_shape) == ((None, 4), (None, 1), (None, 2))
    assert model.layers[0] is beside.layers[0]
    assert middle.shape == middle.get_shape() == (None, 3) and middle.dtype == "float32"
    assert repr(middle) == "<Tensor of x -> dense, shape=(None, 3)>"
    rest = keras.Model(model.layers[0].output, model.output)
    assert [layer.name for layer in rest.layers] == [model.layers[1].name]
    assert rest.input_shape == (None, 3)
    whole = keras.Model(model.input, model.layers[1].output)
    data = np.ones((2, 4), "float32")
    np.testing.assert_allclose(whole.predict(data, verbose=0), model.predict(data, verbose=0))
    assert keras.Model(model.layers[1].input, model.layers[1].output).layers == [model.layers[1]]
    layer_output = keras.backend.function([model.layers[0].input], [model.layers[0].output])
    np.testing.assert_allclose(
        layer_output([data])[0], np.maximum(data @ np.asarray(model.layers[0].kernel), 0), rtol=1e-5
    )


def test_the_outputs_of_layers_of_one_line_can_be_looked_at_together(keras):
    model = keras.Sequential([keras.layers.Dense(3, input_shape=(2,)), keras.layers.Dense(1)])
    stages, x = keras.Model(inputs=model.input, outputs=[layer.output for layer in model.layers]), np.ones((4, 2))
    for found in (stages.predict(x, verbose=0), stages.predict_on_batch(x), stages(x)):
        assert [part.shape for part in found] == [(4, 3), (4, 1)]
        np.testing.assert_allclose(found[1], model.predict(x, verbose=0), rtol=1e-6)
    with pytest.raises(StackError, match="a model with 2 outputs only predicts here, and has no compile"):
        stages.compile("adam", "mse")


def test_a_subclass_of_model_is_a_model_of_one_layer(keras, tmp_path):
    class Net(keras.Model):
        def __init__(self, units=3):
            super().__init__()
            self.hidden = keras.layers.Dense(units, activation="relu")
            self.last = keras.layers.Dense(1)
            self.drop = keras.layers.Dropout(0.5)

        def call(self, x, training=False):
            return self.last(self.drop(self.hidden(x), training=training) + 0.0)

        def doubled(self, x):
            return 2 * self(x)

    model, x = Net(units=4), np.ones((8, 2), "float32")
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((8, 1)), epochs=1, verbose=0)
    assert isinstance(model, keras.Model) and model.count_params() == 17 and len(model.trainable_variables) == 4
    assert model.hidden.units == 4
    np.testing.assert_allclose(model.doubled(x), 2 * model.predict(x, verbose=0), rtol=1e-5)
    model.save(tmp_path / "net.keras")
    again = keras.models.load_model(tmp_path / "net.keras", custom_objects={"Net": Net})
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0))
    with pytest.raises(AttributeError, match="no attribute 'hiden'"):
        _ = model.hiden


def test_results_have_numpy_while_the_hook_is_there(keras):
    result = keras.Sequential([keras.layers.Dense(1)])(np.ones((2, 3), "float32"))
    assert isinstance(result, jax.Array) and isinstance(result.numpy(), np.ndarray)
    result.numpy()[:] = 5  # an array of its own, as TensorFlow's
    assert result.get_shape() == (2, 1)


def test_the_functions_of_the_backend_compute_what_their_names_say(keras):
    K = importlib.import_module("keras.backend")
    x = np.array([[0.2, 0.8], [0.6, 0.4]], "float32")
    y = np.array([[0.0, 1.0], [1.0, 0.0]], "float32")
    crossentropy = -np.log([0.8, 0.6])
    cases = lambda: (  # noqa: E731
        (K.mean(x > 0.5), 0.5), (K.sum(x, axis=0, keepdims=True), [[0.8, 1.2]]), (K.std(x, axis=-1), [0.3, 0.1]),
        (K.max(x, 1), [0.8, 0.6]), (K.any(x > 0.7, axis=-1), [True, False]), (K.argmax(x, axis=-1), [1, 0]),
        (K.argmax(x), [1, 0]), (K.argmin(x), [0, 1]), (K.cumsum(x), np.cumsum(x, 0)), (K.cumprod(x), np.cumprod(x, 0)),
        (K.expand_dims(x), x[..., None]),
        (K.categorical_crossentropy(y, x), crossentropy),
        (K.categorical_crossentropy(y, np.log(x), from_logits=True), crossentropy),
        (K.sparse_categorical_crossentropy(np.array([1, 0]), x), crossentropy),
        (K.sparse_categorical_crossentropy(np.array([[1], [0]]), np.log(x), True), crossentropy),
        (K.binary_crossentropy(y, x), -np.log([[0.8, 0.8], [0.6, 0.6]])),
        (K.binary_crossentropy(y, np.log(x / (1 - x)), from_logits=True), -np.log([[0.8, 0.8], [0.6, 0.6]])),
        (K.clip(x, 0.3, 0.7), [[0.3, 0.7], [0.6, 0.4]]), (K.dot(x, y), x @ y), (K.pow(x, 2), x**2),
        (K.batch_dot(x, y, axes=1), [[0.8], [0.6]]),
        (K.batch_dot(np.ones((2, 3, 4)), np.ones((2, 4, 5))), np.full((2, 3, 5), 4.0)),
        (K.l2_normalize([[3.0, 4.0]], axis=-1), [[0.6, 0.8]]), (K.permute_dimensions(x, (1, 0)), x.T),
        (K.relu([-1.0, 2.0, 9.0], alpha=0.1, max_value=6), [-0.1, 2, 6]),
        (K.hard_sigmoid([-3.0, 0.0, 1.0]), [0, 0.5, 0.7]),
        (K.repeat_elements(x, 2, axis=0), np.repeat(x, 2, 0)), (K.reverse(x, 0), x[::-1]),
        (K.one_hot([1], 3), [[0, 1, 0]]),
        (K.switch(x > 0.5, x, K.zeros_like(x)), [[0, 0.8], [0.6, 0]]), (K.gather(x, [1]), x[1:]), (K.round([0.6]), [1]),
        (K.concatenate([x, y]), np.concatenate([x, y], -1)), (K.stack([x, y]), np.stack([x, y])), (K.square(x), x**2),
        (K.expand_dims(x, -1), np.asarray(x)[..., None]), (K.batch_flatten(np.ones((2, 3, 4))), np.ones((2, 12))),
        (K.resize_images(np.ones((1, 2, 2, 1)), 2, 3, "channels_last"), np.ones((1, 4, 6, 1))),
        (K.spatial_2d_padding(np.ones((1, 1, 1, 1))).sum(), 1),
        (K.temporal_padding(np.ones((1, 2, 1)), (1, 2)).size, 5),
        (K.bias_add(np.zeros((1, 2, 2, 3)), np.arange(3.0))[0, 0, 0], [0, 1, 2]), (K.eye(2), np.eye(2)),
        (K.in_top_k(x, np.array([1, 1]), 1), [True, False]),
        (K.softmax(x), np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
        (K.sqrt([-1.0, 4]), [0, 2]), (K.foldl(lambda a, b: a - b, [5.0, 1, 2]), 2),
        (K.foldr(lambda a, b: a - b, [5.0, 1, 2]), -4),
        (K.conv2d(np.ones((1, 4, 4, 2)), np.ones((2, 2, 2, 3)), strides=(2, 2)), np.full((1, 2, 2, 3), 8)),
        (K.pool2d(np.ones((1, 4, 4, 2)), (2, 2), (2, 2), pool_mode="avg"), np.ones((1, 2, 2, 2))),
        (K.batch_normalization(x, x.mean(0), x.var(0), None, None, epsilon=0.0), (x - x.mean(0)) / x.std(0)),
        (K.map_fn(lambda row: row * 2, x), 2 * x), (K.in_train_phase(1, 2), 2), (K.in_test_phase(1, lambda: 2), 1),
        (K.arange(3), [0, 1, 2]), (K.cast(x, "int32"), [[0, 0], [0, 0]]), (K.constant(2, shape=(2,)), [2, 2]),
    )  # fmt: skip
    check(cases)
    v = K.variable([1.0, 2.0], name="v")
    K.update_add(v, [1.0, 1.0])
    K.moving_average_update(v, [0.0, 0.0], 0.5)
    assert K.get_value(v).tolist() == [1.0, 1.5] and K.batch_get_value([v])[0].tolist() == [1.0, 1.5]
    K.batch_set_value([(v, [5.0, 6.0])])
    assert K.eval(v).tolist() == [5.0, 6.0] and K.count_params(v) == 2 and K.int_shape(v) == (2,) and K.ndim(v) == 1
    assert K.random_uniform((3,)).min() >= 0 and K.random_normal((3,), seed=1).shape == (3,) and K.dtype(x) == "float32"
    assert set(np.unique(K.random_bernoulli((50,), p=0.5, seed=3))) == {0.0, 1.0}
    for refused in (lambda: K.gradients(1, 2), K.placeholder):
        with pytest.raises(ArgumentError, match="there is no graph here"):
            refused()
    gradient = jax.grad(lambda y_pred: K.sum(K.binary_crossentropy(y, y_pred)))(x)
    assert np.isfinite(gradient).all()


def test_the_backend_s_dropout_and_phases_follow_the_pass(keras):
    K = importlib.import_module("keras.backend")

    class Noisy(keras.layers.Layer):
        def call(self, x):
            return K.in_train_phase(K.dropout(x, 0.5), x)

    layer, x = Noisy(), np.ones((200,), "float32")[None]
    np.testing.assert_array_equal(layer(x), x)
    assert set(np.unique(layer(x, training=True))) == {0.0, 2.0}


NAMED = re.compile(r"\b(?:keras|tf|jax|numpy|layers|losses|metrics|callbacks|optimizers|models)(?:\.\w+)+")


@pytest.mark.parametrize("advice", [*INSTEAD.values(), *OF_TENSORFLOW.values(), tape.ADVICE])
def test_what_is_advised_exists(keras, advice):
    roots = {"keras": keras, "tf": importlib.import_module("tensorflow"), "jax": jax, "numpy": np}
    for path in NAMED.findall(advice):
        root, *parts = path.split(".")
        found = roots[root] if root in roots else getattr(keras, root)
        for part in parts:
            found = importlib.import_module("jax.sharding") if path == "jax.sharding" else getattr(found, part)
    for verb in re.findall(r"\bmodel\.(\w+)\(", advice):
        assert hasattr(lamina.Sequential, verb)
