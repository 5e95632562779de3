"""`keras.Variable`, made and used alone, is Keras's; a layer that holds one trains, saves and names it."""

import inspect
import operator

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

import lamina
from lamina import layers
from lamina.errors import ArgumentError, ShapeError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.mark.parametrize(
    "arguments",
    [
        {"initializer": np.ones((2, 3))}, {"initializer": 2.5}, {"initializer": [1, 2]}, {"initializer": True},
        {"initializer": [1.0, 2.5], "dtype": "float16"}, {"initializer": "ones", "shape": (2, 3)},
        {"initializer": "zeros", "shape": [2], "dtype": "int32", "trainable": False, "name": "count"},
        {"initializer": lambda shape, dtype=None: np.full(shape, 7, dtype), "shape": (2,), "dtype": "int32"},
        {"initializer": 1.0, "autocast": False, "aggregation": "mean", "synchronization": "on_read"},
        {"initializer": 1.0, "aggregation": None, "synchronization": None},
    ],
    ids=lambda arguments: ", ".join(map(str, arguments)),
)  # fmt: skip
def test_a_variable_is_that_of_keras(arguments):
    ours, theirs = lamina.Variable(**arguments), keras.Variable(**arguments)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    for name in ("shape", "dtype", "ndim", "trainable", "aggregation", "synchronization", "regularizer", "constraint"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.path == ours.name and (ours.name == theirs.name or "name" not in arguments)
    assert not ours.value.weak_type  # a step would be compiled twice
    assert isinstance(ours.value, jax.Array) and isinstance(ours, lamina.Variable)


def test_arguments_are_in_the_order_of_keras():
    theirs = [*inspect.signature(keras.Variable.__init__).parameters][1:-1]
    ours = [*inspect.signature(lamina.Variable).parameters.values()]
    assert [each.name for each in ours if each.kind is each.POSITIONAL_OR_KEYWORD] == theirs


def test_names_differ_so_that_an_optimizer_tells_them_apart():
    a, b, c = lamina.Variable(1.0), lamina.Variable(2.0), lamina.Variable(3.0, name="c")
    assert len({a.path, b.path, c.path}) == 3 and a.name.startswith("variable")
    lamina.optimizers.SGD(0.5).apply([jnp.float32(1), jnp.float32(2)], [a, b])
    assert (float(a), float(b)) == (0.5, 1.0)


OPERATORS = "add sub mul truediv floordiv mod pow matmul eq ne lt le gt ge".split()


def test_arithmetic_is_that_of_keras():
    left, right = np.array([[1.5, -2.0], [3.0, 4.0]], "float32"), np.array([[2.0, 1.0], [3.0, 2.0]], "float32")
    for name in OPERATORS:
        op = getattr(operator, name)
        for a, b in ((lamina.Variable(left), right), (left, lamina.Variable(right))):
            expected = op(keras.Variable(left), right)
            if isinstance(a, np.ndarray) and name == "matmul":
                a = jnp.asarray(a)
            np.testing.assert_allclose(np.asarray(op(a, b)), np.asarray(expected), rtol=1e-6, err_msg=name)
    whole, bits = lamina.Variable(left), lamina.Variable([True, False])
    for op in (operator.neg, operator.pos, operator.abs, round):
        np.testing.assert_array_equal(op(whole), op(keras.Variable(left)))
    for op in (operator.and_, operator.or_, operator.xor):
        np.testing.assert_array_equal(op(bits, np.array([True, True])), op(np.array([True, False]), True))
        np.testing.assert_array_equal(op(np.array([True, True]), bits), op(np.array([True, False]), True))
    np.testing.assert_array_equal(~bits, [False, True])
    assert (int(lamina.Variable(3)), float(lamina.Variable(3)), bool(lamina.Variable(0))) == (3, 3.0, False)
    assert round(lamina.Variable(1.26), 1) == pytest.approx(1.3) and whole[0, 1] == -2


def test_assignment():
    variable = lamina.Variable(np.zeros((2,)), dtype="float32")
    variable.assign([1, 2])
    variable.assign_add([1, 1])
    variable.assign_sub(0.5)
    np.testing.assert_array_equal(variable.numpy(), [1.5, 2.5])
    variable.numpy()[:] = 9
    np.testing.assert_array_equal(variable, [1.5, 2.5])
    with pytest.raises(ShapeError, match=r"has shape \(2,\), and cannot take \(3,\)"):
        variable.assign(np.zeros(3))
    np.testing.assert_array_equal(jax.jit(lambda v: v * 2)(variable), [3, 5])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"initializer": "zeros"}, "needs the shape"),
        ({"initializer": "zeros", "shape": (None, 2)}, "each size must be known"),
        ({"initializer": "zeross", "shape": (2,)}, "Did you mean 'zeros'"),
        ({"initializer": 1.0, "name": "a/b"}, "without '/'"),
        ({"initializer": 1.0, "name": 3}, "without '/'"),
        ({"initializer": 1.0, "aggregation": "average"}, "expected one of"),
        ({"initializer": 1.0, "synchronization": "no"}, "expected one of"),
        ({"initializer": 1.0, "layout": (1,)}, "jax.device_put"),
    ],
)
def test_wrong_arguments_are_refused(arguments, words):
    with pytest.raises((ArgumentError, ShapeError, ValueError)) as caught:
        lamina.Variable(**arguments)
    assert words in str(caught.value)


def scaled(library):
    """A layer of a user's own that makes its variables alone, in attributes and in a list."""

    class Scaled(library.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.scale = library.Variable(np.full((3,), 2.0, "float32"), name="scale")
            self.calls = library.Variable(0.0, trainable=False, name="calls")
            self.shifts = [library.Variable("ones", (3,), name="shift"), library.Variable("zeros", (3,), name="other")]

        def call(self, x):
            self.calls.assign_add(1.0)
            return x * self.scale + self.shifts[0] - self.shifts[1]

    return Scaled


X = np.random.default_rng(0).normal(size=(16, 3)).astype("float32")


def test_a_layer_has_the_variables_of_its_attributes_as_weights(tmp_path):
    models = {}
    for library in (lamina, keras):
        layer = scaled(library)(name="scaled")
        assert [w.name for w in layer.trainable_weights] == ["scale", "shift", "other"]
        assert [w.name for w in layer.non_trainable_weights] == ["calls"]
        model = models[library] = library.Sequential([library.layers.Input((3,)), layer])
        model.compile(library.optimizers.SGD(0.1), "mse")
        model.fit(X, 3 * X + 1, 8, 2, shuffle=False, verbose=0)
    ours, theirs = models.values()
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        assert mine.name == other.name
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=1e-5, err_msg=mine.name)
    assert float(ours.layers[0].calls) == 4 and not np.allclose(ours.layers[0].scale, 2)

    theirs.save_weights(tmp_path / "theirs.weights.h5")
    fresh = lamina.Sequential([layers.Input((3,)), scaled(lamina)()])
    fresh.load_weights(tmp_path / "theirs.weights.h5")
    np.testing.assert_allclose(fresh.predict(X, verbose=0), theirs.predict(X, verbose=0), rtol=1e-5)


def test_a_variable_without_a_name_has_that_of_its_attribute():
    class Own(layers.Layer):
        def __init__(self):
            super().__init__()
            self.temperature = lamina.Variable(1.0)
            self.parts = {"a": lamina.Variable(2.0)}

        def call(self, x):
            return x * self.temperature * self.parts["a"]

    made = lamina.Sequential([layers.Input((3,)), Own(), Own()])
    assert [w.path for w in made.layers[0].weights] == ["sequential/own/temperature", "sequential/own/parts_a"]
    assert len(made.weights) == 4
    np.testing.assert_allclose(made.predict(X, verbose=0), 4 * X, rtol=1e-6)


def test_a_variable_of_two_layers_is_one_weight():
    class Shared(layers.Layer):
        def __init__(self, table):
            super().__init__()
            self.table = table

        def call(self, x):
            return x * self.table

    table = lamina.Variable(np.full((3,), 2.0, "float32"))
    both = lamina.Sequential([layers.Input((3,)), Shared(table), Shared(table)])
    assert len(both.weights) == 1
    both.compile(lamina.optimizers.SGD(0.1), "mse")
    both.fit(X, X, 16, verbose=0)
    slope = np.mean(2 * (4 * X - X) * 4 * X, axis=0) / 3
    np.testing.assert_allclose(table.numpy(), 2 - 0.1 * slope, rtol=1e-4)
    alone = lamina.Sequential([layers.Input((3,)), both.layers[1]])
    np.testing.assert_allclose(alone.predict(X, verbose=0), X * table.numpy(), rtol=1e-5)


def test_a_metric_has_the_variables_of_its_attributes_as_its_state():
    histories = []
    for library in (lamina, keras):

        class Highest(library.metrics.Metric):
            def __init__(self, library=library, **kwargs):
                super().__init__(**kwargs)
                self.highest = library.Variable(0.0, name="highest")

            def update_state(self, y_true, y_pred, sample_weight=None):
                self.highest.assign(jnp.maximum(self.highest.value, jnp.max(jnp.abs(y_true))))

            def result(self):
                return self.highest.value

        metric = Highest()
        assert [v.name for v in metric.variables] == ["highest"]
        model = library.Sequential([library.layers.Input((3,)), library.layers.Dense(1)])
        model.compile("sgd", "mse", metrics=[metric])
        history = model.fit(X, X[:, :1], 8, 2, verbose=0, validation_data=(X[:4], X[:4, :1]))
        histories.append([history.history["highest"], history.history["val_highest"]])
        metric.reset_state()
        assert float(metric.highest) == 0
    np.testing.assert_allclose(*histories, rtol=1e-6)


def test_a_model_of_its_own_has_variables_too():
    class Tempered(lamina.Sequential):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.temperature = lamina.Variable(2.0)

        def call(self, x, training=None, mask=None):
            return super().call(x) / self.temperature

    model = Tempered([layers.Input((3,)), layers.Activation("linear")])
    assert [w.name for w in model.trainable_weights] == ["temperature"]


def test_a_loop_of_ones_own_with_an_optimizer():
    """The same loop under both libraries: gradients by JAX, `optimizer.apply` on variables of no model."""
    ends = []
    for library in (lamina, keras):
        w, b = (
            library.Variable(np.ones((3, 1), "float32"), name="w"),
            library.Variable(np.zeros(1, "float32"), name="b"),
        )
        optimizer = library.optimizers.Adam(0.1)

        def loss(values):
            return jnp.mean((X @ values[0] + values[1] - X[:, :1]) ** 2)

        for _ in range(5):
            optimizer.apply(jax.grad(loss)([w.value, b.value]), [w, b])
        ends.append((np.asarray(w.value), np.asarray(b.value), int(optimizer.iterations)))
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
